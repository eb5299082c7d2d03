"""
What a campaign earned for what it cost: ratios of differences between arms.

The interval of a ratio is Fieller's: the values r for which numerator - r * denominator cannot be told from zero. It has no
upper end where the denominator itself cannot be told from zero, which no delta method would say.

Source: Fieller, *Some Problems in Interval Estimation* (JRSS B 1954).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

from rekindle.experiments.compare import FROM_ZERO
from rekindle.experiments.estimates import covariance_of_differences, difference

if TYPE_CHECKING:
    from rekindle.experiments.estimates import Estimate, Interval
    from rekindle.experiments.sums import Sums


@dataclass(frozen=True)
class Ratio:
    """A ratio, None where what it is divided by is not above zero; its interval, None where every value is possible."""

    value: float | None
    interval: Interval | None


def fieller(numerator: Estimate, denominator: Estimate, covariance: float, alpha: float) -> Ratio:
    """
    The ratio of two estimates with its interval.

    Where the denominator cannot be told from zero, the values that are possible are all, or all but those between two ends;
    of these the upper part is returned where the ratio is above zero, without an upper end.
    """
    freedom = min(f for f in (numerator.freedom, denominator.freedom, math.inf) if f > 0)
    level = float(stats.t.isf(alpha / 2, freedom)) if math.isfinite(freedom) else float(stats.norm.isf(alpha / 2))
    top, bottom = numerator.value, denominator.value
    value = top / bottom if bottom > 0 else None
    # a r^2 - 2 b r + c <= 0
    a = bottom**2 - level**2 * denominator.variance
    b = top * bottom - level**2 * covariance
    c = top**2 - level**2 * numerator.variance
    root = b * b - a * c
    if value is None or root < 0:
        return Ratio(value, None)
    if a > 0:
        return Ratio(value, ((b - math.sqrt(root)) / a, (b + math.sqrt(root)) / a))
    if a == 0 or c <= 0:
        return Ratio(value, None)
    return Ratio(value, (max((b - math.sqrt(root)) / a, (b + math.sqrt(root)) / a), math.inf))


def cost_per_return(treated: Sums, control: Sums, alpha: float) -> Ratio:
    """What one more return cost: y is the return of a user, x what was spent on it."""
    cost, returns = difference(treated.of_covariate, control.of_covariate), difference(treated, control)
    return fieller(cost, returns, covariance_of_differences(treated, control), alpha)


def return_on_spend(treated: Sums, control: Sums, alpha: float) -> Ratio:
    """Incremental return on ad spend: value that was caused for each unit of money; y is a user's value, x its cost."""
    cost, value = difference(treated.of_covariate, control.of_covariate), difference(treated, control)
    return fieller(value, cost, covariance_of_differences(treated, control), alpha)


def told_of_cost(effect: Interval) -> str | None:
    """Say why no cost of a return can be named, given the interval of the returns themselves; None where one can."""
    if effect[0] <= 0 <= effect[1]:
        return f"returns caused {FROM_ZERO}, so no cost of one can be named"
    return None if effect[0] > 0 else "fewer came than of those left alone"


def told_of_return(ratio: Ratio) -> str:
    """Say whether the money came back."""
    if ratio.interval is None or ratio.interval[0] <= 0 <= ratio.interval[1]:
        return FROM_ZERO
    low, high = ratio.interval
    return "earns more than it costs" if low > 1 else "costs more than it earns" if high < 1 else "may or may not pay"
