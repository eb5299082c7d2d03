"""What may be published of an effect, and what is looked at before."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ml.model.encoder import Feature
from ml.uplift import Trial
from ml.uplift.checks import balance, checked
from ml.uplift.learning import Inner, average, learn, line, published
from rekindle.experiments import compare, sums_of


@pytest.fixture(scope="module")
def learnt(told):
    return learn(told.trial, [0.5])


def test_who_is_moved_is_published_where_it_can_be_told(learnt, told):
    effect, low, high = learnt.uplift(told.trial.x)

    assert learnt.status == "modelled"
    assert np.corrcoef(effect, told.effect)[0, 1] > 0.5
    assert (low < effect).all() and (effect < high).all()
    assert effect.mean() == pytest.approx(told.effect.mean(), abs=0.03)


def test_what_is_told_is_all_that_is_needed_to_publish(learnt, told):
    again = published(json.loads(json.dumps(learnt.to_json())), told.trial.x[:100])

    assert np.array_equal(again[0], learnt.uplift(told.trial.x[:100])[0])


def test_where_all_are_moved_alike_the_mean_effect_is_published(alike):
    found = learn(alike.trial, [0.5])
    effect, low, high = found.uplift(alike.trial.x)

    assert found.status == "average"
    assert np.ptp(effect) == 0
    assert low[0] < 0.04 < high[0]


def test_of_users_whom_nothing_tells_apart_the_mean_effect_is_published(alike):
    found = learn(replace(alike.trial, features=(), x=np.empty((len(alike.trial), 0))))

    assert (found.status, found.judged) == ("average", None)


def test_an_effect_that_cannot_be_told_from_zero_is_not_published(alike):
    few = alike.trial.take(np.arange(100))
    found = learn(few, [0.5])

    assert (found.status, found.chosen) == ("not_shown", ())
    assert np.isnan(found.uplift(few.x)[0]).all()


def test_of_arms_that_are_not_what_lots_make_nothing_is_believed(told):
    more = told.trial.take(~told.trial.is_treated | (np.arange(len(told.trial)) % 5 > 0))
    other = told.trial.take(~told.trial.is_treated | (told.trial.x[:, 5] > 0))

    assert learn(more, [0.5]).status == "not_believed"
    assert checked(more, [0.5]).balance.verdict == "passed"
    assert learn(other).status == "not_believed"
    assert next(iter(checked(other).balance.differences)) == "likes_offers = yes"


def test_balance_is_judged_within_campaigns():
    """Two campaigns of other people and other shares: both fair, and together unequal."""
    lots = np.random.default_rng(1)
    campaign = np.repeat([0, 1], 4_000)
    x = lots.normal(0, 1, (8_000, 1)) + 2 * campaign[:, None]
    treated = lots.random(8_000) < np.where(campaign == 1, 0.8, 0.2)
    of = (Feature("n", "number"),)

    assert balance(Trial.of(of, x, treated, treated, campaign=campaign)).verdict == "passed"
    assert balance(Trial.of(of, x, treated, treated)).verdict == "alarm"


def test_the_mean_effect_is_that_of_the_experiment_with_and_without_the_score_of_before(told):
    trial = told.trial
    arms = {
        name: sums_of(trial.outcome[chosen], trial.covariate[chosen])
        for name, chosen in (("sent", trial.is_treated), ("control", ~trial.is_treated))
    }
    (one,) = compare(arms, "control", has_covariate=True)
    found = average(trial)

    assert found.interval == pytest.approx(one.interval)
    assert found.plain.interval(0.05) == pytest.approx(one.plain.interval(0.05))
    assert found.adjusted.variance < found.plain.variance


def test_the_mean_effect_of_two_campaigns_is_weighted_by_users(told):
    campaign = (np.arange(len(told.trial)) % 4 == 0).astype(int)
    found = average(replace(told.trial, campaign=campaign))
    parts = [average(told.trial.take(campaign == one)).effect.value for one in (0, 1)]

    assert found.effect.value == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


def test_a_line_draws_in_a_score_that_says_too_much():
    lots = np.random.default_rng(0)
    effect = lots.normal(0.05, 0.1, 20_000)
    found = line(0.05 + 4 * (effect - 0.05), effect + lots.normal(0, 0.3, 20_000), np.arange(20_000))

    assert found.slope == pytest.approx(0.25, abs=0.02)
    assert found.at(np.array([found.centre]))[0] == pytest.approx(0.05, abs=0.01)


def test_the_error_of_a_line_is_by_cluster():
    """The sandwich written out, a cluster of two after the other."""
    lots = np.random.default_rng(0)
    score, pseudo = lots.uniform(0, 1, 500), lots.normal(0, 1, 500)
    found = line(score, pseudo, np.arange(500) // 2)
    x = np.column_stack([np.ones(500), np.clip(score, found.low, found.high) - found.centre])
    fitted = np.linalg.lstsq(x, pseudo)[0]
    left = pseudo - x @ fitted
    meat = sum(np.outer(x[i : i + 2].T @ left[i : i + 2], x[i : i + 2].T @ left[i : i + 2]) for i in range(0, 500, 2))
    bread = np.linalg.inv(x.T @ x)

    assert (found.level, found.slope) == pytest.approx(tuple(fitted))
    assert (found.level_variance, found.slope_variance) == pytest.approx(tuple(np.diag(bread @ meat @ bread)))


@pytest.mark.parametrize(
    ("qini", "error", "chosen"),
    [
        ({"constant": 0.0, "a": 0.010, "b": 0.011}, {"constant": 1.0, "a": 0.002, "b": 0.0}, "a"),
        ({"constant": 0.0, "a": 0.005, "b": 0.011}, {"constant": 1.0, "a": 0.002, "b": 0.0}, "b"),
        ({"constant": 0.0, "a": -0.01, "b": -0.02}, {"constant": 0.0, "a": 0.002, "b": 0.0}, "constant"),
    ],
)
def test_the_simpler_of_those_that_cannot_be_told_apart_is_chosen(qini, error, chosen):
    assert Inner(qini, error).chosen == chosen


def test_parts_keep_clusters_whole_and_arms_equal(told):
    cluster = np.arange(len(told.trial)) // 2
    trial = replace(told.trial, cluster=cluster, is_treated=told.trial.is_treated[cluster * 2])
    part = trial.parts(4, seed=3)

    assert (part[::2] == part[1::2]).all()
    shares = [trial.is_treated[part == one].mean() for one in range(4)]
    assert np.ptp(shares) < 0.002
