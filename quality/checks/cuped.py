"""Taking out a score of before the assignment leaves 1 - rho^2 of the variance, within .03."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quality.figures import Figure, lots
from rekindle.experiments import compare, sums_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERIMENTS = 10_000
USERS = 400
"""Of an arm."""
CORRELATIONS = (0.0, 0.3, 0.6, 0.8)
WITHIN = 0.03


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Repeat experiments with a known correlation, and compare how much the estimates scatter."""
    drawn = lots("Rekindle's score of before")
    for correlation in CORRELATIONS:
        plain, adjusted, claimed = [], [], []
        for _ in range(round(EXPERIMENTS * size)):
            x = drawn.normal(0, 1, (2, USERS))
            y = correlation * x + np.sqrt(1 - correlation**2) * drawn.normal(0, 1, (2, USERS))
            arms = {"sent": sums_of(y[0], x[0]), "control": sums_of(y[1], x[1])}
            (found,) = compare(arms, "control", has_covariate=True)
            plain.append(found.plain.value)
            adjusted.append(found.effect.value)
            claimed.append(found.variance_ratio or 1.0)
        expected = 1 - correlation**2
        ends = (expected - WITHIN, expected + WITHIN)
        yield Figure(
            f"variance left at rho = {correlation}, over experiments", float(np.var(adjusted) / np.var(plain)), *ends
        )
        yield Figure(
            f"variance left at rho = {correlation}, as an experiment itself says", float(np.mean(claimed)), *ends
        )
