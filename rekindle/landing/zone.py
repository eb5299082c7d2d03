"""
Deliveries: what lies in the landing zone, looked at without loading it.

`landing/<source>/day=YYYY-MM-DD/` is a delivery; it is complete when `_SUCCESS` is there. The landing zone is a local
folder or any URL that pyarrow's file systems read (s3://, gs://, hdfs:// …).

Some sources may deliver hours of a day ahead, `day=YYYY-MM-DD/hour=HH/` with a `_SUCCESS` of its own: permission is taken away
by them. The day's delivery holds the same rows again, and is all that is loaded.

Rows are counted here, from the files, by other code than the one that loads them: that is what the law
*delivered = loaded + duplicates + quarantined* is asserted against.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from rekindle.days import NotADayError, parse_day
from rekindle.errors import InputError
from rekindle.landing.formats import (
    DUPLICATE_COLUMN,
    UnreadableFileError,
    form_of,
    is_utf8,
    outline,
    repeated,
    unsupported_type,
)
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from pyarrow.fs import FileSystem

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract

SUCCESS = "_SUCCESS"
HOUR = re.compile(r"hour=([01]\d|2[0-3])")
UNSEEN = ("_", ".")
"""What a file or folder of a delivery begins with that is nobody's data: markers, and files that are being written."""


@dataclass(frozen=True)
class LandedFile:
    """
    One file of a delivery, named by its path within it.

    `rows` is what it holds, 1 where it is unreadable (it is then one quarantined thing).
    """

    name: str
    path: str
    size: int
    sha256: str
    rows: int
    columns: tuple[str, ...]
    types: dict[str, str]
    unreadable: str | None = None

    @property
    def format(self) -> str:
        return form_of(self.name)


@dataclass(frozen=True)
class Delivery:
    """One complete delivery of a source."""

    source: str
    day: date
    files: tuple[LandedFile, ...]

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 over the names and digests of the files, in the order of their names."""
        return hashlib.sha256("".join(f"{f.name}\n{f.sha256}\n" for f in self.files).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """What a source has delivered of a day, whole or of one of its hours, and says is complete."""

    source: str
    day: date
    hour: int | None
    path: str

    @property
    def is_over_at(self) -> datetime:
        """When the time that it is about was over."""
        hours = timedelta(hours=24 if self.hour is None else self.hour + 1)
        return datetime.combine(self.day, time(), UTC) + hours


@dataclass(frozen=True)
class FoundFile:
    """A file of a part that has not been looked into; `modified_at` is the file system's."""

    name: str
    path: str
    size: int
    modified_at: datetime


class LandingZone:
    """
    The landing zone that settings name, as one run sees it.

    What an instance has looked at it does not read again, on whichever days it is asked next, so a run can look at all
    sources before it loads the first.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or settings().landing_zone
        self._looked: dict[tuple[str, date], Delivery] = {}

    @cached_property
    def _root(self) -> tuple[FileSystem, str]:
        from pyarrow import fs

        if "://" in self.url:
            return fs.FileSystem.from_uri(self.url)
        return fs.LocalFileSystem(), self.url

    def folder(self, source: str, day: date) -> str:
        """Path of a delivery, as people write it."""
        return f"{self.url.rstrip('/')}/{source}/day={day}"

    def days_of(self, source: str) -> list[date]:
        """Days on which the source has a complete delivery."""
        return [day for day in self._folders(source) if self.is_complete(source, day)]

    def first_day(self, source: str) -> date | None:
        """The first day on which the source has a complete delivery."""
        return next((day for day in self._folders(source) if self.is_complete(source, day)), None)

    def _folders(self, source: str) -> list[date]:
        from pyarrow import fs

        system, root = self._root
        found = []
        for info in system.get_file_info(fs.FileSelector(f"{root}/{source}", allow_not_found=True)):
            name = info.base_name
            if info.type != fs.FileType.Directory or not name.startswith("day="):
                continue
            try:
                found.append(parse_day(name.removeprefix("day=")))
            except NotADayError as error:
                raise InputError(
                    f"The landing zone has a folder {source}/{name}.", todo=f"{error} Rename or remove the folder."
                ) from error
        return sorted(found)

    def parts(self, source: str, since: date) -> list[Part]:
        """Complete deliveries of days from `since` on, and complete hours of them, in the order in which they are over."""
        _, root = self._root
        found = []
        for day in self._folders(source):
            if day >= since:
                folder = f"{root}/{source}/day={day}"
                found += [Part(source, day, hour, path) for hour, path in self._complete_within(folder)]
        return sorted(found, key=lambda part: (part.is_over_at, part.hour is None))

    def _complete_within(self, folder: str) -> Iterator[tuple[int | None, str]]:
        from pyarrow import fs

        system, _ = self._root
        infos = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        folders = {info.base_name: info.path for info in infos if info.type == fs.FileType.Directory}
        hours = [(int(named[1]), path) for name, path in folders.items() if (named := HOUR.fullmatch(name))]
        for hour, path in [*hours, (None, folder)]:
            if system.get_file_info(f"{path}/{SUCCESS}").type == fs.FileType.File:
                yield hour, path

    def files(self, part: Part) -> list[FoundFile]:
        """Files of a part, by name. Those of hours are no files of their day."""
        from pyarrow import fs

        system, _ = self._root
        infos = system.get_file_info(fs.FileSelector(part.path, recursive=True))
        named = [(_below(part.path, info.path), info) for info in infos if info.type == fs.FileType.File]
        return sorted(
            (
                FoundFile(name, info.path, info.size, info.mtime or datetime.fromtimestamp(0, UTC))
                for name, info in named
                if _is_data(name, by_hour=part.hour is None)
            ),
            key=lambda file: file.name,
        )

    def content(self, path: str) -> bytes:
        """Read a file."""
        system, _ = self._root
        with system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def is_complete(self, source: str, day: date) -> bool:
        from pyarrow import fs

        system, root = self._root
        return system.get_file_info(f"{root}/{source}/day={day}/{SUCCESS}").type == fs.FileType.File

    def deliveries(self, contract: Contract, days: Days) -> list[Delivery]:
        """
        Look at the complete deliveries of a source on some days; a day without one is left out.

        Raises InputError if a file lacks a required column, has a time without a zone, or if an unreadable file is all
        that there is for its day: nothing is loaded of such a source.
        """
        source = contract.lands.source
        unseen = [day for day in days if (source, day) not in self._looked]
        with ThreadPoolExecutor(8) as pool:
            complete = pool.map(lambda day: self.is_complete(source, day), unseen)
            present = [day for day, is_there in zip(unseen, complete, strict=True) if is_there]
            found = list(pool.map(lambda day: self._delivery(contract, day), present))
        for delivery in found:
            _refuse_unusable(contract, delivery, self.folder(source, delivery.day))
            self._looked[source, delivery.day] = delivery
        return [self._looked[source, day] for day in days if (source, day) in self._looked]

    def refuse_unusable(self, days: Days) -> None:
        """
        Raise what `deliveries` raises for any source that scores are made of, before the first of them is loaded.

        What permission is made of stops no run: its own ingestion fails.
        """
        from rekindle.warehouse import contracts

        for source in contracts.landing_sources():
            if source not in contracts.permission_sources():
                self.deliveries(contracts.landing_contract(source), days)

    def _delivery(self, contract: Contract, day: date) -> Delivery:
        from pyarrow import fs

        system, root = self._root
        source = contract.lands.source
        folder = f"{root}/{source}/day={day}"
        infos = system.get_file_info(fs.FileSelector(folder, recursive=True))
        named = [(_below(folder, info.path), info) for info in infos if info.type == fs.FileType.File]
        files = [
            _look(system, info.path, name, info.size)
            for name, info in named
            if _is_data(name, by_hour=contract.lands.by_hour)
        ]
        return Delivery(source, day, tuple(sorted(files, key=lambda f: f.name)))

    def why_unsupplied(self, sources: Iterable[str], day: date) -> str | None:
        """Say which of the sources had no complete delivery up to `day`; None where all had one."""
        absent = [source for source in sources if not self.has_begun(source, day)]
        return f"nothing was ever delivered of {', '.join(absent)}" if absent else None

    def expected(self, day: date) -> list[str]:
        """
        Sources that must deliver on a day: the required ones and those that have delivered before.

        Of a group of which one is required all are named as long as none has delivered.
        """
        from rekindle.warehouse import contracts

        landings = [contracts.landing_contract(source).lands for source in contracts.landing_sources()]
        begun = [landing for landing in landings if self.has_begun(landing.source, day)]
        groups = {landing.required for landing in begun}
        return [
            landing.source
            for landing in landings
            if landing in begun or landing.required is True or (landing.required and landing.required not in groups)
        ]

    def has_begun(self, source: str, day: date) -> bool:
        """Whether the source has had a complete delivery up to `day`."""
        first = self.first_day(source)
        return first is not None and first <= day

    def missing(self, day: date) -> list[str]:
        """Expected sources whose delivery of the day is not complete."""
        return [source for source in self.expected(day) if not self.is_complete(source, day)]

    def holding_up(self, day: date) -> list[str]:
        """Of the missing those without which the day is not scored: permission is only taken away without its own."""
        from rekindle.warehouse import contracts

        return [source for source in self.missing(day) if source not in contracts.permission_sources()]


def no_delivery(zone: LandingZone, day: date, missing: list[str]) -> InputError:
    """The error of a day whose deliveries did not come."""
    from rekindle.warehouse import contracts

    paths = ", ".join(f"{zone.folder(source, day)}/{SUCCESS}" for source in missing)
    either = [
        source
        for source in missing
        if isinstance(contracts.landing_contract(source).lands.required, str) and not zone.has_begun(source, day)
    ]
    hint = f" Of {' and '.join(either)} one is enough." if len(either) > 1 else ""
    return InputError(
        f"There is no complete delivery for {day}: looked for {paths}.{hint}",
        todo="Deliver it, an empty folder with _SUCCESS if there is no news, and run the day again.",
        safe="Nothing was written; the published tables stay as they are.",
        code="no_delivery",
    )


def _is_data(name: str, *, by_hour: bool) -> bool:
    """Whether a file of a delivery is somebody's data; those of hours are none of a source that delivers hours ahead."""
    folder, *below = name.split("/")
    is_of_an_hour = by_hour and bool(below) and HOUR.fullmatch(folder) is not None
    return not is_of_an_hour and not any(part.startswith(UNSEEN) for part in (folder, *below))


def _below(folder: str, path: str) -> str:
    """The path of a file within a folder; file systems write the way to the folder in their own manner."""
    marker = f"/{'/'.join(folder.split('/')[-2:])}/"
    return path.split(marker, f"{folder}/".count(marker))[-1]


def _look(system: FileSystem, path: str, name: str, size: int) -> LandedFile:
    """Digest and columns of a file, and how many rows it holds."""
    with system.open_input_stream(path) as stream:
        content = stream.read()
    digest = hashlib.sha256(content).hexdigest()
    try:
        rows, columns, types = outline(name, content)
    except UnreadableFileError as error:
        return LandedFile(name, path, size, digest, 1, (), {}, error.reason)
    return LandedFile(name, path, size, digest, rows, columns, types)


def _refuse_unusable(contract: Contract, delivery: Delivery, folder: str) -> None:
    for file in delivery.files:
        if file.unreadable:
            if all(other.unreadable for other in delivery.files):
                raise unreadable_delivery(folder, file.name, file.unreadable)
        elif file.rows or file.columns:
            where = f"{folder}/{file.name}"
            refuse_names(contract, where, file.columns)
            refuse_missing(contract, where, file.columns)
            refuse_types(contract, where, file.types)


def has_header(contract: Contract, columns: Collection[str]) -> bool:
    """
    Whether the names of a file's columns are names, because one is the contract's.

    In a file without a header they are somebody's phone and id, and no error quotes them.
    """
    return any(column.name in columns for column in contract.delivered)


def refuse_names(contract: Contract, where: str, columns: Collection[str]) -> None:
    """Raise InputError if a column's name is not UTF-8, or is the name of two."""
    if not all(map(is_utf8, columns)):
        raise InputError(
            f"{where}: the names of its columns are not UTF-8.", todo="Write the file in UTF-8.", code="not_utf8"
        )
    if twice := repeated(columns):
        raise duplicate_column(where, twice if has_header(contract, columns) else None)


def refuse_missing(contract: Contract, where: str, columns: Collection[str]) -> None:
    """Raise InputError if a required column is not there."""
    required = [c for c in contract.delivered if c.must_be_delivered]
    for column in required:
        if column.name not in columns:
            near = difflib.get_close_matches(column.name, columns, 1, 0.5) if has_header(contract, columns) else []
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if len(columns) == 1 and any(separator in next(iter(columns)) for separator in ";\t|"):
                hint = " Its header is one cell: separate cells by commas."
            raise InputError(
                f"{where} has no column {column.name!r}, which is required.{hint}",
                todo=f"Deliver the columns {', '.join(c.name for c in required)}.",
                code="missing_column",
            )


def refuse_types(contract: Contract, where: str, types: Mapping[str, str]) -> None:
    """Raise InputError if a column of a Parquet file has a type without a plain text, or times without a zone."""
    for column in contract.delivered:
        kind = types.get(column.name, "")
        if column.type == "timestamp" and (
            kind.startswith("date") or (kind.startswith("timestamp") and "tz=" not in kind)
        ):
            raise no_time_zone(where, column.name)
        if unsupported_type(kind, column.type):
            raise InputError(
                f"{where}, column {column.name!r} is of the type {kind}, which has no plain text.",
                todo=f"Write it as {column.spark_type}, or as text.",
                code="unsupported_type",
            )


NOTHING_OF_IT = "Nothing of this delivery was written; what is published stays as it is."
"""What only Spark can see is found when other sources of the day may be loaded already."""


def unreadable_delivery(folder: str, name: str, reason: str) -> InputError:
    """The error of a delivery of which no file can be read: an empty day must be said, not guessed."""
    return InputError(
        f"{folder}/{name} is unreadable ({reason}), and no other file of its delivery can be read.",
        todo="Deliver the day again.",
        safe=NOTHING_OF_IT,
        code="unreadable_delivery",
    )


def duplicate_column(where: str, column: str | None) -> InputError:
    """The error of a name, None where it may be no name, that stands for two columns: nobody said which is meant."""
    return InputError(
        f"{where} has {'a column' if column is None else f'the column {column!r}'} twice.",
        todo="Keep one of the two.",
        safe=NOTHING_OF_IT,
        code=DUPLICATE_COLUMN,
    )


def no_time_zone(where: str, column: str) -> InputError:
    """The error of a time of which nobody said in which zone it is."""
    return InputError(
        f"{where}, column {column!r}: the time has no zone.",
        todo="Write times as ISO 8601 with a zone, 2017-06-01T12:00:00Z, or as Parquet timestamps with a zone.",
        safe=NOTHING_OF_IT,
        code="no_time_zone",
    )
