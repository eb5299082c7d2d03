"""Filling the landing zone with a sample or with an imported history, and saying what is there afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling import samples
from rekindle.landing.filling.history import read_history
from rekindle.landing.filling.writer import History, deliver, delivered_days, local_folder
from rekindle.progress import SILENT
from rekindle.settings import settings
from rekindle.warehouse.contracts import landing_contract

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from rekindle.landing.filling.lateness import Lateness
    from rekindle.landing.filling.samples.dataset import Dataset
    from rekindle.landing.filling.writer import Written
    from rekindle.progress import Progress


@dataclass(frozen=True)
class Filled:
    """What was written, what is worth knowing about it, and the days that the landing zone now has, by source."""

    zone: Path
    days: Days
    written: tuple[Written, ...]
    notes: tuple[str, ...]
    delivered: Mapping[str, tuple[date, date]]


@dataclass(frozen=True)
class Options:
    """Which days are wanted (all, by default), how late facts are, and whether other contents may be replaced."""

    first: date | None = None
    last: date | None = None
    lateness: Lateness | None = None
    replace: bool = False


def sample(name: str, path: Path | None, options: Options, progress: Progress = SILENT) -> Filled:
    """Deliver a public data set."""
    zone = local_folder(settings().landing_zone)
    with progress.step(f"Reading {name}"):
        dataset = samples.read(name, path)
    _refuse_other_times(zone, name, dataset)
    days = _days(max(options.first or dataset.first, dataset.first), min(options.last or dataset.last, dataset.last))
    histories = [history.between(days.first, days.last) for history in dataset.histories]
    if options.lateness:
        histories = [options.lateness.delay(history, days.last) for history in histories]
    with progress.step("Writing deliveries") as step:
        written = deliver(zone, histories, days, replace=options.replace, advance=step.reached)
    # Whoever reads a report of these deliveries is told that, and how far, they are real.
    note, about = zone / "SAMPLE", samples.SAMPLES[name].about
    # What was added to it has been said there, too.
    if not (note.is_file() and about in note.read_text(encoding="utf-8").splitlines()):
        note.write_text(f"{about}\n", encoding="utf-8")
    return Filled(zone, days, written, dataset.notes, delivered_days(zone))


def import_history(
    source: str,
    path: Path,
    on: date | None,
    options: Options,
    progress: Progress = SILENT,
) -> Filled:
    """
    Deliver the history of a source that is in one file.

    Without `on`, which delivers it all on one day, the days are by default all those of the history and of what the
    landing zone has already, because a source that has delivered is expected on every day.
    """
    if on and (options.first or options.last or options.lateness):
        raise InputError("--day delivers the whole file on one day.", todo="Leave out --from, --to and --lateness.")
    zone = local_folder(settings().landing_zone)
    there = delivered_days(zone)
    start = options.first or min((first for first, _ in there.values()), default=None)
    with progress.step(f"Reading {path.name}"):
        history = read_history(source, path, on=on, undated_on=start)
    notes = [*history.notes]
    if on:
        days = Days.one(on)
    else:
        if not len(history.days):
            raise InputError(f"{path.name} has no rows.", todo="Give --day to deliver a day without news.")
        days = _days_of(history, there, options)
        kept = history.between(days.first, days.last)
        if left_out := len(history.days) - len(kept.days):
            notes.append(f"{left_out:,} rows on other days are left out.")
        history = options.lateness.delay(kept, days.last) if options.lateness else kept
    with progress.step("Writing deliveries") as step:
        written = deliver(zone, [history], days, replace=options.replace, advance=step.reached)
    if not on:
        written += _declare_states_unchanged(zone, there.keys() - {source}, days)
    delivered = delivered_days(zone)
    return Filled(zone, days, written, (*notes, *_advice(source, delivered)), delivered)


def _days_of(history: History, there: Mapping[str, tuple[date, date]], options: Options) -> Days:
    """
    Days to deliver: by default all of the history and of what is there.

    States from before the first fact are delivered with it: users may have registered years before the history begins.
    """
    facts = [days for source, days in there.items() if not _is_state(source)]
    if _is_state(history.source) and facts:
        first = min(first for first, _ in facts)
    else:
        first = min([history.days.min().item(), *(first for first, _ in there.values())])
    last = max([history.days.max().item(), *(last for _, last in there.values())])
    return _days(options.first or first, options.last or last)


def _declare_states_unchanged(zone: Path, sources: Collection[str], days: Days) -> tuple[Written, ...]:
    """
    Declare the days empty that states have no delivery for, because every source is expected every day.

    A state holds until it changes, so no delivery is no news. What else happened on a day, only its source can know.
    """
    written: list[Written] = []
    for source in sorted(filter(_is_state, sources)):
        missing = tuple(day for day in days if not (zone / source / f"day={day}").exists())
        if missing:
            nothing = History(source, pa.table({}), np.array([], dtype="datetime64[D]"))
            written += deliver(zone, [nothing], Days(missing))
    return tuple(written)


def _is_state(source: str) -> bool:
    return landing_contract(source).lands.kind == "state"


def _days(first: date, last: date) -> Days:
    if last < first:
        raise InputError(f"There is no day from {first} to {last}.", todo="Give other days with --from and --to.")
    return Days.between(first, last)


def _refuse_other_times(zone: Path, name: str, dataset: Dataset) -> None:
    """Keep a sample out of a landing zone of other years: each source would be expected on all days between them."""
    delivered = delivered_days(zone)
    if delivered and all(last < dataset.first or first > dataset.last for first, last in delivered.values()):
        source, (first, last) = next(iter(delivered.items()))
        raise InputError(
            f"{zone} has deliveries of other times ({source}: {first} to {last}); {name} is of {dataset.first} to "
            f"{dataset.last}.",
            todo="Set REKINDLE_LANDING and REKINDLE_HOME to other folders: each data set is a deployment of its own.",
        )


def _advice(source: str, delivered: Mapping[str, tuple[date, date]]) -> Iterator[str]:
    """Say what the daily run would stumble over."""
    if _is_state(source) and all(map(_is_state, delivered)):
        yield (
            f"No orders or events are here yet. If their history begins later than {delivered[source][0]}, import them "
            f"first: then {source} from before it are delivered on its first day."
        )
    last = max(b for _, b in delivered.values())
    for other, (_, b) in delivered.items():
        if b < last:
            yield (
                f"{other} is delivered up to {b}, others up to {last}, and each source is expected every day. If there "
                f"is no news after {b}, import it again: its other days are then declared empty."
            )
