"""Boosted trees, kept as LightGBM's own text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.declaration import Learner, Range
from ml.model.part import Part
from ml.model.shapley import Shapley

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import lightgbm

    from ml.model.encoder import Encoded, Encoders
    from ml.model.learners.declaration import Examples, Stop

HYPER: Mapping[str, Range] = {
    "learning_rate": Range(0.05, 0.02, 0.2, is_log=True),
    "num_leaves": Range(15, 4, 64, is_log=True),
    "min_data_in_leaf": Range(50, 10, 1000, is_log=True),
    "bagging_fraction": Range(0.8, 0.4, 1.0),
    "feature_fraction": Range(0.8, 0.2, 1.0),
    "lambda_l2": Range(0.0, 0.0, 100.0),
}
"""By LightGBM's names. Below so low a rate more trees would be needed than `MAX_TREES`."""

TREES: Mapping[str, Any] = {
    **{name: its.default for name, its in HYPER.items()},
    "bagging_freq": 1,
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


@dataclass(frozen=True)
class Boosting:
    """Boosted trees, as LightGBM writes them."""

    kind: ClassVar[str] = "boosting"
    file: ClassVar[str | None] = "booster_{part}.txt"
    text: str
    booster: lightgbm.Booster = field(compare=False, repr=False)

    @property
    def trees(self) -> int:
        return self.booster.num_trees()

    def raw(self, encoded: np.ndarray) -> np.ndarray:
        # LightGBM divides by the number of rows; Spark hands over batches without any.
        if not len(encoded):
            return np.zeros(0)
        return np.asarray(self.booster.predict(encoded, num_threads=1, raw_score=True))

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        if not len(encoded):
            return np.zeros((0, encoded.shape[1] + 1))
        return self._shapley.contributions(encoded)

    @cached_property
    def _shapley(self) -> Shapley:
        return Shapley.of(self.booster)

    def to_json(self) -> dict[str, Any]:
        return {}

    def to_bytes(self) -> bytes:
        return self.text.encode()

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Boosting:  # noqa: ARG003 - predictors share it
        return cls.from_text((content or b"").decode())

    @classmethod
    def from_text(cls, text: str) -> Boosting:
        import lightgbm as lgb

        return cls(text, lgb.Booster(model_str=text))


def boosted(  # noqa: PLR0917 - what a fit is made of
    dense: Dense,
    loss: str,
    train: Examples,
    stop: Stop,
    hyper: Mapping[str, float],
    start: Callable[[Encoded], np.ndarray] | None = None,
) -> Boosting:
    """
    Boost trees, as many as go on improving the validation days, or as many as are given; `hyper` is told to LightGBM.

    From `start` on, a score of each row that is no part of what is returned; without it from the mean.
    """
    import lightgbm as lgb

    names = [f"f{i}" for i in range(len(dense.features))]

    def data(of: Examples, reference: lgb.Dataset | None = None, **more: Any) -> lgb.Dataset:
        first = start(of.rows) if start else None
        return lgb.Dataset(of.rows.by(dense), of.outcome, reference=reference, init_score=first, **more)

    learnt = data(train, weight=train.weight, feature_name=names, free_raw_data=True)
    told = {**TREES, "objective": loss, **hyper}
    if isinstance(stop, int):
        booster = lgb.train(told, learnt, num_boost_round=stop)
        return Boosting.from_text(booster.model_to_string(num_iteration=stop))
    booster = lgb.train(
        told,
        learnt,
        num_boost_round=MAX_TREES,
        valid_sets=[data(stop, learnt)],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return Boosting.from_text(booster.model_to_string(num_iteration=booster.best_iteration))


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop, **hyper: float) -> tuple[Part, ...]:
    dense = encoders.of(Dense)
    return (Part(dense, boosted(dense, loss, train, stop, hyper)),)


LEARNER = Learner("boosting", "boosted trees (LightGBM)", fit=_fit, predictors=(Boosting,), hyper=HYPER)
