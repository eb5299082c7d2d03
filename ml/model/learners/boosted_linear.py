"""Trees for what past amounts do not explain: trees alone cannot say more than the most that training saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ml.model.encoder import Dense
from ml.model.learners.boosting import HYPER, Boosting, boosted
from ml.model.learners.declaration import Examples, Learner
from ml.model.learners.linear import Linear, of_amounts
from ml.model.part import Part

if TYPE_CHECKING:
    import numpy as np

    from ml.model.encoder import Encoders
    from ml.model.learners.declaration import Stop


@dataclass(frozen=True)
class BoostedLinear:
    """A weighted sum of columns, and trees for what it leaves over."""

    kind: ClassVar[str] = "boosted_linear"
    file: ClassVar[str | None] = Boosting.file
    linear: Linear
    rest: Boosting

    @property
    def trees(self) -> int:
        return self.rest.trees

    def raw(self, encoded: np.ndarray) -> np.ndarray:
        return self.linear.raw(encoded) + self.rest.raw(encoded)

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        return self.linear.contributions(encoded) + self.rest.contributions(encoded)

    def to_json(self) -> dict[str, Any]:
        return self.linear.to_json()

    def to_bytes(self) -> bytes:
        return self.rest.to_bytes()

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> BoostedLinear:
        return cls(Linear.from_stored(plain, None), Boosting.from_stored({}, content))


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop, **hyper: float) -> tuple[Part, ...]:
    dense = encoders.of(Dense)
    linear = of_amounts(dense, train)

    def left(some: Examples) -> Examples:
        return some.of(some.outcome - linear.raw(some.rows.by(dense)))

    until = left(stop) if isinstance(stop, Examples) else stop
    return (Part(dense, BoostedLinear(linear, boosted(dense, loss, left(train), until, hyper))),)


LEARNER = Learner(
    "boosted_linear",
    "linear regression on past amounts, boosted trees (LightGBM) for what it leaves over",
    fit=_fit,
    predictors=(BoostedLinear,),
    losses=("regression",),
    hyper=HYPER,
)
