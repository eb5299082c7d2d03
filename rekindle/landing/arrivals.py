"""
By what the rows of a table arrive, and so which of them are a day's delivery: told from a log, without a look into a table.

A day closes at midnight UTC, or `closes_after_hours` later. What is open still is complete for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from rekindle.days import ONE_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SAME_ROWS = ("replace",)
"""Snapshots of these operations hold the rows of those before them, written otherwise."""


@dataclass(frozen=True)
class Closing:
    """When days close."""

    hours: int = 0

    def closes_at(self, day: date) -> datetime:
        """The first moment that belongs to the next day."""
        return datetime.combine(day + ONE_DAY, time(self.hours), UTC)

    def day_of(self, at: datetime) -> date:
        """The day for which something is delivered that arrived at a time."""
        return (at.astimezone(UTC) - timedelta(hours=self.hours)).date()


@dataclass(frozen=True)
class Span:
    """The days that a table can tell of: from the first, and those that are over because something later has arrived."""

    first: date | None
    last_arrival: date | None

    def is_over(self, day: date) -> bool:
        return self.last_arrival is not None and day < self.last_arrival

    def has(self, day: date) -> bool:
        return self.first is not None and self.first <= day

    def over(self) -> list[date]:
        """All days that are over."""
        if self.first is None or self.last_arrival is None:
            return []
        return [self.first + n * ONE_DAY for n in range((self.last_arrival - self.first).days)]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of an Iceberg table: `added_rows` as whoever committed it has counted them."""

    parent: int | None
    operation: str
    added_rows: int = 0


@dataclass(frozen=True)
class SnapshotLog:
    """
    What an Iceberg table has shown, and since when: (time, snapshot) in the order of time, and all snapshots that there are.

    Snapshots expire, and the log with them. What its first one has added can be told only if it had none before it.
    """

    shown: Sequence[tuple[datetime, int]]
    snapshots: Mapping[int, Snapshot] = field(default_factory=dict)
    closing: Closing = field(default_factory=Closing)

    @property
    def span(self) -> Span:
        if not self.shown:
            return Span(None, None)
        begun, last = (self.closing.day_of(self.shown[at][0]) for at in (0, -1))
        return Span(begun if self._begins else begun + ONE_DAY, last)

    @property
    def _begins(self) -> bool:
        """Whether the first snapshot of the log has none before it that has expired."""
        at: int | None = self.shown[0][1]
        while at is not None and at in self.snapshots:
            at = self.snapshots[at].parent
        return at is None

    def at_end_of(self, day: date) -> int | None:
        """What was shown when a day closed; None before the first."""
        end = self.closing.closes_at(day)
        return next((snapshot for at, snapshot in reversed(self.shown) if at < end), None)

    def of_day(self, day: date) -> tuple[int | None, int | None]:
        """The snapshots between which a day's delivery lies."""
        return self.at_end_of(day - ONE_DAY), self.at_end_of(day)

    def appended(self, base: int | None, last: int | None) -> list[int] | None:
        """The snapshots after `base` up to `last`; None where one of them does more than add rows to the one before it."""
        found = []
        while last != base:
            snapshot = None if last is None else self.snapshots.get(last)
            if last is None or snapshot is None or snapshot.operation not in ("append", *SAME_ROWS):
                return None
            if snapshot.operation not in SAME_ROWS:
                found.append(last)
            last = snapshot.parent
        return found[::-1]

    def added_rows(self, base: int | None, last: int | None) -> int | None:
        """How many rows they have added, as their committers say; None where that does not answer it."""
        between = self.appended(base, last)
        return None if between is None else sum(self.snapshots[one].added_rows for one in between)
