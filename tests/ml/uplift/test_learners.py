"""Learners of an effect, against the formulas they are made of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ml.model import uplift
from ml.model.learners.linear import Linear
from ml.model.uplift import Model, TwoModels
from ml.uplift.learners import LEARNERS, C, arms_of, learner_named, pseudo_outcome


def test_the_t_learner_is_the_difference_of_two_regressions(told):
    rows = told.trial.take(np.arange(4_000))
    found = arms_of(rows).effect(rows.x)
    chances = []
    for treated in (True, False):
        arm = rows.arm(treated=treated)
        design = arm.design()
        model = LogisticRegression(C=C, solver="newton-cholesky", max_iter=200).fit(design.matrix, arm.outcome)
        chances.append(model.predict_proba(_standardised(design, rows))[:, 1])

    assert found == pytest.approx(chances[0] - chances[1], abs=1e-6)


def _standardised(design, rows):
    scaled = np.clip(rows.x, design.lows, design.highs)
    logs = np.array([scale == "log" for scale in design.scales])
    scaled = np.where(logs, np.sign(scaled) * np.log1p(np.abs(scaled)), scaled)
    missing = np.isnan(scaled)
    numbers = np.where(missing, 0, (scaled - design.centres) / design.spreads)
    shares = design.gap_shares
    return np.column_stack([numbers, (missing[:, design.gaps] - shares) / np.sqrt(shares * (1 - shares))])


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_what_was_learnt_is_stored_as_plain_values_and_says_the_same_again(told, learner):
    rows = told.trial.take(np.arange(4_000))
    effect = learner.fit(rows)
    again = uplift.from_json(json.loads(json.dumps(uplift.to_json(effect))))

    assert np.array_equal(again.effect(rows.x), effect.effect(rows.x))


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_a_column_that_nobody_of_an_arm_has_a_value_of_is_no_hindrance(told, learner):
    rows = told.trial.take(np.arange(4_000))
    x = rows.x.copy()
    x[~rows.is_treated, 0] = np.nan

    assert np.isfinite(learner.fit(replace(rows, x=x)).effect(rows.x)).all()


def test_pseudo_outcomes_have_the_mean_effect_whatever_the_models_say(told):
    """With models that say nothing their mean is the difference of the arms' means."""
    trial, nothing = told.trial, Model(Linear(9, 0.0, ()), is_chance=False)
    found = pseudo_outcome(trial, TwoModels(nothing, nothing))
    treated = trial.is_treated

    assert found.mean() == pytest.approx(trial.outcome[treated].mean() - trial.outcome[~treated].mean())


def test_pseudo_outcomes_are_what_robins_rotnitzky_and_zhao_say(told):
    trial = told.trial.take(np.arange(2_000))
    arms = arms_of(told.trial.take(np.arange(2_000, 4_000)))
    one, none = arms.treated.expected(trial.x), arms.control.expected(trial.x)
    t, y, e = trial.is_treated.astype(float), trial.outcome, trial.is_treated.mean()
    formula = one + t * (y - one) / e - none - (1 - t) * (y - none) / (1 - e)

    assert pseudo_outcome(trial, arms) == pytest.approx(formula)


def test_learners_find_who_is_moved(told):
    for name in ("t_logistic", "doubly_robust"):
        found = learner_named(name).fit(told.trial).effect(told.trial.x)

        assert np.corrcoef(found, told.effect)[0, 1] > 0.4, name
        assert found.mean() == pytest.approx(0.08, abs=0.02), name


def test_amounts_are_learnt_too(told):
    spent = replace(told.trial, outcome=told.trial.outcome * told.value)
    for learner in LEARNERS:
        assert np.isfinite(learner.fit(spent).effect(spent.x)).all(), learner.name


def test_an_outcome_that_nobody_has_is_learnt_as_none(told):
    nobody = replace(told.trial, outcome=np.zeros(len(told.trial)))

    assert arms_of(nobody).effect(nobody.x) == pytest.approx(0)
