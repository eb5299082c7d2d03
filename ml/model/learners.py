"""
The learners that compete: each is fitted on training days and may stop by validation days.

A fitted learner is numbers only and says what each feature adds to a score: `contributions` returns one column per
encoded feature and a last one, the baseline (the raw score of the average training user); a row's sum is its raw score.
Everything is seeded and single-valued: the same sample gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import lightgbm

    from ml.model.encoder import Feature

TREES: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    # Written into the model, so a fixed number: the digest must not depend on the machine's cores. One, because threads
    # of boosting wait for each other by spinning: on two cores that Spark shares, two of them took ten times as long.
    "num_threads": 1,
    "verbosity": -1,
}
MAX_TREES = 400
PATIENCE = 30
"""Trees without improvement on the validation days before boosting stops."""

TAIL = 0.005
"""Amounts count up to these quantiles of the training rows: one bulk order, refunded next day, must not set weights."""

LOGISTIC_C = 0.5
RIDGE = 100.0
"""Shrinkage on standardised columns: in the samples any value from 10 to 1000 gave the same Gini to two decimals."""


@dataclass(frozen=True)
class Examples:
    """Encoded rows with what came true."""

    matrix: np.ndarray
    outcome: np.ndarray


Scale = Literal["log", "plain"]


class Learner(Protocol):
    kind: ClassVar[str]

    @property
    def trees(self) -> int:
        """How many trees it holds: what the validation days decided, and a refit keeps."""
        ...

    def raw(self, matrix: np.ndarray) -> np.ndarray: ...

    def contributions(self, matrix: np.ndarray) -> np.ndarray: ...

    def to_json(self) -> dict[str, Any]: ...

    def to_text(self) -> str | None:
        """Return what does not fit into JSON, as a text file of its own."""
        ...


@dataclass(frozen=True)
class Column:
    """
    One column of a linear learner.

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


SCALES: Mapping[Scale, Callable[[np.ndarray], np.ndarray]] = {
    # Counts and amounts are skewed; a logarithm that keeps the sign makes ten times as much one step.
    "log": lambda x: np.sign(x) * np.log1p(np.abs(x)),
    "plain": lambda x: x,
}


@dataclass(frozen=True)
class Linear:
    """A weighted sum of columns."""

    kind: ClassVar[str] = "linear"
    width: int
    baseline: float
    columns: tuple[Column, ...]

    @property
    def trees(self) -> int:
        return 0

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        return self.contributions(matrix).sum(axis=1)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        parts = np.zeros((len(matrix), self.width + 1))
        for column in self.columns:
            parts[:, column.index] = column.contribution(matrix)
        parts[:, -1] = self.baseline
        return parts

    def to_json(self) -> dict[str, Any]:
        return {"width": self.width, "baseline": self.baseline, "columns": [vars(column) for column in self.columns]}

    def to_text(self) -> None:
        return None

    @classmethod
    def from_json(cls, plain: dict[str, Any], text: str | None) -> Linear:  # noqa: ARG003 - learners share it
        return cls(plain["width"], plain["baseline"], tuple(Column(**column) for column in plain["columns"]))


@dataclass(frozen=True)
class Boosting:
    """Boosted trees, kept as LightGBM's own text."""

    kind: ClassVar[str] = "boosting"
    text: str
    booster: lightgbm.Booster = field(compare=False, repr=False)

    @property
    def trees(self) -> int:
        return self.booster.num_trees()

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        # LightGBM divides by the number of rows; Spark hands over batches without any.
        return self.booster.predict(matrix, raw_score=True, num_threads=1) if len(matrix) else np.zeros(0)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        if not len(matrix):
            return np.zeros((0, matrix.shape[1] + 1))
        return self.booster.predict(matrix, pred_contrib=True, num_threads=1)

    def to_json(self) -> dict[str, Any]:
        return {}

    def to_text(self) -> str:
        return self.text

    @classmethod
    def from_json(cls, plain: dict[str, Any], text: str | None) -> Boosting:  # noqa: ARG003 - learners share it
        return cls.from_text(text or "")

    @classmethod
    def from_text(cls, text: str) -> Boosting:
        import lightgbm as lgb

        return cls(text, lgb.Booster(model_str=text))


@dataclass(frozen=True)
class BoostedLinear:
    """A linear learner, and trees for what it leaves over."""

    kind: ClassVar[str] = "boosted_linear"
    linear: Linear
    rest: Boosting

    @property
    def trees(self) -> int:
        return self.rest.trees

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        return self.linear.raw(matrix) + self.rest.raw(matrix)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return self.linear.contributions(matrix) + self.rest.contributions(matrix)

    def to_json(self) -> dict[str, Any]:
        return self.linear.to_json()

    def to_text(self) -> str:
        return self.rest.to_text()

    @classmethod
    def from_json(cls, plain: dict[str, Any], text: str | None) -> BoostedLinear:
        return cls(Linear.from_json(plain, None), Boosting.from_text(text or ""))


LEARNERS: Mapping[str, type[Linear | Boosting | BoostedLinear]] = {
    learner.kind: learner for learner in (Linear, Boosting, BoostedLinear)
}


Stop = Examples | int
"""When boosting stops: by the validation rows, or after so many trees."""


def fit_logistic(features: Sequence[Feature], loss: str, train: Examples, stop: Stop) -> Linear:  # noqa: ARG001 - candidates share it
    """Logistic regression on log-scaled, standardised columns and flags; missing is a column of its own."""
    from sklearn.linear_model import LogisticRegression

    scales = ["plain" if feature.kind == "flag" else "log" for feature in features]
    used = np.arange(len(features))
    # Nothing counts as more than training saw: years of tenure are not ten times a season of it.
    design = _Design.of(train.matrix, used, scales, tail=0.0)
    # Newton's steps on the exact curvature: the one solver that needs neither a seed nor a tolerance to be tuned.
    fitted = LogisticRegression(C=LOGISTIC_C, solver="newton-cholesky", max_iter=200)
    fitted.fit(design.matrix, train.outcome > 0)
    return design.learner(len(features), fitted.coef_[0], float(fitted.intercept_[0]))


def fit_linear(features: Sequence[Feature], loss: str, train: Examples, stop: Stop) -> Linear:  # noqa: ARG001 - candidates share it
    """Learn the weights of past amounts: the naive rule of spending, with its windows weighed by the data."""
    used = np.array([i for i, feature in enumerate(features) if feature.kind == "amount"], dtype=int)
    design = _Design.of(train.matrix, used, ["plain"] * len(used), tail=TAIL)
    x, mean = design.matrix, float(train.outcome.mean())
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (train.outcome - mean))
    return design.learner(len(features), weights, mean)


def fit_boosting(features: Sequence[Feature], loss: str, train: Examples, stop: Stop) -> Boosting:
    """Boosted trees, as many as go on improving the validation days, or as many as are given."""
    import lightgbm as lgb

    by_rows = isinstance(stop, Examples)
    names = [f"f{i}" for i in range(len(features))]
    data = lgb.Dataset(train.matrix, train.outcome, feature_name=names, free_raw_data=True)
    booster = lgb.train(
        {**TREES, "objective": loss},
        data,
        num_boost_round=MAX_TREES if by_rows else stop,
        valid_sets=[lgb.Dataset(stop.matrix, stop.outcome, reference=data)] if by_rows else [],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)] if by_rows else [],
    )
    kept = booster.best_iteration if by_rows else stop
    return Boosting.from_text(booster.model_to_string(num_iteration=kept))


def fit_boosted_linear(features: Sequence[Feature], loss: str, train: Examples, stop: Stop) -> BoostedLinear:
    """Trees for what past amounts do not explain: trees alone cannot say more than the most that training saw."""
    linear = fit_linear(features, loss, train, stop)

    def left(some: Examples) -> Examples:
        return Examples(some.matrix, some.outcome - linear.raw(some.matrix))

    until = left(stop) if isinstance(stop, Examples) else stop
    return BoostedLinear(linear, fit_boosting(features, loss, left(train), until))


CANDIDATES: Mapping[str, Callable[[Sequence[Feature], str, Examples, Stop], Linear | Boosting | BoostedLinear]] = {
    "logistic": fit_logistic,
    "linear": fit_linear,
    "boosting": fit_boosting,
    "boosted_linear": fit_boosted_linear,
}
"""By name; a product lists those that compete for it."""

SAYS: Mapping[str, str] = {
    "logistic": "logistic regression",
    "linear": "linear regression on past amounts",
    "boosting": "boosted trees (LightGBM)",
    "boosted_linear": "linear regression on past amounts, boosted trees (LightGBM) for what it leaves over",
}
"""What a candidate is, for people; one that is not here is told by its name."""


@dataclass(frozen=True)
class _Design:
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
    def of(cls, matrix: np.ndarray, used: np.ndarray, scales: Sequence[Scale], *, tail: float) -> _Design:
        lows, highs = np.nanquantile(matrix[:, used], (tail, 1 - tail), axis=0)
        inside = np.clip(matrix[:, used], lows, highs)
        scaled = np.column_stack([SCALES[scale](inside[:, i]) for i, scale in enumerate(scales)])
        missing = np.isnan(scaled)
        centres, spreads = np.nanmean(scaled, axis=0), np.nanstd(scaled, axis=0)
        spreads = np.where(spreads > 0, spreads, 1.0)
        numbers = np.where(missing, 0.0, (scaled - centres) / spreads)
        gaps = np.flatnonzero(missing.any(axis=0))
        shares = missing[:, gaps].mean(axis=0)
        indicators = (missing[:, gaps] - shares) / np.sqrt(shares * (1 - shares))
        return cls(np.column_stack([numbers, indicators]), used, scales, lows, highs, centres, spreads, gaps, shares)

    def learner(self, width: int, weights: np.ndarray, intercept: float) -> Linear:
        """Put the weights back on the columns' own scale. Their means are 0 here, so the intercept is the baseline."""
        size = len(self.used)
        by_unit = weights[:size] / self.spreads
        if_there, if_missing = np.zeros(size), np.zeros(size)
        by_gap = weights[size:] / np.sqrt(self.gap_shares * (1 - self.gap_shares))
        if_there[self.gaps], if_missing[self.gaps] = -self.gap_shares * by_gap, (1 - self.gap_shares) * by_gap
        numbers = np.column_stack([self.lows, self.highs, self.centres, by_unit, if_there, if_missing]).tolist()
        columns = [Column(int(self.used[i]), self.scales[i], *numbers[i]) for i in range(size)]
        return Linear(width, intercept, tuple(columns))
