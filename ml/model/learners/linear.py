"""A weighted sum of columns, and the learner of amounts: the naive rule of spending, with its windows weighed by the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.declaration import Learner
from ml.model.part import Additive, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml.model.encoder import Encoders, Feature
    from ml.model.learners.declaration import Examples, Stop

TAIL = 0.005
"""Amounts count up to these quantiles of the training rows: one bulk order, refunded next day, must not set weights."""

RIDGE = 100.0
"""Shrinkage on standardised columns: in the samples any value from 10 to 1000 gave the same Gini to two decimals."""

Scale = Literal["log", "plain"]

SCALES: Mapping[Scale, Callable[[np.ndarray], np.ndarray]] = {
    # Counts and amounts are skewed; a logarithm that keeps the sign makes ten times as much one step.
    "log": lambda x: np.sign(x) * np.log1p(np.abs(x)),
    "plain": lambda x: x,
}


@dataclass(frozen=True)
class Column:
    """
    One column of a linear predictor.

    Adds (scale(x) - centre) * weight + if_there, or `if_missing` where x is missing. x counts as no less than `low` and
    no more than `high`.
    """

    index: int
    scale: Scale
    low: float
    high: float
    centre: float
    weight: float
    if_there: float
    if_missing: float

    def contribution(self, matrix: np.ndarray) -> np.ndarray:
        x = matrix[:, self.index]
        there = (SCALES[self.scale](np.clip(x, self.low, self.high)) - self.centre) * self.weight + self.if_there
        return np.where(np.isnan(x), self.if_missing, there)


@dataclass(frozen=True)
class Linear(Additive):
    """A weighted sum of columns."""

    kind: ClassVar[str] = "linear"
    file: ClassVar[str | None] = None
    width: int
    baseline: float
    columns: tuple[Column, ...]

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        parts = np.zeros((len(encoded), self.width + 1))
        for column in self.columns:
            parts[:, column.index] = column.contribution(encoded)
        parts[:, -1] = self.baseline
        return parts

    def to_json(self) -> dict[str, Any]:
        return {"width": self.width, "baseline": self.baseline, "columns": [vars(column) for column in self.columns]}

    def to_bytes(self) -> None:
        return None

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Linear:  # noqa: ARG003 - predictors share it
        return cls(plain["width"], plain["baseline"], tuple(Column(**column) for column in plain["columns"]))


def known(matrix: np.ndarray) -> np.ndarray:
    """
    Return columns as they are, but 0 throughout for one that is missing in all of these rows: there it says nothing.

    An encoder that was fitted on more rows has it: a feature that is new, or gone, is missing on all days of some target, or in
    all weeks that are kept.
    """
    nowhere = np.isnan(matrix).all(axis=0)
    return np.where(nowhere, 0.0, matrix) if nowhere.any() else matrix


@dataclass(frozen=True)
class Design:
    """Standardised columns of the training rows, then an indicator for each that has gaps, and the way back."""

    matrix: np.ndarray
    used: np.ndarray
    scales: Sequence[Scale]
    lows: np.ndarray
    highs: np.ndarray
    centres: np.ndarray
    spreads: np.ndarray
    gaps: np.ndarray
    """Which of the used columns have missing values."""
    gap_shares: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, used: np.ndarray, scales: Sequence[Scale], *, tail: float) -> Design:
        values = known(matrix[:, used])
        lows, highs = np.nanquantile(values, (tail, 1 - tail), axis=0)
        inside = np.clip(values, lows, highs)
        scaled = np.column_stack([SCALES[scale](inside[:, i]) for i, scale in enumerate(scales)])
        missing = np.isnan(scaled)
        centres, spreads = np.nanmean(scaled, axis=0), np.nanstd(scaled, axis=0)
        spreads = np.where(spreads > 0, spreads, 1.0)
        numbers = np.where(missing, 0.0, (scaled - centres) / spreads)
        gaps = np.flatnonzero(missing.any(axis=0))
        shares = missing[:, gaps].mean(axis=0)
        indicators = (missing[:, gaps] - shares) / np.sqrt(shares * (1 - shares))
        return cls(np.column_stack([numbers, indicators]), used, scales, lows, highs, centres, spreads, gaps, shares)

    @classmethod
    def of_all(cls, features: Sequence[Feature], matrix: np.ndarray) -> Design:
        """Standardise all columns, flags as they are and the others log-scaled."""
        scales: list[Scale] = ["plain" if feature.kind == "flag" else "log" for feature in features]
        # Nothing counts as more than training saw: years of tenure are not ten times a season of it.
        return cls.of(matrix, np.arange(len(features)), scales, tail=0.0)

    def predictor(self, width: int, weights: np.ndarray, intercept: float) -> Linear:
        """Put the weights back on the columns' own scale. Their means are 0 here, so the intercept is the baseline."""
        size = len(self.used)
        by_unit = weights[:size] / self.spreads
        if_there, if_missing = np.zeros(size), np.zeros(size)
        by_gap = weights[size:] / np.sqrt(self.gap_shares * (1 - self.gap_shares))
        if_there[self.gaps], if_missing[self.gaps] = -self.gap_shares * by_gap, (1 - self.gap_shares) * by_gap
        numbers = np.column_stack([self.lows, self.highs, self.centres, by_unit, if_there, if_missing]).tolist()
        columns = [Column(int(self.used[i]), self.scales[i], *numbers[i]) for i in range(size)]
        return Linear(width, intercept, tuple(columns))


def of_chances(dense: Dense, design: Design, train: Examples, c: float) -> Linear:
    """Weigh the columns of a design of the training rows by logistic regression; `c` is how little weights are shrunk."""
    from sklearn.linear_model import LogisticRegression

    # Newton's steps on the exact curvature: the one solver that needs neither a seed nor a tolerance to be tuned.
    fitted = LogisticRegression(C=c, solver="newton-cholesky", max_iter=200)
    fitted.fit(design.matrix, train.outcome > 0, sample_weight=train.weight)
    return design.predictor(len(dense.features), fitted.coef_[0], float(fitted.intercept_[0]))


def of_amounts(dense: Dense, train: Examples) -> Linear:
    """Weigh the amounts of the training rows by ridge regression."""
    from sklearn.linear_model import Ridge

    used = np.array([i for i, feature in enumerate(dense.features) if feature.kind == "amount"], dtype=int)
    if not used.size:
        # Before anybody has spent anything no amount tells people apart.
        return Linear(len(dense.features), float(np.average(train.outcome, weights=train.weight)), ())
    design = Design.of(train.rows.by(dense), used, ["plain"] * len(used), tail=TAIL)
    fitted = Ridge(RIDGE, solver="cholesky").fit(design.matrix, train.outcome, sample_weight=train.weight)
    return design.predictor(len(dense.features), fitted.coef_, float(fitted.intercept_))


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    dense = encoders.of(Dense)
    return (Part(dense, of_amounts(dense, train)),)


LEARNER = Learner("linear", "linear regression on past amounts", fit=_fit, predictors=(Linear,), losses=("regression",))
