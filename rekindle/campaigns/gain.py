"""
Gain: what a message to a user is expected to bring, in money.

A message raises the odds of a return by a share L, the lift: of p / (1 - p) it makes (1 + L) p / (1 - p). So the chance
becomes p (1 + L) / (1 + p L), which is sigmoid(logit p + ln(1 + L)), and the uplift is that minus p: largest near p = .5,
and small both for who comes anyway and for who hardly will. Of whom campaigns have shown an uplift of their own, that counts.

    expected gain = uplift * value_if_returns - cost of the message and its offer

The query of sms.audience has the same formula in SQL, as `expected_gain_sql` writes it; a test holds it to that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Array = np.ndarray

MOST_LOG_LIFT = 5.0
"""A message that raises or lowers the odds a hundredfold and more is none that anybody has sent."""


def uplift(probability: ArrayLike, lift: ArrayLike) -> Array:
    """
    Extra chance of a return that a message causes; 0 where the return is sure or impossible.

    `probability` is the one without, `lift` the share by which the odds grow.
    """
    p, raised = np.asarray(probability, float), np.asarray(lift, float)
    # p (1 + L) / (1 + pL) - p, without the difference of two nearly equal figures.
    return p * (1 - p) * raised / (1 + p * raised)


def within(caused: ArrayLike, probability: ArrayLike) -> Array:
    """Return uplifts that leave a chance a chance: both are rounded, and come from models of their own."""
    p = np.asarray(probability, float)
    return np.clip(np.asarray(caused, float), -p, 1 - p)


def expected_gain(caused: ArrayLike, value: ArrayLike, cost: ArrayLike) -> Array:
    """Uplift times value minus cost, in money; `cost` is that of the message and of what is given with it."""
    return np.asarray(caused, float) * np.asarray(value, float) - np.asarray(cost, float)


def lift_that_causes(caused: float, probability: ArrayLike) -> float:
    """
    Return the lift with which the mean uplift of users is `caused`; their chances without a message must not be none at all.

    A mean effect says how much and not for whom; the lift keeps the shape that it has by the odds. What nobody's chances
    allow counts as the most, or the least, that they do.
    """
    p = np.asarray(probability, float)
    least, most = (float(uplift(p, math.expm1(end)).mean()) for end in (-MOST_LOG_LIFT, MOST_LOG_LIFT))
    if not least < caused < most:
        return math.expm1(-MOST_LOG_LIFT if caused <= least else MOST_LOG_LIFT)
    found = brentq(
        lambda log: float(uplift(p, math.expm1(log)).mean()) - caused, -MOST_LOG_LIFT, MOST_LOG_LIFT, xtol=1e-12
    )
    return math.expm1(found)


def uplift_sql(probability: str, lift: str) -> str:
    """Return SQL of `uplift` over SQL of its parts."""
    return f"(({probability}) * (1 - ({probability})) * ({lift}) / (1 + ({probability}) * ({lift})))"


def expected_gain_sql(probability: str, lift: str, value: str, cost: str) -> str:
    """Return SQL of `expected_gain` over SQL of its parts; null where one of them is."""
    return f"({uplift_sql(probability, lift)} * ({value}) - ({cost}))"
