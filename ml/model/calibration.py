"""
From a raw score to what it promises, fitted on validation days that the learner was not fitted on.

Probabilities: Platt's two parameters. Isotonic regression would fit a few hundred steps to a few thousand rows, publish
ties where the score ranks, and answer a moved base rate worse (it cannot leave the values it has seen); two parameters
cannot change the ranking. Amounts: one factor, so that predictions add up to what was spent, and where it helps a power, so that
small ones do, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    def again(self, raw: np.ndarray, outcome: np.ndarray) -> Self:
        """Fit to other days what a business moves within weeks, and leave the rest as it is."""
        ...

    def scale(self, raw: np.ndarray) -> np.ndarray | float:
        """Return what raw scores and their contributions are multiplied by, so that they are in the unit they are shown in."""
        ...

    @property
    def slope(self) -> float:
        """By how much a step of the learner's raw score counts: below 0 the order is turned around, at 1 it is as said."""
        ...

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Predict from raw scores that were multiplied by `scale`."""
        ...


@dataclass(frozen=True)
class Platt:
    """Probability = logistic(slope * raw + intercept)."""

    kind: ClassVar[str] = "platt"
    slope: float
    intercept: float

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None) -> Platt:
        """
        Maximise the likelihood, with Platt's smoothed outcomes and a weak prior on slope 1: both keep it finite.

        The loss is convex, but Newton's step on it overshoots where chances are near 0: with 32 returns among 4,557 rows
        it ran to slopes of 1e11. So a step is halved until it leads downhill. `weight` is how much each row counts.
        """
        counts = 1.0 if weight is None else weight
        positives, negatives = float((counts * outcome).sum()), float((counts * (1 - outcome)).sum())
        smooth = np.where(outcome > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        level = np.log((positives + 1) / (negatives + 1))
        return cls(*likeliest_line(raw, smooth, level, counts=counts, prior=PRIOR_WEIGHT))

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

    def again(self, raw: np.ndarray, outcome: np.ndarray) -> Platt:
        return type(self).fit(raw, outcome)

    def scale(self, raw: np.ndarray) -> float:  # noqa: ARG002 - calibrations share it
        return 1.0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        return np.clip(logistic(self.slope * raw + self.intercept), NEVER, 1 - NEVER)


def likeliest_line(
    raw: np.ndarray, outcome: np.ndarray, level: float, counts: np.ndarray | float = 1.0, prior: float = 0.0
) -> tuple[float, float]:
    """
    Find slope and intercept of the likeliest log-odds over a score, by damped Newton steps from the log-odds `level` on.

    Outcomes may lie between 0 and 1; `prior` is how much it counts that the slope is 1. Without one there is no such line where
    the score parts the outcomes.
    """
    centre, spread = float(raw.mean()), float(raw.std()) or 1.0
    # Standardised, so that neither a score in days nor one in thousandths makes the curvature singular.
    design = np.column_stack([(raw - centre) / spread, np.ones(len(raw))])

    def loss(weights: np.ndarray) -> float:
        odds = design @ weights
        lost = counts * (np.logaddexp(0, odds) - outcome * odds)
        return float(lost.sum() + prior * (weights[0] / spread - 1) ** 2 / 2)

    weights = np.array([0.0, level])
    for _ in range(NEWTON_STEPS):
        chance = logistic(design @ weights)
        gradient = design.T @ (counts * (chance - outcome))
        gradient[0] += prior * (weights[0] / spread - 1) / spread
        curvature = design.T @ (design * (counts * np.maximum(chance * (1 - chance), 1e-12))[:, None])
        curvature[0, 0] += prior / spread**2
        step = -np.linalg.solve(curvature, gradient)
        before, downhill = loss(weights), 1e-4 * float(gradient @ step)
        sizes = (0.5**n for n in range(HALVINGS))
        size = next((size for size in sizes if loss(weights + size * step) <= before + size * downhill), 0.0)
        weights = weights + size * step
        if np.abs(size * step).max() < 1e-10:  # noqa: PLR2004 - far below what a probability of 3 decimals shows
            break
    slope, intercept = float(weights[0]), float(weights[1])
    return slope / spread, intercept - slope / spread * centre


BENDS = (0.5, 2.0)
"""Between these powers a calibration corrects amounts; outside it says that the learner knows nothing of them."""

LEAST = 0.01
"""Of the mean: below this share of it an amount is bent no further, and nothing stays nothing."""


ALIKE = 1e-6
"""Where logarithms of raw scores differ by no more, a power would be that of rounding."""


@dataclass(frozen=True)
class Level:
    """
    Amount = factor * raw * (raw / pivot) ** (power - 1), but never less than nothing: nobody's net revenue is a debt to us.

    With the power 1 that is one factor for all. A learner that is shrunk, or that has learnt of younger customers, is too high
    for those who spend little and too low for the others; a power mends both ends and no order. An amount is a multiple of its
    raw score, so that contributions, multiplied alike, still add up to it.
    """

    kind: ClassVar[str] = "level"
    factor: float
    power: float = 1.0
    pivot: float = 1.0
    """The raw score that is told as without the power."""
    least: float = 0.0
    """Raw scores below this one are bent as this one is."""

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Level:
        """Find the factor with which predictions add up to what was spent."""
        return cls(factor=float(outcome.sum() / np.maximum(raw, 0).sum())) if (raw > 0).any() else cls(factor=0.0)

    @classmethod
    def bent(cls, raw: np.ndarray, outcome: np.ndarray) -> Level:
        """Find the power by Poisson regression on the logarithm of raw scores, then the factor; none beyond its bounds."""
        from sklearn.linear_model import PoissonRegressor

        plain, spent = cls.fit(raw, outcome), np.maximum(outcome, 0.0)
        least = LEAST * float(np.maximum(raw, 0.0).mean())
        if not least > 0 or not spent.any():
            return plain
        logarithm = np.log(np.maximum(raw, least))
        spread = float(logarithm.std())
        if spread < ALIKE:
            return plain
        standardised = (logarithm - logarithm.mean()) / spread
        fitted = PoissonRegressor(alpha=0.0, solver="newton-cholesky").fit(standardised[:, None], spent / spent.mean())
        (low, high), power = BENDS, float(fitted.coef_[0]) / spread
        if not low <= power <= high or power == 1.0:
            return plain
        bend = np.exp((power - 1) * logarithm)
        lifted = float((np.maximum(raw, 0.0) * bend).sum() / np.maximum(raw, 0.0).sum())
        return cls(plain.factor, power, lifted ** (1 / (power - 1)), least)

    @property
    def slope(self) -> float:
        return self.factor

    def again(self, raw: np.ndarray, outcome: np.ndarray) -> Level:
        """Find the factor anew: a few weeks tell a level, and no bend."""
        return replace(self, factor=self.factor * Level.fit(self.scale(raw) * raw, outcome).factor)

    def scale(self, raw: np.ndarray) -> np.ndarray | float:
        if self.power == 1.0:
            return self.factor
        return self.factor * (np.maximum(raw, self.least) / self.pivot) ** (self.power - 1)

    def predict(self, raw: np.ndarray) -> np.ndarray:
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
    """
    Return plain values from which `ml.objectives.calibration_of` makes an equal calibration.

    What is as by default is not written: a model keeps the digest that it had before there was such a value.
    """
    kind = type(calibration)
    told = {name: value for name, value in vars(calibration).items() if value != getattr(kind, name, None)}
    return {"kind": calibration.kind, **told}
