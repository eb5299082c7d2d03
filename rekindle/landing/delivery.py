"""
What a delivery is, wherever it comes from: a folder of the landing zone, or a table of a warehouse.

Whoever loads, waits or looks for what is stale asks an `Origin`, and knows of neither.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from rekindle.landing.formats import form_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pyspark.sql import DataFrame

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract

ARRIVED, COUNTED = "rekindle_arrived", "rekindle_counted"
"""Columns of rows with typed cells: when a row arrived, and how many did on its day, as their table says with the rows."""


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
    is_counted_when_read: bool = False
    """Whether it may be another by then, and says of how many rows with the rows themselves."""

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


class Origin(Protocol):
    """Where the deliveries of one source come from."""

    def place(self, day: date) -> str:
        """Where a day's delivery is, as people write it."""

    def sign(self, day: date) -> str:
        """What says that a day's delivery is complete, as people write it."""

    def is_complete(self, day: date) -> bool:
        """Whether all of a day's delivery is there."""

    def days(self) -> list[date]:
        """Days of which the delivery is complete, in order."""

    def first_day(self) -> date | None:
        """The first of them."""

    def look(self, contract: Contract, days: Days) -> list[Delivery]:
        """Look into the complete deliveries of some days; a day without one is left out."""

    def cells(self, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame | None:
        """Rows of deliveries with typed cells, to be told into texts; None where files are to be read."""

    def parts(self, since: date) -> list[Part]:
        """Complete deliveries of days from `since` on, and complete hours of them, in the order in which they are over."""

    def files(self, part: Part) -> list[FoundFile]:
        """Files of a part, by name."""

    def content(self, path: str) -> bytes:
        """Read a file of a part."""
