"""
Means, differences and ratios, each with its error.

The mean of users in clusters is a ratio of two totals, whose error follows by the delta method; with one user a cluster it
is the usual error of a mean. Source: Deng, Knoblich and Lu, *Applying the Delta Method in Metric Analytics* (KDD 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

if TYPE_CHECKING:
    from rekindle.experiments.sums import Sums

Interval = tuple[float, float]

NOTHING_KNOWN: Interval = (-math.inf, math.inf)

MIN_CLUSTERS = 2
"""Of a single cluster no variance is known."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error, and the degrees of freedom with which the error itself is known."""

    value: float
    variance: float
    freedom: float

    @property
    def error(self) -> float:
        return math.sqrt(self.variance)

    def interval(self, alpha: float) -> Interval:
        """
        The values that are not ruled out at `alpha`, by Student's t.

        Where nothing varied, such as where nobody has come back yet, nothing is known of the error, so nothing is ruled out.
        """
        if not self.variance > 0:
            return NOTHING_KNOWN
        reach = float(stats.t.isf(alpha / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float:
        """How often chance alone makes as large a difference from zero, in either direction."""
        if not self.variance > 0:
            return 1.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))

    def times(self, factor: float) -> Estimate:
        """The figure of so many users."""
        return Estimate(self.value * factor, self.variance * factor**2, self.freedom)


def mean(arm: Sums) -> Estimate:
    """Outcome per user of an arm."""
    if not arm.users:
        return Estimate(0.0, 0.0, 0.0)
    value = arm.y / arm.users
    return Estimate(value, _covariance(arm, value, value, (arm.yy, arm.uy, arm.uy)), arm.clusters - 1)


def difference(treated: Sums, control: Sums) -> Estimate:
    """
    What an assignment changes per user: the difference of two means, their variances not taken to be equal.

    Degrees of freedom by Welch, *The generalization of "Student's" problem* (Biometrika 1947), with clusters in place of users.
    """
    if min(treated.clusters, control.clusters) < MIN_CLUSTERS:
        return Estimate(mean(treated).value - mean(control).value, 0.0, 0.0)
    one, other = mean(treated), mean(control)
    variance = one.variance + other.variance
    shares = one.variance**2 / one.freedom + other.variance**2 / other.freedom
    return Estimate(one.value - other.value, variance, variance**2 / shares if shares else 0.0)


def covariance_of_differences(treated: Sums, control: Sums) -> float:
    """Covariance of the differences of the outcome and of the covariate between two arms."""
    return sum(
        _covariance(arm, arm.y / arm.users, arm.x / arm.users, (arm.xy, arm.uy, arm.ux)) for arm in (treated, control)
    )


def _covariance(arm: Sums, mean_y: float, mean_x: float, products: tuple[float, float, float]) -> float:
    """Of two means of an arm: `products` are the sums of xy, uy and ux over its clusters."""
    if arm.clusters < MIN_CLUSTERS:
        return 0.0
    xy, uy, ux = products
    residual = xy - mean_x * uy - mean_y * ux + mean_x * mean_y * arm.uu
    scale = arm.clusters / (arm.clusters - 1) / arm.users**2
    # Rounding leaves a remainder where all clusters are alike.
    return 0.0 if abs(residual) <= 1e-12 * (abs(xy) + abs(mean_x * uy)) else residual * scale
