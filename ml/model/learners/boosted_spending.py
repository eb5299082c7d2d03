"""
Boosted trees that begin with what was spent within a year, and learn by what to multiply it.

Trees alone learn levels of spending by heart: where a history is short, or a few customers spend most, the naive rule that who
has spent goes on spending ranks better than they do. These start from it: the logarithm of the rule is their first score, and
Tweedie's deviance asks for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.boosting import HYPER, Boosting
from ml.model.learners.declaration import Learner
from ml.model.learners.tweedie import VARIANCE, boosted_logarithm, in_money, spent
from ml.model.part import Part

if TYPE_CHECKING:
    from ml.model.encoder import Encoded, Encoders
    from ml.model.learners.declaration import Examples, Stop

WINDOWS = (365, 90, 28)
"""In days, the longest first. Of a history that is short an encoder leaves out the longer ones, which tell no more."""

ADDED = 0.1
"""
Of the mean: so much is added to everybody's spending, so that who spent nothing has a logarithm, and may be worth something.

On the validation days of Online Retail and CDNOW .1 ranked as .03 and .3 did, or better.
"""


@dataclass(frozen=True)
class Spending:
    """Of each row a first logarithm of the amount: level * (net spending + added); the same for all where nothing was spent."""

    level: float
    added: float
    sales: int | None
    """The column of sales; None where they tell nobody apart."""
    refunds: int | None

    @classmethod
    def of(cls, dense: Dense, train: Examples) -> Spending:
        """
        Find the level at which the rows of the newest day add up to what came of them.

        While a history is short, spending of a year goes on growing: by the level of all days later ones would begin too high,
        and trees, which end where these are foretold best, would be spent on it.
        """
        unscaled = cls(1.0, 0.0, _longest(dense, "sale"), _longest(dense, "refund"))
        days = train.rows.rows["day"].to_numpy()
        newest = days == days.max()
        weight = None if train.weight is None else train.weight[newest]
        net, came = (
            float(np.average(amounts[newest], weights=weight))
            for amounts in (unscaled.net(train.rows.by(dense)), train.outcome)
        )
        added = ADDED * net or 1.0
        # On a day on which nothing came, trees find the level by themselves.
        return replace(unscaled, level=came / (net + added) or 1.0, added=added)

    def net(self, encoded: np.ndarray) -> np.ndarray:
        """Return net spending; of whom it is not known it is nothing."""

        def column(index: int | None) -> np.ndarray:
            return np.zeros(len(encoded)) if index is None else np.nan_to_num(encoded[:, index])

        return np.maximum(column(self.sales) - column(self.refunds), 0.0)

    def logarithm(self, encoded: np.ndarray) -> np.ndarray:
        return np.log(self.level * (self.net(encoded) + self.added))


def _longest(dense: Dense, kind: str) -> int | None:
    """Return the place of the column of the longest window; None where none tells anybody apart."""
    places = {feature.column: i for i, feature in enumerate(dense.features) if feature.key is None}
    return next((places[name] for window in WINDOWS if (name := f"{kind}_amount_{window}d") in places), None)


@dataclass(frozen=True)
class BoostedSpending:
    """Spending of a year, and trees for the logarithm of what it is to be multiplied by."""

    kind: ClassVar[str] = "boosted_spending"
    file: ClassVar[str | None] = Boosting.file
    start: Spending
    centre: float
    """The mean of the first logarithms in training: with the trees' own baseline that of the model."""
    factor: Boosting

    @property
    def trees(self) -> int:
        return self.factor.trees

    def raw(self, encoded: np.ndarray) -> np.ndarray:
        return np.exp(self.start.logarithm(encoded) + self.factor.raw(encoded))

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        """Say what each column adds in money; what a row starts with beyond the mean is that of its sales."""
        told = self.factor.contributions(encoded)
        told[:, -1] += self.centre
        if self.start.sales is not None:
            told[:, self.start.sales] += self.start.logarithm(encoded) - self.centre
        return in_money(told)

    def to_json(self) -> dict[str, Any]:
        return {"start": vars(self.start), "centre": self.centre}

    def to_bytes(self) -> bytes:
        return self.factor.to_bytes()

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> BoostedSpending:
        return cls(Spending(**plain["start"]), plain["centre"], Boosting.from_stored({}, content))


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop, **hyper: float) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    dense = encoders.of(Dense)
    start = Spending.of(dense, spent(train))

    def first(rows: Encoded) -> np.ndarray:
        return start.logarithm(rows.by(dense))

    trees = boosted_logarithm(dense, train, stop, hyper, first)
    centre = float(np.average(first(train.rows), weights=train.weight))
    return (Part(dense, BoostedSpending(start, centre, trees)),)


LEARNER = Learner(
    "boosted_spending",
    "boosted trees (LightGBM) of what a year's spending is to be multiplied by (Tweedie)",
    fit=_fit,
    predictors=(BoostedSpending,),
    losses=("regression",),
    hyper={**HYPER, **VARIANCE},
)
