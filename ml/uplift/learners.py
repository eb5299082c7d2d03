"""
Learners of an effect: from a trial to what a message changes for a user of given features.

The T-learner fits each arm by itself and takes the difference, with logistic regression or boosted trees. The doubly robust
learner makes of each user a pseudo-outcome, whose mean is the effect whatever the arms' models are worth because the lots are
known, and regresses it on the features. Models that make a user's pseudo-outcome have not seen that user (cross-fitting).
Both stand against the constant effect. What they have learnt are numbers and LightGBM's text, as in any model of ours.

`econml` has these and many more learners. It is not among our requirements: it brings numba, LLVM and shap, and what it has
learnt are Python objects, which only pickle keeps and nothing here scores with. Two learners are some lines.

Sources: Künzel, Sekhon, Bickel and Yu, *Metalearners for Estimating Heterogeneous Treatment Effects* (PNAS 2019); Kennedy,
*Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects* (Electronic Journal of Statistics 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.learners.boosting import TREES, Boosting
from ml.model.learners.linear import Linear
from ml.model.uplift import Constant, Direct, Model, TwoModels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.model.learners.linear import Design
    from ml.model.uplift import Effect
    from ml.uplift.trial import Trial

    Floats = np.ndarray

C = 0.5
"""How little the weights of logistic regressions are shrunk: as those of the recall learner."""

RIDGE = 100.0
"""Shrinkage of standardised weights where outcomes are amounts, in rows."""

SHRINKAGES = tuple(float(10**power) for power in (2, 2.5, 3, 3.5, 4, 4.5, 5, 6))
"""Of the doubly robust regression, in rows; leaving out one row at a time chooses. The last leaves the mean alone."""

FOLDS = 3
"""Of cross-fitting."""

BOOSTED: Mapping[str, Any] = {**TREES, "num_leaves": 7, "min_data_in_leaf": 200, "lambda_l2": 10.0}
"""Effects are a tenth of what arms differ by within themselves: large leaves, few of them."""

ROUNDS = 60


@dataclass(frozen=True)
class Learner:
    """What competes, by its name."""

    name: str
    says: str
    fit: Callable[[Trial], Effect]


# Models of an outcome


def linear_model(trial: Trial, design: Design) -> Model:
    """Regress the outcome on the columns of a design of these rows: logistic where it is yes or no, ridge where not."""
    from sklearn.linear_model import LogisticRegression, Ridge

    width, is_chance = len(trial.features), trial.is_binary
    if is_chance and np.ptp(trial.outcome) == 0:
        # Of somebody who came in a thousand, or none, no weights can be learnt.
        return Model(Linear(width, float(trial.outcome.mean()), ()), is_chance=False)
    if is_chance:
        chance = LogisticRegression(C=C, solver="newton-cholesky", max_iter=200)
        chance.fit(design.matrix, trial.outcome)
        return Model(design.predictor(width, chance.coef_[0], float(chance.intercept_[0])), is_chance)
    amount = Ridge(alpha=RIDGE).fit(design.matrix, trial.outcome)
    return Model(design.predictor(width, amount.coef_, float(amount.intercept_)), is_chance)


def boosted_model(trial: Trial) -> Model:
    """Boost trees for the outcome."""
    import lightgbm as lgb

    is_chance = trial.is_binary
    told = {**BOOSTED, "objective": "binary" if is_chance else "regression"}
    # Trees are stored with the names of their columns; ours are no names of LightGBM's.
    names = [f"f{i}" for i in range(trial.x.shape[1])]
    booster = lgb.train(told, lgb.Dataset(trial.x, trial.outcome, feature_name=names), num_boost_round=ROUNDS)
    return Model(Boosting.from_text(booster.model_to_string()), is_chance)


def arms_of(trial: Trial) -> TwoModels:
    """Fit each arm by logistic regression, or by ridge."""
    treated, control = trial.arm(treated=True), trial.arm(treated=False)
    return TwoModels(linear_model(treated, treated.design()), linear_model(control, control.design()))


# Learners of the effect


def _constant(trial: Trial) -> Constant:
    treated, control = (
        float(np.average(trial.outcome[chosen], weights=trial.weight[chosen]))
        for chosen in (trial.is_treated, ~trial.is_treated)
    )
    return Constant(treated - control)


def _boosted(trial: Trial) -> TwoModels:
    return TwoModels(boosted_model(trial.arm(treated=True)), boosted_model(trial.arm(treated=False)))


def pseudo_outcome(trial: Trial, arms: TwoModels) -> Floats:
    """
    Return for each user a figure whose expectation, given the features, is the effect (AIPW, the doubly robust score).

    `arms` must not have seen the trial. Its error does no harm to the mean: the probabilities of the arms are known.
    """
    treated, control = arms.treated.expected(trial.x), arms.control.expected(trial.x)
    sign = np.where(trial.is_treated, 1.0, -1.0)
    left = trial.outcome - np.where(trial.is_treated, treated, control)
    return treated - control + sign * trial.weight * left


def adjusted(trial: Trial, arms: TwoModels) -> Trial:
    """
    Take out of outcomes what features say of them anyway: no effect changes, and luck of the arms is left out.

    `arms` must not have seen the trial. Each arm's model counts with the share of the other arm, which leaves the least variance.
    """
    chance = trial.probability
    known = arms.treated.expected(trial.x) * (1 - chance) + arms.control.expected(trial.x) * chance
    return replace(trial, outcome=trial.outcome - known)


def cross_fitted(trial: Trial, seed: int = 0) -> Floats:
    """Return pseudo-outcomes, each made by models of the other folds."""
    part, found = trial.parts(FOLDS, seed), np.zeros(len(trial))
    for fold in range(FOLDS):
        inside = part == fold
        found[inside] = pseudo_outcome(trial.take(inside), arms_of(trial.take(~inside)))
    return found


def _doubly_robust(trial: Trial) -> Effect:
    from sklearn.linear_model import RidgeCV

    design = trial.design()
    fitted = RidgeCV(alphas=SHRINKAGES).fit(design.matrix, cross_fitted(trial))
    return Direct(design.predictor(len(trial.features), fitted.coef_, float(fitted.intercept_)))


LEARNERS: tuple[Learner, ...] = (
    Learner("constant", "the same effect for everybody", _constant),
    Learner("doubly_robust", "doubly robust learner, ridge regression of pseudo-outcomes", _doubly_robust),
    Learner("t_logistic", "T-learner, logistic regressions", arms_of),
    Learner("t_boosting", "T-learner, boosted trees (LightGBM)", _boosted),
)
"""From the simplest on: the first wins a tie."""


def learner_named(name: str) -> Learner:
    """Return the learner, or raise a `KeyError`."""
    return {learner.name: learner for learner in LEARNERS}[name]
