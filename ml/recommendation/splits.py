"""
How interactions are cut into those that are learnt from and those that are tested on.

Each cut says how its training part is cut again, in the same way: what is chosen for one question is not the best for another. Of
the three, only time says what a business would have seen: the others learn from what others did after the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.recommendation.interactions import Interactions

SHARE = 0.75
CUTS_INSIDE = 2


class Split(Protocol):
    """A cut."""

    @property
    def name(self) -> str: ...

    def cut(self, rows: Interactions) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are learnt from, and which are tested on."""
        ...

    def inside(self) -> tuple[Split, ...]:
        """Return how the training part is cut: more than once where that makes the choice less a matter of luck."""
        ...


@dataclass(frozen=True)
class AtRandom:
    """By lot within each user."""

    share: float = SHARE
    seed: int = 0

    @property
    def name(self) -> str:
        return f"random {self.share:.0%} of each user"

    def cut(self, rows: Interactions) -> tuple[np.ndarray, np.ndarray]:
        lot = np.random.default_rng(self.seed).random(len(rows))
        order = np.lexsort((lot, rows.user))
        place = np.empty(len(rows), int)
        place[order] = np.arange(len(rows))
        return _first(rows, place, self.share)

    def inside(self) -> tuple[AtRandom, ...]:
        return tuple(AtRandom(self.share, self.seed + 1 + number) for number in range(CUTS_INSIDE))


@dataclass(frozen=True)
class LastOfEach:
    """The last of each user."""

    share: float = SHARE

    @property
    def name(self) -> str:
        return f"last {1 - self.share:.0%} of each user"

    def cut(self, rows: Interactions) -> tuple[np.ndarray, np.ndarray]:
        return _first(rows, np.arange(len(rows)), self.share)

    def inside(self) -> tuple[LastOfEach, ...]:
        return (self,)


@dataclass(frozen=True)
class ByTime:
    """Everything before a day, and the days from it on."""

    day: float
    days: float

    @property
    def name(self) -> str:
        return f"day {self.day:g} and the {self.days:g} days from it on"

    def cut(self, rows: Interactions) -> tuple[np.ndarray, np.ndarray]:
        return rows.day < self.day, (rows.day >= self.day) & (rows.day < self.day + self.days)

    def inside(self) -> tuple[ByTime, ...]:
        return tuple(ByTime(self.day - back * self.days, self.days) for back in range(CUTS_INSIDE, 0, -1))


def blocks(rows: Interactions, days: float, count: int) -> Iterator[ByTime]:
    """Return the last `count` blocks of so many days, the earliest first."""
    end = np.floor(rows.last_day) + 1
    for back in range(count, 0, -1):
        yield ByTime(float(end - back * days), days)


def _first(rows: Interactions, place: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut each user's rows, of which `place` gives the order, after a share of them."""
    counts = np.bincount(rows.user, minlength=len(rows.users))
    begins = np.cumsum(counts) - counts
    train = place - begins[rows.user] < share * counts[rows.user]
    return train, ~train
