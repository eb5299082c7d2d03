"""
Deliveries: what lies in the landing zone, looked at without loading it.

`landing/<source>/day=YYYY-MM-DD/` is a delivery; it is complete when `_SUCCESS` is there. The landing zone is a local
folder or any URL that pyarrow's file systems read (s3://, gs://, hdfs:// …).

Rows are counted here, from the files, by other code than the one that loads them: that is what the law
*delivered = loaded + duplicates + quarantined* is asserted against.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rekindle.days import NotADayError, parse_day
from rekindle.errors import InputError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from pyarrow.fs import FileSystem

    from rekindle.contracts import Contract
    from rekindle.days import Days

SUCCESS = "_SUCCESS"
FORMATS = ("parquet", "csv", "jsonl")
END_OF_CSV = "\x00 end of file"
"""A line that no export writes, read after the last one of a csv file."""

JSON_PROBE_ROWS = 1000
"""A jsonl file has no header: its columns are those of its first rows."""


@dataclass(frozen=True)
class LandedFile:
    """One file of a delivery. `rows` is what it holds, 1 where it is unreadable (it is then one quarantined thing)."""

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
        return self.name.rsplit(".", 1)[-1]


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

    What an instance has looked at it does not read again, so a run can look at all sources before it loads the first.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or settings().landing_zone
        self._looked: dict[tuple[str, Days], list[Delivery]] = {}

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
        source = contract.landing.source
        if (source, days) in self._looked:
            return self._looked[source, days]
        with ThreadPoolExecutor(8) as pool:
            complete = pool.map(lambda day: self.is_complete(source, day), days)
            present = [day for day, is_there in zip(days, complete, strict=True) if is_there]
            found = list(pool.map(lambda day: self._delivery(source, day), present))
        for delivery in found:
            _refuse_unusable(contract, delivery, self.folder(source, delivery.day))
        self._looked[source, days] = found
        return found

    def refuse_unusable(self, days: Days) -> None:
        """Raise what `deliveries` raises for any source, before the first of them is loaded."""
        from rekindle import contracts

        for source in contracts.landing_sources():
            self.deliveries(contracts.landing_contract(source), days)

    def _delivery(self, source: str, day: date) -> Delivery:
        from pyarrow import fs

        system, root = self._root
        infos = system.get_file_info(fs.FileSelector(f"{root}/{source}/day={day}"))
        files = [
            _look(system, info.path, info.base_name, info.size)
            for info in infos
            if info.type == fs.FileType.File and not info.base_name.startswith(("_", "."))
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
        from rekindle import contracts

        landings = [contracts.landing_contract(source).landing for source in contracts.landing_sources()]
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


def no_delivery(zone: LandingZone, day: date, missing: list[str]) -> InputError:
    """The error of a day whose deliveries did not come."""
    from rekindle import contracts

    paths = ", ".join(f"{zone.folder(source, day)}/{SUCCESS}" for source in missing)
    either = [
        source
        for source in missing
        if isinstance(contracts.landing_contract(source).landing.required, str) and not zone.has_begun(source, day)
    ]
    hint = f" Of {' and '.join(either)} one is enough." if len(either) > 1 else ""
    return InputError(
        f"There is no complete delivery for {day}: looked for {paths}.{hint}",
        todo="Deliver it, an empty folder with _SUCCESS if there is no news, and run the day again.",
        safe="Nothing was written; the published tables stay as they are.",
        code="no_delivery",
    )


def _look(system: FileSystem, path: str, name: str, size: int) -> LandedFile:
    """Digest and columns of a file, and how many rows it holds."""
    with system.open_input_stream(path) as stream:
        content = stream.read()
    digest = hashlib.sha256(content).hexdigest()
    try:
        rows, columns, types = _count(name, content)
    except UnreadableFileError as error:
        return LandedFile(name, path, size, digest, 1, (), {}, error.reason)
    return LandedFile(name, path, size, digest, rows, columns, types)


class UnreadableFileError(Exception):
    """A file that cannot be read as what its name says; `reason` is the code in raw.quarantine."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def _count(name: str, content: bytes) -> tuple[int, tuple[str, ...], dict[str, str]]:
    if not content:
        raise UnreadableFileError("empty_file")
    kind = name.rsplit(".", 1)[-1]
    if kind == "parquet":
        return _count_parquet(content)
    if kind not in FORMATS:
        raise UnreadableFileError("unknown_format")
    text = decoded(content)
    if kind == "csv":
        records = csv_records(text)
        header = next(records, [])
        return sum(1 for record in records if record), tuple(header), {}
    lines = [line for line in text.split("\n") if line.strip()]
    columns: dict[str, None] = {}
    for line in lines[:JSON_PROBE_ROWS]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the row is quarantined where it is loaded
        if isinstance(row, dict):
            columns.update(dict.fromkeys(row))
    return len(lines), tuple(columns), {}


def _count_parquet(content: bytes) -> tuple[int, tuple[str, ...], dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if content[:4] != b"PAR1":
        raise UnreadableFileError("not_parquet")
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        schema = file.schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableFileError("truncated_parquet") from error
    return file.metadata.num_rows, tuple(schema.names), {f.name: str(f.type) for f in schema}


def decoded(content: bytes) -> str:
    """Text of a csv or jsonl file. Bytes that are not UTF-8 become surrogates, so that only their rows are lost."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableFileError("not_utf8")
    return content.decode("utf-8-sig", errors="surrogateescape")


def csv_records(text: str) -> Iterator[list[str]]:
    """
    Read the records of a csv file.

    A quote that is never closed makes the rest of the file one cell of one row, which nobody misses: a last line of our
    own is then not a record of its own. Raises UnreadableFileError.
    """
    csv.field_size_limit(sys.maxsize)
    record = None
    for following in csv.reader(io.StringIO(f"{text}\n{END_OF_CSV}\n", newline="")):
        if record is not None:
            yield record
        record = following
    if record != [END_OF_CSV]:
        raise UnreadableFileError("open_quote")


def _refuse_unusable(contract: Contract, delivery: Delivery, folder: str) -> None:
    required = [c for c in contract.delivered if not c.nullable and c.default is None]
    for file in delivery.files:
        if file.unreadable:
            if all(other.unreadable for other in delivery.files):
                raise unreadable_delivery(folder, file.name, file.unreadable)
            continue
        if not file.rows and not file.columns:
            continue
        for column in required:
            if column.name not in file.columns:
                near = difflib.get_close_matches(column.name, file.columns, 1, 0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InputError(
                    f"{folder}/{file.name} has no column {column.name!r}, which is required.{hint}",
                    todo=f"Deliver the columns {', '.join(c.name for c in required)}.",
                    code="missing_column",
                )
        for column in contract.delivered:
            kind = file.types.get(column.name, "")
            if column.type == "timestamp" and (
                kind.startswith("date") or (kind.startswith("timestamp") and "tz=" not in kind)
            ):
                raise no_time_zone(f"{folder}/{file.name}", column.name)


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


def no_time_zone(where: str, column: str) -> InputError:
    """The error of a time of which nobody said in which zone it is."""
    return InputError(
        f"{where}, column {column!r}: the time has no zone.",
        todo="Write times as ISO 8601 with a zone, 2017-06-01T12:00:00Z, or as Parquet timestamps with a zone.",
        safe=NOTHING_OF_IT,
        code="no_time_zone",
    )
