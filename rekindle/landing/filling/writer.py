"""
Deliveries: a history becomes folders `<source>/day=YYYY-MM-DD/` of the landing zone, each complete with `_SUCCESS`.

Everything is staged in a hidden folder first and each day is moved into place whole, so an interrupted write leaves
complete deliveries and missing ones, never half a delivery. Writing the same history again changes nothing.
"""

from __future__ import annotations

import fcntl
import filecmp
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from rekindle.errors import InputError
from rekindle.landing.folders import SUCCESS
from rekindle.landing.zone import LandingZone
from rekindle.points import durable
from rekindle.warehouse.contracts import landing_contract, landing_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from rekindle.days import Days

STAGING = ".writing"
LOCK = ".writing.lock"

LINE = "line as delivered"
"""Column of a csv or jsonl history that holds its lines; its other columns are what was read from them."""


@dataclass(frozen=True)
class History:
    """
    Rows of one source in the order of their file, and the day on which each of them is delivered.

    `head` begins each file of it. `is_exact` keeps the types of Parquet's columns to the letter, as somebody else has
    chosen them. `notes` say what was done to the rows.
    """

    source: str
    rows: pa.Table
    days: np.ndarray
    form: str = "parquet"
    head: bytes = b""
    is_exact: bool = False
    notes: tuple[str, ...] = ()

    def between(self, first: date, last: date) -> History:
        """
        Keep what the days from `first` to `last` deliver.

        A state that was delivered earlier still holds and is delivered on the first day; an earlier fact is left out.
        """
        lower, upper = np.datetime64(first), np.datetime64(last)
        is_state = landing_contract(self.source).lands.kind == "state"
        days = np.maximum(self.days, lower) if is_state else self.days
        kept = (days >= lower) & (days <= upper)
        return replace(self, rows=self.rows.filter(pa.array(kept)), days=days[kept])


@dataclass(frozen=True)
class Written:
    """What became of a source: `empty` deliveries have no rows, `unchanged` ones were there already, byte for byte."""

    source: str
    rows: int
    deliveries: int
    empty: int
    unchanged: int
    replaced: int


def silent(_done: int, _all: int) -> None:
    """Tell nobody how far the writing has come."""


def local_folder(zone: str) -> Path:
    """Folder of the landing zone. Samples and imports are written to local folders only."""
    if zone.startswith("file://"):
        return Path(zone.removeprefix("file://"))
    if "://" in zone:
        raise InputError(
            f"The landing zone is {zone.partition('://')[0]}://…, and deliveries are written to local folders only.",
            todo="Set REKINDLE_LANDING to a local folder, then copy that folder to where the landing zone is.",
        )
    return Path(zone)


def deliver(
    zone: Path,
    histories: Sequence[History],
    days: Days,
    *,
    replace: bool = False,
    advance: Callable[[int, int], object] = silent,
) -> tuple[Written, ...]:
    """
    Write a delivery of every history for every day; a day without rows is declared empty.

    Deliveries that are there with other contents stop the whole write, unless `replace` is set. `advance` is
    called after each delivery, with how many there are so far and how many there will be.
    """
    zone.mkdir(parents=True, exist_ok=True)
    with _staging(zone) as staging:
        done, total = count(1), len(histories) * len(days)
        rows = {
            history.source: _stage(history, days, staging / history.source, lambda: advance(next(done), total))
            for history in histories
        }
        same, there = _settle(zone, staging, list(rows), days, replace=replace)
    return _written(rows, days, same, there)


def deliver_by_day(
    zone: Path,
    deliveries: Iterable[tuple[date, Mapping[str, pa.Table]]],
    days: Days,
    *,
    replace: bool = False,
    advance: Callable[[int, int], object] = silent,
) -> tuple[Written, ...]:
    """
    Write deliveries as they are made, day by day, each day with the same sources; for what is too large for histories.

    The manners are those of `deliver`: until all days are staged nothing is moved into place.
    """
    zone.mkdir(parents=True, exist_ok=True)
    counts: dict[str, list[int]] = {}
    with _staging(zone) as staging:
        for done, (day, sources) in enumerate(deliveries, 1):
            for source, rows in sources.items():
                folder = staging / source / f"day={day}"
                folder.mkdir(parents=True)
                if len(rows):
                    _write_parquet(History(source, rows, np.empty(0)), rows, folder / f"{source}.parquet")
                (folder / SUCCESS).touch()
                counts.setdefault(source, []).append(len(rows))
            advance(done, len(days))
        if any(len(of) != len(days) for of in counts.values()):
            raise ValueError(f"There are deliveries of other days than {days}")
        same, there = _settle(zone, staging, list(counts), days, replace=replace)
    return _written(counts, days, same, there)


def _settle(
    zone: Path, staging: Path, sources: Sequence[str], days: Days, *, replace: bool
) -> tuple[set[str], set[str]]:
    """Move what is staged into place, day by day. Returns what was there already, and what was there with other contents."""
    there: set[str] = set()
    same: set[str] = set()
    for source in sources:
        for day in days:
            name = f"{source}/day={day}"
            if (zone / name).exists():
                (same if _is_same(staging / name, zone / name) else there).add(name)
    if there and not replace:
        _refuse(there)
    for day in days:
        for source in sources:
            name = f"{source}/day={day}"
            if name not in same:
                _move(staging, zone, name)
    return same, there


def _written(rows: Mapping[str, Sequence[int]], days: Days, same: set[str], there: set[str]) -> tuple[Written, ...]:
    return tuple(
        Written(
            source=source,
            rows=sum(counts),
            deliveries=len(days),
            empty=counts.count(0),
            unchanged=sum(name.startswith(f"{source}/") for name in same),
            replaced=sum(name.startswith(f"{source}/") for name in there),
        )
        for source, counts in rows.items()
    )


def delivered_days(zone: Path) -> Mapping[str, tuple[date, date]]:
    """First and last day that each source of a landing zone has a complete delivery for."""
    found = {}
    for source in landing_sources():
        if days := LandingZone(str(zone)).days_of(source):
            found[source] = days[0], days[-1]
    return MappingProxyType(found)


@contextmanager
def _staging(zone: Path) -> Iterator[Path]:
    """
    Return an empty hidden folder in the landing zone, for one writer at a time.

    The lock ends with its process, however that ends: what lies in the folder then is nobody's and is removed.
    """
    staging = zone / STAGING
    with (zone / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another process is writing deliveries to {zone}.", todo="Wait until it has ended, then try again."
            ) from error
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging)


def _stage(history: History, days: Days, folder: Path, staged: Callable[[], object]) -> list[int]:
    """Write the deliveries of a source, in one pass over its rows sorted by day. Returns the rows of each day."""
    order = np.argsort(history.days, kind="stable")
    rows, delivered_on = history.rows.take(pa.array(order)).combine_chunks(), history.days[order]
    wanted = np.array(days.all, dtype="datetime64[D]")
    starts = np.searchsorted(delivered_on, wanted, side="left")
    ends = np.searchsorted(delivered_on, wanted, side="right")
    if (ends - starts).sum() != len(order):
        raise ValueError(f"{history.source} has rows on other days than {days}")
    for day, start, end in zip(days, starts, ends, strict=True):
        delivery = folder / f"day={day}"
        delivery.mkdir(parents=True)
        if end > start:
            WRITERS[history.form](
                history, rows.slice(start, end - start), delivery / f"{history.source}.{history.form}"
            )
        (delivery / SUCCESS).touch()
        staged()
    return [int(count) for count in ends - starts]


def _write_parquet(history: History, rows: pa.Table, path: Path) -> None:
    # With checksums a page that was damaged on its way is noticed, and not read as other numbers.
    pyarrow.parquet.write_table(
        rows.replace_schema_metadata(None), path, store_schema=history.is_exact, write_page_checksum=True
    )


def _write_lines(history: History, rows: pa.Table, path: Path) -> None:
    path.write_bytes(history.head + b"".join(rows[LINE].to_pylist()))


WRITERS: Mapping[str, Callable[[History, pa.Table, Path], None]] = MappingProxyType(
    {"parquet": _write_parquet, "csv": _write_lines, "jsonl": _write_lines}
)


def _is_same(staged: Path, there: Path) -> bool:
    """Whether two deliveries hold the same files, byte for byte."""
    names = [path.name for path in staged.iterdir()]
    if {path.name for path in there.iterdir()} != set(names):
        return False
    _, differing, unreadable = filecmp.cmpfiles(staged, there, names, shallow=False)
    return not differing and not unreadable


def _refuse(there: set[str]) -> None:
    first = min(there)
    others = f" and {len(there) - 1} more deliveries are" if len(there) > 1 else " is"
    raise InputError(
        f"{first}{others} in the landing zone already, with other contents.",
        todo="Add --replace to replace them, or set REKINDLE_LANDING to another folder.",
        code="already_delivered",
    )


def _move(staging: Path, zone: Path, name: str) -> None:
    """Move a staged delivery into place; one that is there goes away first, so that two never mix."""
    target = zone / name
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        with durable("delivery put away", name):
            target.rename(staging / f"old-{name.replace('/', '-')}")
    with durable("delivery", name):
        (staging / name).rename(target)
