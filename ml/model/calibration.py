"""
From a raw score to what it promises, fitted on validation days that the learner was not fitted on.

Probabilities: Platt's two parameters. Isotonic regression would fit a few hundred steps to a few thousand rows, publish
ties where the score ranks, and answer a moved base rate worse (it cannot leave the values it has seen); two parameters
cannot change the ranking. Amounts: one factor, so that predictions add up to what was spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

NEWTON_STEPS = 100
"""Newton's method on two parameters of a convex loss is done in about ten; it is stopped when it no longer moves."""

HALVINGS = 60
"""Of a step that leads uphill: after so many it moves nothing that a double can hold."""

PRIOR_WEIGHT = 1.0
"""
How much it counts that a learner's log-odds mean what they say (slope 1): as much as one squared unit of the slope.

A few dozen returns outweigh it. It decides where the rows say nothing: a constant score, or one that separates.
"""

SLOPES = (0.2, 5.0)
"""
Between these a calibration corrects a learner, outside it contradicts it: confidence wrong by more than five times.

The factor of amounts has the same bounds, for the same reason.
"""

NEVER = 0.0006
"""
How near to 0, and to 1, a probability comes. Published with three decimals, a smaller one would say *never*.

No sample that we train on, of 200 to 200,000 rows, tells a chance in two thousand from one in twenty thousand, either.
"""


class Calibration(Protocol):
    """From raw scores to predictions; its fields are numbers. An objective names its class."""

    kind: ClassVar[str]
    """How a stored model names it."""

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Self:
        """Fit to raw scores and outcomes of days that the learner was not fitted on."""
        ...

    @property
    def factor(self) -> float:
        """What raw scores and their contributions are multiplied by, so that they are in the unit they are shown in."""
        ...

    @property
    def slope(self) -> float:
        """By how much a step of the learner's raw score counts: below 0 the order is turned around, at 1 it is as said."""
        ...

    def predict(self, raw: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Platt:
    """Probability = logistic(slope * raw + intercept)."""

    kind: ClassVar[str] = "platt"
    slope: float
    intercept: float

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Platt:
        """
        Maximise the likelihood, with Platt's smoothed outcomes and a weak prior on slope 1: both keep it finite.

        The loss is convex, but Newton's step on it overshoots where chances are near 0: with 32 returns among 4,557 rows
        it ran to slopes of 1e11. So a step is halved until it leads downhill.
        """
        positives, negatives = float(outcome.sum()), float((1 - outcome).sum())
        smooth = np.where(outcome > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        centre, spread = float(raw.mean()), float(raw.std()) or 1.0
        # Standardised, so that neither a score in days nor one in thousandths makes the curvature singular.
        design = np.column_stack([(raw - centre) / spread, np.ones(len(raw))])
        slope, intercept = _maximum(design, smooth, spread, np.log((positives + 1) / (negatives + 1)))
        return cls(slope=slope / spread, intercept=intercept - slope / spread * centre)

    @classmethod
    def as_it_is(cls, raw: np.ndarray, outcome: np.ndarray) -> Platt:  # noqa: ARG003 - calibrations share it
        """Take the log-odds at their word."""
        return cls(slope=1.0, intercept=0.0)

    @classmethod
    def shifted(cls, raw: np.ndarray, outcome: np.ndarray) -> Platt:
        """Move the level alone, so that probabilities add up to what happened; the same smoothing keeps it finite."""
        from scipy.optimize import brentq

        positives = float(outcome.sum())
        wanted = (positives + 1) / (len(outcome) + 2)
        # Between these lie all shifts that put the mean of the chances at any rate a sample can have.
        span = float(np.abs(raw).max()) + np.log(len(outcome) + 2) + 1
        return cls(1.0, float(brentq(lambda shift: logistic(raw + shift).mean() - wanted, -span, span)))

    @property
    def factor(self) -> float:
        return 1.0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        return np.clip(logistic(self.slope * raw + self.intercept), NEVER, 1 - NEVER)


def _maximum(design: np.ndarray, smooth: np.ndarray, spread: float, level: float) -> tuple[float, float]:
    """Find slope and intercept of a standardised score by damped Newton steps, from the base rate's `level` on."""

    def loss(weights: np.ndarray) -> float:
        odds = design @ weights
        return float((np.logaddexp(0, odds) - smooth * odds).sum() + PRIOR_WEIGHT * (weights[0] / spread - 1) ** 2 / 2)

    weights = np.array([0.0, level])
    for _ in range(NEWTON_STEPS):
        chance = logistic(design @ weights)
        gradient = design.T @ (chance - smooth)
        gradient[0] += PRIOR_WEIGHT * (weights[0] / spread - 1) / spread
        curvature = design.T @ (design * np.maximum(chance * (1 - chance), 1e-12)[:, None])
        curvature[0, 0] += PRIOR_WEIGHT / spread**2
        step = -np.linalg.solve(curvature, gradient)
        before, downhill = loss(weights), 1e-4 * float(gradient @ step)
        sizes = (0.5**n for n in range(HALVINGS))
        size = next((size for size in sizes if loss(weights + size * step) <= before + size * downhill), 0.0)
        weights = weights + size * step
        if np.abs(size * step).max() < 1e-10:  # noqa: PLR2004 - far below what a probability of 3 decimals shows
            break
    return float(weights[0]), float(weights[1])


@dataclass(frozen=True)
class Level:
    """Amount = factor * raw, but never less than nothing: nobody's expected net revenue is a debt to us."""

    kind: ClassVar[str] = "level"
    factor: float

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Level:
        return cls(factor=float(outcome.sum() / np.maximum(raw, 0).sum())) if (raw > 0).any() else cls(factor=0.0)

    @property
    def slope(self) -> float:
        return self.factor

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Predict from raw scores that were multiplied by the factor."""
        return np.maximum(raw, 0.0)


def logistic(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def why_refused(calibration: Calibration) -> str | None:
    """Say why what was calibrated must not predict; None where it may."""
    low, high = SLOPES
    slope = calibration.slope
    if low <= slope <= high:
        return None
    if slope <= 0:
        return f"it ranks the wrong way round (slope {slope:.3g})"
    return f"its slope {slope:.3g} is outside {low:g} to {high:g}"


def to_json(calibration: Calibration) -> dict[str, Any]:
    """Return plain values from which `ml.objectives.calibration_of` makes an equal calibration."""
    return {"kind": calibration.kind, **vars(calibration)}
