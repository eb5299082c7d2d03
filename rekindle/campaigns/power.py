"""
Power: the smallest effect that a campaign could tell from zero, and the control that it would need for the one it expects.

Two shares are compared, two-sided at 5 %, found in 80 of 100 such campaigns; by Cohen's h, the difference of arcsines
(Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, ch. 6), as statsmodels has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ALPHA = 0.05
POWER = 0.8

LARGEST_SHARE = 0.5
"""More control than texted finds less, and sells less."""


@dataclass(frozen=True)
class Power:
    """What a campaign of these sizes can show."""

    texted: int
    controls: int
    base_rate: float
    """Mean chance of a return without a message."""
    expected: float
    """Mean uplift that is expected."""
    detectable: float | None
    """The smallest uplift that is found in 80 of 100; None where an arm has nobody, or no such share is below 1."""
    needed_share: float | None
    """The smallest control share with which the expected uplift is found; None where even half is too little."""
    needed_users: int | None
    """Users in both arms, half of them control, with which it is found."""


def power(texted: int, controls: int, base_rate: float, expected: float) -> Power:
    """Return what a campaign can show; sizes are users, rates and uplift are shares."""
    whole = texted + controls
    found = detectable(texted, controls, base_rate)
    return Power(
        texted,
        controls,
        base_rate,
        expected,
        found,
        _needed_share(whole, base_rate, expected),
        _needed(base_rate, expected),
    )


def detectable(texted: int, controls: int, base_rate: float) -> float | None:
    """Return the smallest uplift that is found in 80 of 100 such campaigns, as a share; None where there is none below 1."""
    if min(texted, controls) <= 1:
        return None
    from statsmodels.stats.power import NormalIndPower

    effect = float(
        NormalIndPower().solve_power(
            nobs1=texted, alpha=ALPHA, power=POWER, ratio=controls / texted, alternative="two-sided"
        )
    )
    angle = math.asin(math.sqrt(base_rate)) + effect / 2
    return math.sin(angle) ** 2 - base_rate if angle < math.pi / 2 else None


def _needed_share(whole: int, base_rate: float, expected: float) -> float | None:
    """Solve n·s(1 - s) = (z / h)² for the smaller share: the variance of the difference goes with 1/s + 1/(1 - s)."""
    product = _pairs(base_rate, expected) / whole if whole and expected > 0 else math.inf
    if product > LARGEST_SHARE**2:
        return None
    return (1 - math.sqrt(1 - 4 * product)) / 2


def _needed(base_rate: float, expected: float) -> int | None:
    return math.ceil(4 * _pairs(base_rate, expected)) if expected > 0 else None


def _pairs(base_rate: float, expected: float) -> float:
    """Return what n·s(1 - s) has to be: half of the users of one arm where both are equal."""
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    effect = abs(float(proportion_effectsize(min(base_rate + expected, 1.0), base_rate)))
    each = float(
        NormalIndPower().solve_power(effect_size=effect, alpha=ALPHA, power=POWER, ratio=1.0, alternative="two-sided")
    )
    return each / 2
