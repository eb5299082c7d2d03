"""
Days: the only clock a job knows.

A day is the UTC day whose delivery is processed. A job takes `Days`, never "today".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_DAY = timedelta(days=1)


class NotADayError(ValueError):
    """A text that is not a calendar day, or a range that runs backwards."""


def parse_day(text: str) -> date:
    """Read `2017-06-01`. Anything else, `2026-13-01` or `20170601` included, is refused with the form that is expected."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise NotADayError(f"{text!r} is not a day. Write it as YYYY-MM-DD, for example 2017-06-01.")
    return day


@dataclass(frozen=True)
class Days:
    """A set of days, in order, at least one. Need not be contiguous: a history is built for its weekly days."""

    all: tuple[date, ...]

    def __post_init__(self) -> None:
        if not self.all:
            raise NotADayError("No day was given.")
        object.__setattr__(self, "all", tuple(sorted(set(self.all))))

    @classmethod
    def one(cls, day: date) -> Days:
        return cls((day,))

    @classmethod
    def between(cls, first: date, last: date) -> Days:
        """Each day from `first` to `last`, both included."""
        if last < first:
            raise NotADayError(f"The range ends on {last}, before it begins on {first}. Swap the two.")
        return cls(tuple(first + n * ONE_DAY for n in range((last - first).days + 1)))

    @property
    def first(self) -> date:
        return self.all[0]

    @property
    def last(self) -> date:
        return self.all[-1]

    def __iter__(self) -> Iterator[date]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __str__(self) -> str:
        return str(self.first) if len(self) == 1 else f"{self.first} to {self.last} ({len(self)} days)"
