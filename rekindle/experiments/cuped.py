"""
CUPED: what was known of users before they were assigned is taken out of their outcomes.

The arms differ by chance in how likely their users were to come back anyway. y - theta * x, with x the score of before the
assignment, has the same effect and a variance that is 1 - rho^2 of the outcome's, where rho is the correlation of the two.
theta is estimated within the arms and is one for all of them, so an effect does not enter it.

Source: Deng, Xu, Kohavi and Walker, *Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
Data* (WSDM 2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rekindle.experiments.sums import Sums


def theta(arms: Iterable[Sums]) -> float:
    """Outcome that goes with one unit of the covariate, within arms; 0 where the covariate is the same for all."""
    xy = xx = 0.0
    for arm in arms:
        within = _within(arm)
        xx, xy = xx + within[1], xy + within[2]
    return xy / xx if xx > 0 else 0.0


def correlation(arms: Collection[Sums]) -> float:
    """Correlation of outcome and covariate within arms; 0 where one of them is the same for all."""
    yy, xx, xy = (sum(parts) for parts in zip(*map(_within, arms), strict=True)) if arms else (0.0, 0.0, 0.0)
    return float(xy / (xx * yy) ** 0.5) if xx > 0 and yy > 0 else 0.0


def _within(arm: Sums) -> tuple[float, float, float]:
    """Sums of squares and products of what clusters deviate from their arm's means: yy, xx, xy."""
    if not arm.users:
        return 0.0, 0.0, 0.0
    y, x = arm.y / arm.users, arm.x / arm.users
    yy = arm.yy - 2 * y * arm.uy + y * y * arm.uu
    xx = arm.xx - 2 * x * arm.ux + x * x * arm.uu
    # A covariate that is the same for all leaves a remainder of rounding, which must not be divided by.
    return yy, xx if xx > 1e-12 * arm.xx else 0.0, arm.xy - x * arm.uy - y * arm.ux + x * y * arm.uu
