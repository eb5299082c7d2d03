"""
Deliveries: what lies in the landing zone, looked at without loading it.

`landing/<source>/day=YYYY-MM-DD/` is a delivery; it is complete when `_SUCCESS` is there. The landing zone is a local
folder or any URL that pyarrow's file systems read (s3://, gs://, hdfs:// …).

Rows are counted here, from the files, by other code than the one that loads them: that is what the law
*delivered = loaded + duplicates + quarantined* is asserted against.
"""

from __future__ import annotations

import difflib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

    from pyarrow.fs import FileSystem

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract

SUCCESS = "_SUCCESS"
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
            found = list(pool.map(lambda day: self._delivery(source, day), present))
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

    def _delivery(self, source: str, day: date) -> Delivery:
        from pyarrow import fs

        system, root = self._root
        folder = f"{root}/{source}/day={day}"
        infos = system.get_file_info(fs.FileSelector(folder, recursive=True))
        named = [(_below(folder, info.path), info) for info in infos if info.type == fs.FileType.File]
        files = [
            _look(system, info.path, name, info.size)
            for name, info in named
            if not any(part.startswith(UNSEEN) for part in name.split("/"))
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
