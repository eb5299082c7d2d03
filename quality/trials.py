"""
Simulated trials with known effects, in numbers alone: who is moved by a message, and by how much, is partly told by features.

Users differ in how lately and how often they came, how long they have been here, what they spend and how they came here. A
message raises the odds of a return: most for users who like offers, have been here long and come seldom, less for those who
come anyway, and it puts some of the newest off. Part of all this shows in no feature, and three features say nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.model.encoder import Feature
from ml.uplift import Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEATURES = (
    Feature("recency_days", "number"),
    Feature("active_days", "number"),
    Feature("tenure_days", "number"),
    Feature("usual_gap_days", "number"),
    Feature("spend", "amount"),
    Feature("likes_offers", "flag", level="yes"),
    Feature("noise_1", "number"),
    Feature("noise_2", "number"),
    Feature("noise_3", "number"),
)

TREATED = 0.5
LEAST_SHARE, MOST_SHARE = 0.3, 0.8
"""Shares of the treated in trials that differ in it."""

BASE = -3.25
"""Log-odds of a return of the middle user: then about .06 return by themselves, as in the check of who is texted."""

HALVINGS = 40


@dataclass(frozen=True)
class Simulated:
    """A trial with what nobody outside a simulation knows."""

    trial: Trial
    effect: Floats
    """Extra chance of a return by a message, for each user."""
    alone: Floats
    """Chance of a return without one."""
    value: Floats
    """Of a return."""


def simulated(
    lots: np.random.Generator, users: int, effect: float, *, moved: bool = True, share: float = TREATED
) -> Simulated:
    """Draw a trial whose mean effect is `effect`; without `moved` a message changes the same for everybody."""
    often, late, here, spends = lots.normal(0, 1, (4, users))
    likes = lots.random(users) < 0.3  # noqa: PLR2004 - a share
    alone = _logistic(BASE + 0.7 * often - 0.6 * late + 0.2 * here + lots.normal(0, 0.5, users))
    drawn = lots.gamma(4.0, 0.25, users)
    strength = (
        np.where(likes, 1.0, 0.1) * np.exp(np.minimum(-0.5 * often + 0.4 * here, 1.0)) - 0.15 * (here < -1)
    ) * drawn
    effects = _scaled(alone, strength, effect) if moved else np.full(users, effect)
    is_treated = lots.random(users) < share
    came = lots.random(users) < np.clip(alone + effects * is_treated, 0, 1)
    gap = np.where(often > -1, np.exp(2.5 - 0.5 * often + lots.normal(0, 0.3, users)), np.nan)
    columns = [
        np.round(7 + np.exp(2.5 + 0.8 * late)), lots.poisson(np.exp(1 + 0.7 * often)), np.round(np.exp(5 + 0.8 * here)), gap,
        np.exp(3 + spends), likes, *lots.normal(0, 1, (3, users)),
    ]  # fmt: skip
    trial = Trial.of(FEATURES, np.column_stack(columns), is_treated, came, covariate=_blurred(alone, lots))
    return Simulated(trial, effects, alone, np.exp(2.5 + 0.6 * spends))


def _scaled(alone: Floats, strength: Floats, effect: float) -> Floats:
    """Effects of odds that grow by exp(factor * strength), the factor such that their mean is `effect`."""
    odds = alone / (1 - alone)
    low, high = 0.0, 20.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        raised = odds * np.exp(np.clip(middle * strength, -30, 30))
        effects = raised / (1 + raised) - alone
        low, high = (middle, high) if effects.mean() < effect else (low, middle)
    return effects


def _blurred(chance: Floats, lots: np.random.Generator) -> Floats:
    """What a score of before says of a chance: it is off by something."""
    return _logistic(np.log(chance / (1 - chance)) + lots.normal(0, 0.5, len(chance)))


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
