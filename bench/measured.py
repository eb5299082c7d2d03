"""A line of the table: what took how long, and beside what."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGITS = 2


@dataclass(frozen=True)
class Measured:
    """What was measured, in one run with what it is held against; without a limit it is shown beside the others."""

    aim: str
    """A letter of docs/speed.md."""
    what: str
    ours: float
    anchor: float | None = None
    """What `ours` is a multiple of; None where the limit is one of `ours` itself."""
    beside: str = ""
    """What the anchor is."""
    at_most: float | None = None
    unit: str = "s"
    holds_back: str = ""
    """What took longest, for a line that misses its limit."""

    @property
    def value(self) -> float:
        """What the limit is one of: a ratio where there is an anchor."""
        return self.ours if self.anchor is None else self.ours / self.anchor

    @property
    def holds(self) -> bool:
        """NaN holds nothing."""
        return self.at_most is None or self.value <= self.at_most

    @property
    def verdict(self) -> str:
        if self.at_most is None:
            return "shown"
        return "reached" if self.holds else f"**miss**{f': {self.holds_back}' if self.holds_back else ''}"

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table: aim, what, ours, beside what, ratio, limit, verdict."""
        beside = "" if self.anchor is None else f"{self.beside}: {_told(self.anchor, self.unit)}"
        ratio = "" if self.anchor is None else f"{self.value:.{DIGITS}f}"
        limit = "" if self.at_most is None else f"{self.at_most:g}{'' if self.anchor is not None else f' {self.unit}'}"
        return self.aim, self.what, _told(self.ours, self.unit), beside, ratio, limit, self.verdict


HEADS = "", "what", "ours", "beside", "ratio", "at most", ""


def _told(value: float, unit: str) -> str:
    return f"{value:,.{DIGITS if value < 10 else 1}f} {unit}"  # noqa: PLR2004 - three digits say enough


@contextmanager
def clock() -> Iterator[list[float]]:
    """Time a block; the list holds its seconds afterwards."""
    seconds: list[float] = []
    begun = time.monotonic()
    yield seconds
    seconds.append(time.monotonic() - begun)
