"""
How far a distribution has moved, and whether chance moves one of its size as far.

The population stability index of two counts over the same bins is sum((p - q) * ln(p / q)). Where both are samples of one
distribution, it is near a chi-square variable of (bins - 1) degrees of freedom times (1/n + 1/m) (Yurdakul and Naranjo,
"Statistical properties of the population stability index", Journal of Risk Model Validation, 2020). So a fixed limit warns
every day of a small population and hardly ever of a large one; ours follows the sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ROWS = 500
"""Of fewer rows on either side nothing is said: chance alone moves them far."""

CHANCE = 0.0001
"""How often chance alone goes beyond the limit: with some fifty figures a day, once in half a year."""

NOTABLE = 0.2
"""A smaller move is nobody's news, however many rows prove it; by convention .1 to .25 is a moderate shift."""

Verdict = Literal["steady", "moved", "too_few_rows"]


@dataclass(frozen=True)
class Stability:
    """How far a figure's distribution has moved between two days, and what would be far."""

    index: float
    limit: float
    rows: int
    rows_before: int

    @property
    def verdict(self) -> Verdict:
        """Say whether it has moved."""
        if min(self.rows, self.rows_before) < LEAST_ROWS:
            return "too_few_rows"
        return "moved" if self.index > self.limit else "steady"


def stability(now: Sequence[int], before: Sequence[int]) -> Stability:
    """Compare counts over the same bins; half a row is added to each bin, so that an empty one says nothing infinite."""
    kept = [(a, b) for a, b in zip(now, before, strict=True) if a or b]
    rows, rows_before = sum(now), sum(before)
    half = len(kept) / 2
    index = sum(
        (p - q) * math.log(p / q)
        for p, q in (((a + 0.5) / (rows + half), (b + 0.5) / (rows_before + half)) for a, b in kept)
    )
    return Stability(index, limit_of(len(kept), rows, rows_before), rows, rows_before)


def limit_of(bins: int, rows: int, rows_before: int) -> float:
    """Return the index that chance alone exceeds with probability CHANCE; never less than what is notable."""
    from scipy.stats import chi2

    if bins < 2 or not rows or not rows_before:  # noqa: PLR2004 - one bin cannot move
        return NOTABLE
    return max(NOTABLE, float(chi2.isf(CHANCE, bins - 1)) * (1 / rows + 1 / rows_before))


@dataclass(frozen=True)
class ShareMove:
    """A share of users on a day and before, and the largest difference that is not news."""

    share: float
    before: float
    limit: float

    @property
    def has_moved(self) -> bool:
        """Whether the share moved beyond chance and beyond what is notable."""
        return abs(self.share - self.before) > self.limit


NOTABLE_SHARE = 0.02
"""Two of a hundred users: below that nobody would do anything."""


def share_move(count: int, of: int, count_before: int, of_before: int) -> ShareMove:
    """Compare two shares by the difference that chance exceeds once in ten thousand times, pooled variance."""
    from scipy.stats import norm

    share, before = (c / n if n else 0.0 for c, n in ((count, of), (count_before, of_before)))
    if not of or not of_before:
        return ShareMove(share, before, 1.0)
    pooled = (count + count_before) / (of + of_before)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_before))
    return ShareMove(share, before, max(NOTABLE_SHARE, float(norm.isf(CHANCE / 2)) * error))
