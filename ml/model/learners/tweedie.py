"""
Boosted trees for amounts of which many are nothing: the logarithm of the mean, by Tweedie's deviance.

An amount is then a sum of a Poisson number of purchases, each of a gamma amount (Jørgensen 1987, Exponential dispersion models).
The squared error hears the few large customers only; this one hears everybody by the size of what is expected of them. It asks
for the same mean.

The trees speak of logarithms, a raw score is money. What each column adds to the logarithm is turned into money by the
logarithmic mean, which leaves no rest (Ang 2005, The LMDI approach to decomposition analysis).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.boosting import HYPER, Boosting, boosted
from ml.model.learners.declaration import Learner, Range
from ml.model.part import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.model.encoder import Encoded, Encoders
    from ml.model.learners.declaration import Examples, Stop

POWER = 1.2
"""
Of the variance: near 1 amounts come from many purchases, near 2 from the size of one.

On the validation days of Complete Journey, CDNOW and Online Retail 1.2 ranked best of 1.2, 1.5 and 1.8.
"""

VARIANCE: Mapping[str, Range] = {"tweedie_variance_power": Range(POWER, 1.05, 1.9)}


@dataclass(frozen=True)
class Exponential:
    """Trees whose sum is the logarithm of an amount."""

    kind: ClassVar[str] = "exponential"
    file: ClassVar[str | None] = Boosting.file
    logarithm: Boosting

    @property
    def trees(self) -> int:
        return self.logarithm.trees

    def raw(self, encoded: np.ndarray) -> np.ndarray:
        return np.exp(self.logarithm.raw(encoded)) if len(encoded) else np.zeros(0)

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        """Say what each column adds in money; the baseline is that of the average logarithm."""
        return in_money(self.logarithm.contributions(encoded))

    def to_json(self) -> dict[str, Any]:
        return {}

    def to_bytes(self) -> bytes:
        return self.logarithm.to_bytes()

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Exponential:
        return cls(Boosting.from_stored(plain, content))


def in_money(told: np.ndarray) -> np.ndarray:
    """Turn what each column, and last the baseline, adds to a logarithm into what it adds to the amount."""
    baseline, step = np.exp(told[:, -1]), told[:, :-1].sum(axis=1)
    moved = np.abs(step) > 0
    # Who is moved by nothing in sum may be moved by columns that cancel: a step is worth the baseline there.
    worth = np.where(moved, np.expm1(step) / np.where(moved, step, 1.0), 1.0)
    return np.column_stack([told[:, :-1] * (baseline * worth)[:, None], baseline])


def spent(some: Examples) -> Examples:
    """A net refund is as little as the deviance knows."""
    return some.of(np.maximum(some.outcome, 0.0))


def boosted_logarithm(
    dense: Dense,
    train: Examples,
    stop: Stop,
    hyper: Mapping[str, float],
    start: Callable[[Encoded], np.ndarray] | None = None,
) -> Boosting:
    """Boost trees for the logarithm of an amount, from `start` on: see `boosted`."""
    until = stop if isinstance(stop, int) else spent(stop)
    return boosted(dense, "tweedie", spent(train), until, {"tweedie_variance_power": POWER, **hyper}, start)


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop, **hyper: float) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    dense = encoders.of(Dense)
    return (Part(dense, Exponential(boosted_logarithm(dense, train, stop, hyper))),)


LEARNER = Learner(
    "tweedie",
    "boosted trees (LightGBM) of amounts that are often nothing (Tweedie)",
    fit=_fit,
    predictors=(Exponential,),
    losses=("regression",),
    hyper={**HYPER, **VARIANCE},
)
