"""Running a simulated business, a day at a time, and delivering it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

import numpy as np

from rekindle.errors import InputError
from rekindle.landing.filling.simulation.business import Business, Today, sessions_of
from rekindle.landing.filling.simulation.delivering import Courier
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.sources import sources
from rekindle.landing.filling.simulation.sources.orders import Orders
from rekindle.landing.filling.simulation.telling import FOLDER, telling
from rekindle.landing.filling.simulation.truth import truth
from rekindle.landing.filling.writer import deliver_by_day, delivered_days, local_folder
from rekindle.progress import SILENT
from rekindle.settings import Weekday, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.delivering import Delivered
    from rekindle.landing.filling.simulation.process import State
    from rekindle.landing.filling.writer import Written
    from rekindle.progress import Progress

    Campaign = Callable[[Business, date, State], NDArray[np.bool_]]
    """Chooses who is sent a message in the morning of a day, from where each user stood at the end of the day before."""

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


def days_of(users: int, days: Days, campaign: Campaign | None = None) -> Iterator[Day]:
    """Run a business of so many users. No campaign is sent by default."""
    conf = parameters()
    business = Business.of(conf, users, days)
    process, all_ = business.process, sources(business)
    couriers = {source.name: Courier(conf.delivery, business.chance, source) for source in all_}
    orders = next(source for source in all_ if isinstance(source, Orders))
    before = days.first - timedelta(days=conf.population.warm_up_days)
    state = process.begin(before)
    for n in range(1, conf.population.warm_up_days):
        process.live(state, before + timedelta(days=n))
    for day in days:
        messaged = campaign(business, day, state) if campaign else None
        process.live(state, day, messaged)
        active = np.flatnonzero(state.was_active)
        sent = np.flatnonzero(messaged) if messaged is not None else active[:0]
        today = Today(day, active, sessions_of(business, day, active), sent)
        delivered = {source.name: couriers[source.name].carry(source.happened(today), today) for source in all_}
        is_told = day.weekday() == get_args(Weekday).index(conf.truth.weekday)
        yield Day(day, state, delivered, truth(process, state, day, orders.value()) if is_told else None)


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


def simulate(
    users: int,
    days: Days,
    folder: Path | None = None,
    *,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Simulated:
    """
    Deliver a simulated business of so many users, and tell the truth about it in a folder that no job reads.

    Raises InputError where the landing zone has deliveries of anything else.
    """
    if not 0 < users <= MOST_USERS:
        raise InputError(f"{users:,} users cannot be simulated.", todo=f"Choose 1 to {MOST_USERS:,} users.")
    if not YEARS[0] <= days.first.year <= days.last.year <= YEARS[1]:
        raise InputError(f"{days} cannot be simulated.", todo=f"Choose days of the years {YEARS[0]} to {YEARS[1]}.")
    zone = local_folder(settings().landing_zone)
    folder = folder or settings().home / FOLDER
    _refuse_inside(zone, folder)
    _refuse_others(zone, days)
    with telling(folder) as told:
        with progress.step("Simulating") as step:
            written = deliver_by_day(
                zone, told.listening(days_of(users, days)), days, replace=replace, advance=step.reached
            )
        told.publish()
    (zone / NOTE).write_text(f"{SIMULATED}\n", encoding="utf-8")
    return Simulated(zone, folder, days, users, written, told.ledger)


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
