"""
Naive rules: what anybody would do without a model, as parts that can be judged, calibrated and published like one's.

A rule is a weighted sum of features, which is what a linear predictor holds: it scores, explains itself and travels as
that of any linear learner does. Training rows only say what a step of the sum is worth; its direction stands in `ml.products`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.linear import SCALES, Column, Linear
from ml.model.part import Part

if TYPE_CHECKING:
    from ml.model.learners import Examples
    from ml.objectives import Objective
    from ml.products import Rule

NO_BOUND = 1e18
"""A rule counts every value as it is."""


def fit_rule(rule: Rule, objective: Objective, train: Examples) -> Part | None:
    """Return the rule in the unit of a raw score; None where its features never vary or rank the wrong way round."""
    # What was the same in every training row is no feature, and adds the same to everybody.
    rows = train.rows.rows
    dense = Dense.fit(rows.select([name for name in rule.weights if name in rows.schema.names]), distinct=False)
    used = {i: rule.weights[feature.column] for i, feature in enumerate(dense.features)}
    if not used:
        return None
    matrix, scaled = train.rows.by(dense), SCALES[objective.rule_scale]
    missing = float(scaled(np.array([rule.missing]))[0])
    x = np.column_stack([scaled(np.nan_to_num(matrix[:, i], nan=rule.missing)) for i in used])
    slope, intercept = objective.rule_worth(x @ np.array([*used.values()]), train.outcome, train.weight)
    if not slope > 0:
        return None
    means = x.mean(axis=0).tolist()
    columns = tuple(
        Column(
            i, objective.rule_scale, -NO_BOUND, NO_BOUND, mean, slope * weight, 0.0, (missing - mean) * slope * weight
        )
        for (i, weight), mean in zip(used.items(), means, strict=True)
    )
    return Part(dense, Linear(len(dense.features), intercept + sum(c.centre * c.weight for c in columns), columns))
