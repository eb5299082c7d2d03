"""
Deliveries of all sources, looked at without loading them: what is expected, what is there, and what of it cannot be used.

Where a source's deliveries come from is its `Origin`'s: folders of the landing zone, or the table that `sources` in
conf/rekindle.yml names for it.

Some sources may deliver hours of a day ahead, `day=YYYY-MM-DD/hour=HH/` with a `_SUCCESS` of its own: permission is taken away
by them. The day's delivery holds the same rows again, and is all that is loaded.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing import tables
from rekindle.landing.declared import declared
from rekindle.landing.folders import Folders, opened
from rekindle.landing.formats import DUPLICATE_COLUMN, is_utf8, repeated, unsupported_type
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.landing.delivery import Delivery, FoundFile, Origin, Part
    from rekindle.warehouse.contracts import Contract


class LandingZone:
    """
    The landing zone that settings name, as one run sees it.

    What an instance has looked at it does not read again, on whichever days it is asked next, so a run can look at all
    sources before it loads the first.
    """

    def __init__(self, url: str | None = None, spark: SparkSession | None = None) -> None:
        self.url = url or settings().landing_zone
        self._spark = spark
        # Who names a landing zone asks for its folders.
        self._declared = {} if url else declared(settings().sources)
        self._looked: dict[tuple[str, date], Delivery] = {}
        self._origins: dict[str, Origin] = {}
        self._first_days: dict[str, date] = {}

    def _origin(self, source: str) -> Origin:
        """Where the source's deliveries come from."""
        if source in self._declared and source not in self._origins:
            self._origins[source] = tables.origin(self._declared[source], self._spark)
        if source not in self._origins:
            system, root = self._root
            self._origins[source] = Folders(source, system, root, self.url)
        return self._origins[source]

    @cached_property
    def _root(self) -> tuple[FileSystem, str]:
        return opened(self.url)

    def folder(self, source: str, day: date) -> str:
        """Where a delivery is, as people write it."""
        return self._origin(source).place(day)

    def sign(self, source: str, day: date) -> str:
        """What says that a delivery is complete, as people write it."""
        return self._origin(source).sign(day)

    @property
    def asks_spark(self) -> bool:
        """Whether some source is a table, of which Spark alone knows what has arrived."""
        return bool(self._declared)

    def days_of(self, source: str) -> list[date]:
        """Days on which the source has a complete delivery."""
        return self._origin(source).days()

    def first_day(self, source: str) -> date | None:
        """The first day on which the source has a complete delivery."""
        # Asked for each product and source; what has begun does not begin again.
        if source not in self._first_days and (first := self._origin(source).first_day()):
            self._first_days[source] = first
        return self._first_days.get(source)

    def is_complete(self, source: str, day: date) -> bool:
        return self._origin(source).is_complete(day)

    def parts(self, source: str, since: date) -> list[Part]:
        """Complete deliveries of days from `since` on, and complete hours of them, in the order in which they are over."""
        return self._origin(source).parts(since)

    def files(self, part: Part) -> list[FoundFile]:
        """Files of a part, by name. Those of hours are no files of their day."""
        return self._origin(part.source).files(part)

    def content(self, part: Part, file: FoundFile) -> bytes:
        """Read a file of a part."""
        return self._origin(part.source).content(file.path)

    def deliveries(self, contract: Contract, days: Days) -> list[Delivery]:
        """
        Look at the complete deliveries of a source on some days; a day without one is left out.

        Raises InputError if a file lacks a required column, has a time without a zone, or if an unreadable file is all
        that there is for its day: nothing is loaded of such a source.
        """
        source = contract.lands.source
        if unseen := tuple(day for day in days if (source, day) not in self._looked):
            for delivery in self._origin(source).look(contract, Days(unseen)):
                _refuse_unusable(contract, delivery, self.folder(source, delivery.day))
                self._looked[source, delivery.day] = delivery
        return [self._looked[source, day] for day in days if (source, day) in self._looked]

    def cells(self, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame | None:
        """Rows of deliveries with typed cells, to be told into texts; None where files are to be read."""
        return self._origin(contract.lands.source).cells(contract, deliveries)

    def refuse_unusable(self, days: Days) -> None:
        """
        Raise what `deliveries` raises for any source that scores are made of, before the first of them is loaded.

        What permission is made of stops no run: its own ingestion fails.
        """
        from rekindle.warehouse import contracts

        for source in contracts.landing_sources():
            if source not in contracts.permission_sources():
                self.deliveries(contracts.landing_contract(source), days)

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

    paths = ", ".join(zone.sign(source, day) for source in missing)
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
