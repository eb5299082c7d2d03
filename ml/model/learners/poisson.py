"""Poisson regression of counts, on log-scaled, standardised columns and flags; missing is a column of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.model.encoder import Dense
from ml.model.learners.declaration import Learner
from ml.model.learners.linear import Design, Linear
from ml.model.part import Part

if TYPE_CHECKING:
    from ml.model.encoder import Encoders
    from ml.model.learners.declaration import Examples, Stop

SHRINKAGE = 2.0
"""Of standardised weights, in rows: as that of the logistic learner, whose C is its inverse."""


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    from sklearn.linear_model import PoissonRegressor

    dense = encoders.of(Dense)
    design = Design.of_all(dense.features, train.rows.by(dense))
    rows = len(train.outcome) if train.weight is None else float(train.weight.sum())
    fitted = PoissonRegressor(alpha=SHRINKAGE / rows, solver="newton-cholesky", max_iter=200)
    fitted.fit(design.matrix, train.outcome, sample_weight=train.weight)
    return (Part(dense, design.predictor(len(dense.features), fitted.coef_, float(fitted.intercept_))),)


LEARNER = Learner("poisson", "Poisson regression", fit=_fit, predictors=(Linear,), losses=("poisson",))
