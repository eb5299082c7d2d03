"""`rekindle demo`: everything once, on a year of a grocery chain that its authors simulated."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from typing import TYPE_CHECKING, Any

from rekindle.cli.common import JsonOption, answer, console, example, take_over_verdicts
from rekindle.cli.daily import stake_table, table, tell_stage
from rekindle.cli.models import recommending, trained
from rekindle.progress import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import typer

    from rekindle.postgres import Connection
    from rekindle.progress import Progress

SAMPLE = "completejourney"
LAST = date(2017, 12, 28)
"""A Thursday. The sample ends with the year, and after it come a Sunday and a holiday, on which nobody may be texted."""

DAYS_RUN = 3
"""The last days go through the daily DAG one by one, as they would have come."""

HOUR = time_of_day(4, tzinfo=UTC)
"""When the daily run of a day has ended on the next one. Permission goes by it: by the real clock all of it has expired."""

TOP = 10


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle demo"))(demo)


def demo(*, json: JsonOption = False) -> None:
    """Start the platform, load a simulated year, train, run the last three days through Airflow, and write the report."""
    from rekindle import platform, records
    from rekindle import report as page
    from rekindle.cli.landing import with_consents
    from rekindle.days import Days
    from rekindle.landing.filling import fill
    from rekindle.settings import settings
    from rekindle.workflow import backfill, running

    say, took = _silent if json else console().print, {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        say(f"\n{name}", style="bold")
        begun = time.monotonic()
        yield
        took[name] = time.monotonic() - begun

    say("The sample data are simulated by their authors. Rekindle sends nothing.")
    with part("Local platform"), shown(as_json=json) as progress, progress.step("Starting the platform"):
        platform.up(settings().home, lambda step, seconds: say(f"  {step:<24}{seconds:6.1f} s"))
        for line in take_over_verdicts():
            say(f"  {line}")
    with part("Deliveries of Complete Journey"), shown(as_json=json) as progress:
        filled = with_consents(fill.sample(SAMPLE, None, fill.Options(last=LAST), progress), False, progress)
        say(
            f"  {filled.days.first} to {filled.days.last}; simulated contacts, consents and replies with phones of fiction"
        )
    last: date = filled.days.last
    days = Days.between(last - timedelta(DAYS_RUN - 1), last)
    past = Days.between(filled.days.first, days.first - timedelta(1))
    with part("History: raw, features, marts"), shown(as_json=json) as progress:
        say(f"  {backfill.build(past, None, say, progress, score=False).text}")
    with part("Models"), shown(as_json=json) as progress:
        _train(past.last, say, progress)
    with part(f"Daily runs through Airflow: {days}"), shown(as_json=json) as progress:
        finished = [day for day in days if any(r.kind == "daily" and r.status == "done" for r in records.runs(day))]
        todo = tuple(day for day in days if day not in finished)
        if finished:
            say(f"  done before: {', '.join(map(str, finished))}")
        if todo:
            tell = _silent if json else tell_stage
            kind = {"kind": "daily"}
            running.run_days("daily_scores", Days(todo), kind, tell, of_day=_time_of, progress=progress)
    report = page.page_path(last)
    _tell(last, took, report, say)
    if json:
        answer({"report": str(report), "seconds": {name: round(s, 1) for name, s in took.items()}}, as_json=True)


def _time_of(day: date) -> dict[str, str]:
    return {"at": _morning_after(day).isoformat()}


def _morning_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(1), HOUR)


def _silent(*_words: object, **_style: object) -> None:
    """Say nothing: who asked for JSON gets one object."""


def _train(day: date, say: Callable[..., None], progress: Progress) -> None:
    """Train each product that has no champion yet, on what was known at the end of `day`."""
    from ml import registry
    from ml.products import PRODUCTS
    from ml.training.waiting import Waits, unless_waiting

    for product in (product for product in PRODUCTS if product.is_trained):
        if registry.find_champion(product):
            say(f"  {product.name}: has a champion")
            continue
        begun = time.monotonic()
        done = unless_waiting(product, partial(trained, product, day, progress))
        if isinstance(done, Waits):
            say(f"  {product.name}: not trained: {done.why}")
            continue
        verdict = "champion" if done.promoted else "not promoted"
        say(f"  {product.name:<24}{time.monotonic() - begun:6.1f} s  {verdict}: {done.verdict.why}")
    _train_recommendations(day, say, progress)


def _train_recommendations(day: date, say: Callable[..., None], progress: Progress) -> None:
    """Train what to recommend, where that has no champion yet."""
    from ml import registry
    from ml.products import RECOMMENDATION
    from ml.training.waiting import Waits, unless_waiting

    name = RECOMMENDATION.name
    if registry.find_champion(RECOMMENDATION):
        say(f"  {name}: has a champion")
        return
    begun = time.monotonic()
    done = unless_waiting(RECOMMENDATION, partial(recommending, day, progress))
    if isinstance(done, Waits):
        say(f"  {name}: not trained: {done.why}")
        return
    verdict = "champion" if done.promoted else "not promoted"
    say(f"  {name:<24}{time.monotonic() - begun:6.1f} s  {verdict}: {done.verdict.why}")


def _who_may_be_texted(connection: Connection) -> list[dict[str, Any]]:
    query = """
        select user_id, expected_gain, value_if_returns, return_probability, send_window_start, send_window_end, reason_1
        from sms.audience where eligible order by expected_gain desc, user_id limit %s
    """
    from psycopg.rows import dict_row

    rows = connection.cursor(row_factory=dict_row).execute(query, [TOP]).fetchall()
    return [{name: f"{v:%a %d %b %H:%M}" if isinstance(v, datetime) else v for name, v in row.items()} for row in rows]


def _recommended(connection: Connection, user_id: str | None) -> dict[str, Any] | None:
    """One lapsed user who may want something: the score, why, and three items."""
    query = """
        select r.user_id, s.return_probability, s.reason_1, s.reason_2, r.is_fallback,
            title_1, title_2, title_3, item_1, item_2, item_3
        from sms.recommendations as r join sms.recall_scores as s using (user_id)
        where r.in_population and s.in_population order by r.user_id = %s desc nulls last, r.user_id limit 1
    """
    from psycopg.rows import dict_row

    return connection.cursor(row_factory=dict_row).execute(query, [user_id]).fetchone()


def _tell_recommended(user: dict[str, Any] | None, say: Callable[..., None]) -> None:
    say("\nOne lapsed user: the score, why, and what to name in a message", style="bold")
    if user is None:
        say("Nobody is recommended anything: no model of it has become champion.")
        return
    say(f"  {user['user_id']}: comes back with a chance of {user['return_probability']}")
    for reason in filter(None, (user["reason_1"], user["reason_2"])):
        say(f"    {reason}")
    items = [f"{user[f'title_{n}'] or 'without a title'} ({user[f'item_{n}']})" for n in (1, 2, 3) if user[f"item_{n}"]]
    popular = ", which is popular and not found for this user" if user["is_fallback"] else ""
    say(f"  Three items{popular}: {'; '.join(items)}")


def _tell(day: date, took: dict[str, float], report: Path, say: Callable[..., None]) -> None:
    from rekindle import report as page
    from rekindle.postgres import transact
    from rekindle.publishing import stake

    found = transact(lambda connection: stake.find(connection, day, TOP))
    if found:
        say(f"\nThe first {TOP} of {day} by {found.says}", style="bold")
        say("A high chance of return is a reason not to pay for a message: those users come by themselves.")
        say(stake_table(found))
    may_be_texted = transact(_who_may_be_texted)
    say(f"\nThe first {TOP} to text: who may be, by expected gain", style="bold")
    say(
        f"Consents and phones are simulated, and so is the time: as of {_morning_after(day):%Y-%m-%d %H:%M} UTC, which was given."
    )
    say(table(list(may_be_texted[0]), may_be_texted) if may_be_texted else "Nobody may be texted.")
    first = found.rows[0]["user_id"] if found else None
    _tell_recommended(transact(lambda connection: _recommended(connection, first)), say)
    say("\nWhere the time went", style="bold")
    for name, seconds in took.items():
        say(f"  {name:<48}{seconds:6.1f} s")
    say("\nWhat to try next", style="bold")
    say(f"  Report       {report}")
    say(f"  All days     {page.index_path()}")
    if found:
        user = found.rows[0]["user_id"]
        say(f"  One user     .venv/bin/rekindle scores {found.publication.name} --day {day} --user {user}")
    planned = f"--campaign first --day {day} --budget 50 --at {_morning_after(day):%Y-%m-%dT%H:%MZ}"
    say(f"  A campaign   .venv/bin/rekindle plan {planned}")
    say("  Web pages    make ui        (Airflow's task records, MLflow's models)")
    say("  Your data    docs/bring-your-own-data.md")
    say("  Stop         make down      (data stay)")
