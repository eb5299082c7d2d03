"""
From a raw score to what it promises, fitted on validation days that the learner was not fitted on.

Probabilities: Platt's two parameters. Isotonic regression would fit a few hundred steps to a few thousand rows, publish
ties where the score ranks, and answer a moved base rate worse (it cannot leave the values it has seen); two parameters
cannot change the ranking. Amounts: one factor, so that predictions add up to what was spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

NEWTON_STEPS = 50
"""Newton's method on two parameters of a convex loss is done in about ten; it is stopped when it no longer moves."""


class Calibration(Protocol):
    kind: ClassVar[str]

    @property
    def factor(self) -> float:
        """What raw scores and their contributions are multiplied by, so that they are in the unit they are shown in."""
        ...

    @property
    def keeps_order(self) -> bool:
        """Whether a higher raw score gives a higher prediction; if not, the order failed on days not seen before."""
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
        """Maximise the likelihood, with Platt's smoothed outcomes, which keep it finite where classes separate."""
        positives, negatives = outcome.sum(), (1 - outcome).sum()
        smooth = np.where(outcome > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        design = np.column_stack([raw, np.ones(len(raw))])
        weights = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
        for _ in range(NEWTON_STEPS):
            chance = logistic(design @ weights)
            curvature = design.T @ (design * np.maximum(chance * (1 - chance), 1e-12)[:, None])
            step = np.linalg.solve(curvature + 1e-9 * np.eye(2), design.T @ (smooth - chance))
            weights = weights + step
            if np.abs(step).max() < 1e-10:  # noqa: PLR2004 - far below what a probability of 3 decimals shows
                break
        return cls(slope=float(weights[0]), intercept=float(weights[1]))

    @property
    def factor(self) -> float:
        return 1.0

    @property
    def keeps_order(self) -> bool:
        return np.isfinite(self.slope) and self.slope > 0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        return logistic(self.slope * raw + self.intercept)


@dataclass(frozen=True)
class Level:
    """Amount = factor * raw, but never less than nothing: nobody's expected net revenue is a debt to us."""

    kind: ClassVar[str] = "level"
    factor: float

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Level:
        return cls(factor=float(outcome.sum() / np.maximum(raw, 0).sum())) if (raw > 0).any() else cls(factor=0.0)

    @property
    def keeps_order(self) -> bool:
        return np.isfinite(self.factor) and self.factor > 0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Predict from raw scores that were multiplied by the factor."""
        return np.maximum(raw, 0.0)


def logistic(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


KINDS: dict[str, type[Platt | Level]] = {kind.kind: kind for kind in (Platt, Level)}


def to_json(calibration: Calibration) -> dict[str, Any]:
    """Return plain values that `from_json` turns into an equal calibration."""
    return {"kind": calibration.kind, **vars(calibration)}


def from_json(plain: dict[str, Any]) -> Platt | Level:
    return KINDS[plain["kind"]](**{name: value for name, value in plain.items() if name != "kind"})
