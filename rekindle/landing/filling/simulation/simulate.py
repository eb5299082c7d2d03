"""Running a simulated business, a day at a time, and delivering it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, get_args

from rekindle.errors import InputError
from rekindle.landing.filling.simulation.auctions import caused
from rekindle.landing.filling.simulation.business import Assigned, Business
from rekindle.landing.filling.simulation.campaigns import effects, really_sent, standing
from rekindle.landing.filling.simulation.delivering import Courier
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.telling import FOLDER, telling
from rekindle.landing.filling.simulation.truth import truth
from rekindle.landing.filling.writer import deliver_by_day, delivered_days, local_folder
from rekindle.progress import SILENT
from rekindle.settings import Weekday, settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    import pyarrow as pa

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.campaigns import Campaign
    from rekindle.landing.filling.simulation.choices import Choices
    from rekindle.landing.filling.simulation.delivering import Delivered
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.process import State
    from rekindle.landing.filling.simulation.reach import Reach
    from rekindle.landing.filling.writer import Written
    from rekindle.progress import Progress

SIMULATED = "Simulated by `rekindle simulate`: no user, event or order is real, and no figure from it is either."
YEARS = 1995, 2190
"""Users register years before the first day, and ingestion takes a time before 1990 for a mistake."""
NOTE = "SAMPLE"
"""A file of this name in the landing zone is shown in every report."""


@dataclass(frozen=True)
class Day:
    """A day of the business: what is delivered, by source, and the truth where it is told for this day."""

    day: date
    state: State
    delivered: Mapping[str, Delivered]
    truth: pa.Table | None
    effects: pa.Table | None
    """What messages of this morning change for who is in a campaign."""
    auctions: pa.Table | None
    """What ads of this morning change for who is asked for."""
    reach: Reach
    choices: Choices | None


def days_of(users: int, days: Days, campaign: Campaign | None = None, conf: Parameters | None = None) -> Iterator[Day]:
    """Run a business of so many users, that of the file unless another is given. No campaign is sent by default."""
    conf = conf or parameters()
    business = Business.of(conf, users, days)
    lives = Lives.begin(business)
    couriers = {source.name: Courier(conf.delivery, business.chance, source) for source in lives.sources}
    for day in days:
        assigned = (campaign(business, day, lives) if campaign else None) or Assigned()
        told = effects(lives, day, assigned, lives.value()) if len(assigned.users) else None
        asked = business.auctions.asked(day) if business.auctions else None
        auctions = caused(lives, day, asked) if asked else None
        delivered = {
            source.name: couriers[source.name].carry(rows, today)
            for source, rows, today in lives.live(day, assigned, asked)
        }
        is_told = day.weekday() == get_args(Weekday).index(conf.truth.weekday)
        weekly = truth(business.process, lives.state, day, lives.value()) if is_told else None
        yield Day(day, lives.state, delivered, weekly, told, auctions, business.reach, business.choices)


@dataclass(frozen=True)
class Simulated:
    """What was written where."""

    zone: Path
    truth: Path
    days: Days
    users: int
    written: tuple[Written, ...]
    ledger: Mapping[str, Mapping[str, int]]
    """By source: rows delivered, and how many of them ingestion must find to be duplicates and quarantine."""


@dataclass(frozen=True)
class Sending:
    """
    Which messages a simulated business sends: none, standing campaigns (`campaigns`), or those of a table.

    `sent` has a row per message that a tool has sent: user_id and day, maybe sent_at. The same business is then lived once
    more with these messages.
    """

    campaigns: bool = False
    sent: pa.Table | None = None

    @property
    def campaign(self) -> Campaign | None:
        if self.campaigns and self.sent is not None:
            raise InputError(
                "Standing campaigns and messages that a tool has sent do not go together.",
                todo="Leave out --campaigns or --sent.",
            )
        return standing if self.campaigns else really_sent(self.sent) if self.sent is not None else None


def simulate(
    users: int,
    days: Days,
    folder: Path | None = None,
    *,
    sending: Sending | None = None,
    only: Days | None = None,
    without: Collection[str] = (),
    conf: Parameters | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Simulated:
    """
    Deliver a simulated business of so many users, and tell the truth about it in a folder that no job reads.

    `only` some of its days are delivered, and nothing of sources that it is to be `without`: somebody else delivers them.
    Messages are delivered of standing campaigns; of messages that a tool has sent it tells itself.

    Raises InputError where the landing zone has deliveries of anything else.
    """
    if not 0 < users <= MOST_USERS:
        raise InputError(f"{users:,} users cannot be simulated.", todo=f"Choose 1 to {MOST_USERS:,} users.")
    if not YEARS[0] <= days.first.year <= days.last.year <= YEARS[1]:
        raise InputError(f"{days} cannot be simulated.", todo=f"Choose days of the years {YEARS[0]} to {YEARS[1]}.")
    zone = local_folder(settings().landing_zone)
    folder, wanted = folder or settings().home / FOLDER, only or days
    if not set(wanted) <= set(days):
        raise InputError(f"{wanted} are not all among the days {days} of the business.", todo="Choose days among them.")
    sending = sending or Sending()
    conf, campaign = conf or parameters(), sending.campaign
    if conf.auctions.is_on and campaign:
        raise InputError(
            "Ads and messages are not simulated together: what each has caused could not be told apart.",
            todo="Leave out --auctions, or --campaigns and --sent.",
        )
    left_out = {*without} if sending.campaigns else {*without, "messages"}
    _refuse_inside(zone, folder)
    _refuse_others(zone, days)
    with telling(folder) as told:
        with progress.step("Simulating") as step:
            lived = takewhile(lambda passed: passed.day <= wanted.last, days_of(users, days, campaign, conf))
            deliveries = (
                (day, {source: rows for source, rows in delivered.items() if source not in left_out})
                for day, delivered in told.listening(lived)
                if day in wanted
            )
            written = deliver_by_day(zone, deliveries, wanted, replace=replace, advance=step.reached)
        told.publish()
    (zone / NOTE).write_text(f"{SIMULATED}\n", encoding="utf-8")
    return Simulated(zone, folder, wanted, users, written, told.ledger)


def _refuse_inside(zone: Path, folder: Path) -> None:
    """What lies in the landing zone would be taken for a source."""
    if folder.resolve().is_relative_to(zone.resolve()):
        raise InputError(
            f"The truth would lie in the landing zone {zone}, where jobs read.",
            todo="Name a folder outside of it with --truth.",
        )


def _refuse_others(zone: Path, days: Days) -> None:
    """Simulated rows are never mixed with others, and no day of an earlier simulation is left beside those of this one."""
    note = zone / NOTE
    is_ours = note.is_file() and note.read_text(encoding="utf-8").strip() == SIMULATED
    for source, (first, last) in delivered_days(zone).items():
        if not is_ours or first < days.first or last > days.last:
            what = "of another simulation" if is_ours else "that were not simulated"
            raise InputError(
                f"{zone} has deliveries {what} ({source}: {first} to {last}).",
                todo="Set REKINDLE_LANDING and REKINDLE_HOME to other folders: each data set is a deployment of its own.",
                code="already_delivered",
            )
