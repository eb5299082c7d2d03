"""Filling the landing zone with a sample or with an imported history, and saying what is there afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing import samples
from rekindle.landing.deliveries import deliver, delivered_days, local_folder, silent
from rekindle.landing.history import read_history
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from pathlib import Path

    from rekindle.landing.deliveries import Written
    from rekindle.landing.lateness import Lateness
    from rekindle.landing.samples.dataset import Dataset


@dataclass(frozen=True)
class Filled:
    """What was written, what is worth knowing about it, and the days that the landing zone now has, by source."""

    zone: Path
    days: Days
    written: tuple[Written, ...]
    notes: tuple[str, ...]
    delivered: Mapping[str, tuple[date, date]]

    @property
    def is_enough(self) -> bool:
        """Whether features can be built: users are required, and one of events and orders."""
        return "users" in self.delivered and not self.delivered.keys().isdisjoint({"events", "orders"})


@dataclass(frozen=True)
class Options:
    """Which days are wanted (all, by default), how late facts are, and whether other contents may be replaced."""

    first: date | None = None
    last: date | None = None
    lateness: Lateness | None = None
    replace: bool = False


def sample(name: str, path: Path | None, options: Options, advance: Callable[[int, int], object] = silent) -> Filled:
    """Deliver a public data set. `advance` is told how many deliveries are written, and of how many."""
    zone = local_folder(settings().landing_zone)
    dataset = samples.read(name, path)
    _refuse_other_times(zone, name, dataset)
    days = _days(max(options.first or dataset.first, dataset.first), min(options.last or dataset.last, dataset.last))
    histories = [history.between(days.first, days.last) for history in dataset.histories]
    if options.lateness:
        histories = [options.lateness.delay(history, days.last) for history in histories]
    written = deliver(zone, histories, days, replace=options.replace, advance=advance)
    return Filled(zone, days, written, dataset.notes, delivered_days(zone))


def import_history(
    source: str,
    path: Path,
    on: date | None,
    options: Options,
    advance: Callable[[int, int], object] = silent,
) -> Filled:
    """
    Deliver the history of a source that is in one file.

    Without `on`, which delivers it all on one day, the days are by default all those of the history and of what the
    landing zone has already, because a source that has delivered is expected on every day.
    """
    if on and (options.first or options.last or options.lateness):
        raise InputError("--day delivers the whole file on one day.", todo="Leave out --from, --to and --lateness.")
    zone = local_folder(settings().landing_zone)
    there = [day for days in delivered_days(zone).values() for day in days]
    history = read_history(source, path, on=on, undated_on=options.first or min(there, default=None))
    if on:
        days, notes = Days.one(on), ()
    else:
        if not len(history.days):
            raise InputError(f"{path.name} has no rows.", todo="Give --day to deliver a day without news.")
        told = [history.days.min().item(), history.days.max().item(), *there]
        days = _days(options.first or min(told), options.last or max(told))
        kept = history.between(days.first, days.last)
        left_out = len(history.days) - len(kept.days)
        notes = (f"{left_out:,} rows on other days are left out.",) if left_out else ()
        history = options.lateness.delay(kept, days.last) if options.lateness else kept
    written = deliver(zone, [history], days, replace=options.replace, advance=advance)
    delivered = delivered_days(zone)
    return Filled(zone, days, written, (*notes, *_gaps(delivered)), delivered)


def _days(first: date, last: date) -> Days:
    if last < first:
        raise InputError(f"There is no day from {first} to {last}.", todo="Give other days with --from and --to.")
    return Days.between(first, last)


def _refuse_other_times(zone: Path, name: str, dataset: Dataset) -> None:
    """Keep a sample out of a landing zone of other years: every source would be expected on all days between the two."""
    delivered = delivered_days(zone)
    if delivered and all(last < dataset.first or first > dataset.last for first, last in delivered.values()):
        source, (first, last) = next(iter(delivered.items()))
        raise InputError(
            f"{zone} has deliveries of other times ({source}: {first} to {last}); {name} is of {dataset.first} to "
            f"{dataset.last}.",
            todo="Set REKINDLE_LANDING and REKINDLE_HOME to other folders: each data set is a deployment of its own.",
        )


def _gaps(delivered: Mapping[str, tuple[date, date]]) -> tuple[str, ...]:
    """Sources that other sources go beyond: the daily run would wait for their deliveries."""
    first, last = min(a for a, _ in delivered.values()), max(b for _, b in delivered.values())
    return tuple(
        f"{source} is delivered from {a} to {b}, others from {first} to {last}. Each source is expected every day: "
        f"import {source} again, which declares its other days empty."
        for source, (a, b) in delivered.items()
        if (a, b) != (first, last)
    )
