"""`python -m loop [USERS] [HISTORY_DAYS] [DAYS]`: a simulated business is scored, texted, answered and measured, day by day."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.conninfo import make_conninfo

from loop.gateway import Gateway
from loop.learning import learn, let_go_of_spark
from loop.sender import send, some_say_stop
from rekindle import platform, records
from rekindle.days import Days
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOME = PROJECT / ".loop"
SIMULATED = "Simulated: no user, message or return is real, and no figure is either."
USUAL = 8000, 120, 14
"""Users, days of history and days that are lived, where the command does not say."""
PLANNED_EVERY = 7
"""Days from a campaign to the next."""
BUDGET, CONTROL_SHARE = 200.0, 0.5
TEXT = "We miss you. Reply STOP to end"
PUBLISHED_AT, PLANNED_AT = time(3, 0), time(3, 30)
"""UTC, on the morning after the day that is scored."""


def main(users: int, history_days: int, days: int) -> None:
    """Begin anew, live the days, and end with the pages of the campaigns."""
    platform.use(HOME)
    if HOME.exists():
        platform.delete(HOME)
    try:
        with Gateway(datetime.min.replace(tzinfo=UTC)) as gateway:
            Loop(users, history_days, days, gateway).run()
    finally:
        let_go_of_spark()
        # Pages and data stay to be looked at.
        platform.down(HOME)


class Loop:
    """A business, the platform that scores it, and the gateway that its messages go to."""

    def __init__(self, users: int, history_days: int, days: int, gateway: Gateway) -> None:
        from rekindle.landing.filling.simulation.parameters import parameters

        self.users, self.gateway = users, gateway
        first = parameters().first_day
        self.history = Days.between(first, first + timedelta(days=history_days - 1))
        self.lived = Days.between(self.history.last + timedelta(days=1), self.history.last + timedelta(days=days))
        self.campaigns: list[str] = []

    def run(self) -> None:
        """Build a history and models, then let day after day pass."""
        _say(SIMULATED)
        self._simulate(self.history)
        platform.up(HOME, lambda step, seconds: _say(f"  {step:<24}{seconds:6.1f} s"))
        learn(self.history, _say)
        for number, day in enumerate(self.lived):
            self._live(number, day)
        self._tell()

    def _simulate(self, days: Days) -> None:
        """Let the business live on with what it was really sent; its replies go through the gateway."""
        from rekindle.landing.filling.simulation.simulate import Sending, simulate

        sent = self._sent()
        everything = Days.between(self.history.first, self.lived.last)
        sending = Sending(sent=sent) if len(sent) else None
        simulate(self.users, everything, sending=sending, only=days, without=("replies",))

    def _sent(self) -> pa.Table:
        delivered = [row for row in self.gateway.sent.values() if row["status"] == "delivered"]
        return pa.table(
            {
                "user_id": pa.array([row["user_id"] for row in delivered], pa.string()),
                "day": pa.array([row["sent_at"].date() for row in delivered], pa.date32()),
                "sent_at": pa.array([row["sent_at"] for row in delivered], pa.timestamp("us", "UTC")),
            }
        )

    def _live(self, number: int, day: date) -> None:
        """A day of the business, then the morning after it: score, hear who said stop, plan, send."""
        from rekindle.permission import taking_away
        from rekindle.workflow import running

        self._simulate(Days.one(day))
        self.gateway.deliver(HOME / "landing", Days.one(day))
        morning = day + timedelta(days=1)
        published_at = datetime.combine(morning, PUBLISHED_AT, UTC)
        running.run_days("daily_scores", Days.one(day), {"kind": "daily", "at": published_at.isoformat()})
        taking_away.main(records.start_run("permissions", Days.one(day)), at=published_at)
        _say(f"{day}  {_codes()}")
        if number % PLANNED_EVERY == 0:
            self._campaign(f"loop-{day}", day, datetime.combine(morning, PLANNED_AT, UTC))

    def _campaign(self, name: str, day: date, at: datetime) -> None:
        from rekindle.campaigns import page
        from rekindle.campaigns.plan import Asked, plan

        asked = Asked(name, day, budget=BUDGET, control_share=CONTROL_SHARE, note=SIMULATED)
        planned = plan(asked, {"": TEXT}, at=at)
        self.campaigns.append(name)
        self.gateway.at = at
        told = send(self.gateway, _of_reader(), name, TEXT, some_say_stop)
        _say(f"  {name}: {page.write(planned)}")
        _say(f"  the gateway's answers: {dict(told)}; STOP list: {len(self.gateway.stopped)}")

    def _tell(self) -> None:
        _say(f"\n{SIMULATED}")
        _say(
            f"Messages: {len(self._sent()):,}; refused: {self.gateway.refused}; STOP list: {len(self.gateway.stopped):,}"
        )
        effects = _effects()
        _say(f"What the messages truly changed: {sum(effects.values()):+.1f} returns.")
        for name in self.campaigns:
            _say(f"  {name}: {_measured(name, self.lived.last)}; {truly(name, self.gateway, effects):+.1f} truly")
        for page in sorted((HOME / "campaigns").glob("*/*.html")):
            _say(f"  {page}")


def truly(campaign: str, gateway: Gateway, effects: Mapping[tuple[str, date], float]) -> float:
    """The planted effect of a campaign: by how much it has raised the expected number of returns."""
    sent = [row for row in gateway.sent.values() if row["campaign_id"] == campaign]
    return sum(effects.get((row["user_id"], row["sent_at"].date()), 0.0) for row in sent)


def _effects() -> dict[tuple[str, date], float]:
    """By how much each message has raised the chance of a return, by its user and day."""
    found: Path = settings().home / "truth" / "effects.parquet"
    rows = pq.read_table(found).to_pylist() if found.exists() else []
    return {(row["user_id"], row["day"]): row["uplift"] for row in rows}


def _measured(name: str, until: date) -> str:
    """What a campaign's page says that it caused."""
    from rekindle.experiments import ALPHA
    from rekindle.report.effects import measure

    campaign = records.Measured("planned", name)
    rows = records.campaign_results(campaign, until)
    returns = measure(campaign, rows).returns if rows else None
    if returns is None:
        return "nothing is known yet"
    (caused,) = returns.caused
    low, high = (caused.users * end for end in caused.comparison.effect.interval(ALPHA))
    return f"{caused.total:+.1f} returns measured ({low:+.1f} to {high:+.1f})"


def _of_reader() -> str:
    """Where a tool logs in: as sms_reader, which may select what is published."""
    return make_conninfo(settings().database_url, user="sms_reader", password=credentials(Home(HOME)).sms_reader)


def _codes() -> dict[str, int]:
    from rekindle.postgres import transact

    query = (
        "select coalesce(suppression_reason, 'eligible') as code, count(*) from sms.audience group by 1 order by 2 desc"
    )
    return dict(transact(lambda connection: connection.execute(query).fetchall()))


def _say(*words: Any, **_style: Any) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*given, *USUAL[len(given) :])
