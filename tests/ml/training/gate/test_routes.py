from dataclasses import replace

import numpy as np
import pytest

from ml.training import gate
from ml.training.evaluation import Judged, evaluate
from ml.training.gate import Challenge, Pair, criteria
from tests.traps import trap

ASKED = criteria().model_copy(update={"resamples": 200})


def judged(model_noise: float, naive_noise: float) -> Judged:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=1500)
    outcome = (truth + draw.normal(size=1500) > 0).astype(float)
    raw, naive = truth + model_noise * draw.normal(size=1500), truth + naive_noise * draw.normal(size=1500)
    return Judged(np.arange(1500), outcome, raw, 1 / (1 + np.exp(-raw)), naive, 0.5)


def test_a_model_that_beats_the_naive_rule_passes():
    verdict = gate.judge(evaluate("probability", judged(0.5, 2.0)))

    assert verdict.passed
    assert verdict.why.startswith("auc")
    assert "beats the naive rule" in verdict.why
    assert "chance" not in verdict.why
    assert "predicted/actual 1.0" in verdict.why


def test_a_model_that_loses_does_not_pass():
    verdict = gate.judge(evaluate("probability", judged(2.0, 0.5)))

    assert not verdict.passed
    assert verdict.criteria[0].name == "ranking"
    assert "loses to the naive rule" in verdict.why


@pytest.mark.parametrize("rule", ["the same", "as good"])
def test_a_tie_does_not_pass_and_doubt_is_said(rule):
    rows = judged(1.0, 1.0)
    if rule == "the same":
        rows = Judged(rows.users, rows.outcome, rows.raw, rows.prediction, rows.raw, 0.5)
        assert not gate.judge(evaluate("probability", rows)).passed
    assert "may be chance" in gate.judge(evaluate("probability", rows)).why


def off(rows: Judged, prediction: np.ndarray) -> gate.Verdict:
    return gate.judge(evaluate("probability", replace(rows, prediction=prediction)))


def test_a_good_ranking_with_impossible_probabilities_does_not_pass():
    """As of a calibration that ran away: the best are certain, the others never return."""
    rows = judged(0.5, 2.0)
    verdict = off(rows, (rows.raw > 0.5).astype(float))

    assert not verdict.passed
    assert verdict.criteria[0].name == "log_loss"
    assert verdict.why.startswith("log_loss")
    assert "beats the naive rule" in verdict.why


@pytest.mark.parametrize(("times", "passed"), [(0.4, False), (0.7, True)])
def test_a_level_that_is_wrong_by_half_does_not_pass_and_a_season_does(times, passed):
    rows = judged(0.5, 2.0)
    calibrated = 1 / (1 + np.exp(-1.2 * rows.raw))
    verdict = off(rows, times * calibrated)

    assert {c.name: c.passed for c in verdict.criteria}["predicted_over_actual"] is passed


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (0.3, False), (3.0, False)])
def test_amounts_have_to_add_up_about(factor, passed):
    draw = np.random.default_rng(0)
    spent = draw.gamma(1.0, 20.0, 1500)
    said = spent * draw.gamma(4.0, 0.25, 1500)
    rows = Judged(np.arange(1500), spent, said, factor * said, draw.random(1500), 20.0)

    verdict = gate.judge(evaluate("amount", rows))

    assert verdict.passed is passed
    assert {c.name for c in verdict.criteria} == {"ranking", "predicted_over_actual"}


def test_a_few_rare_outcomes_are_not_enough_to_call_a_level_wrong():
    """Ten returns where 25 were foretold, of users who return together: luck may be all there is to it."""
    users = np.repeat(np.arange(60), 50)
    outcome = np.isin(users, [1, 2]).astype(float) * (np.arange(3000) % 10 == 0)
    raw = np.where(outcome > 0, 1.0, 0.0) + np.arange(3000) / 3000
    rows = Judged(users, outcome, raw, np.full(3000, 25 / 3000), -raw, 0.003)

    assert {c.name: c.passed for c in gate.judge(evaluate("probability", rows)).criteria}["predicted_over_actual"]


def test_a_rule_in_the_place_of_a_model_has_to_beat_chance_only():
    rows = judged(1.0, 1.0)
    itself = evaluate("probability", replace(rows, naive=rows.raw))
    turned = evaluate("probability", replace(rows, raw=-rows.raw))
    passed, failed = (gate.judge_rule(found, "recency", "auc 0.6 loses") for found in (itself, turned))

    assert passed.passed and passed.is_rule
    assert "the model did not pass: auc 0.6 loses; the naive rule recency scores in its place" in passed.why
    assert not failed.passed
    assert "no better than chance" in failed.why


def recipe(noise: float, *, seed: int = 1, users: int = 4000) -> Judged:
    """What a recipe says of users who come by a known law, with so much noise; calibrated as such a score would be."""
    draw, own = np.random.default_rng(0), np.random.default_rng(seed)
    truth = draw.normal(size=users)
    outcome = (draw.random(users) < 1 / (1 + np.exp(1 - truth))).astype(float)
    raw = truth + noise * own.normal(size=users)
    return Judged(
        np.arange(users), outcome, raw, 1 / (1 + np.exp(1 - raw / (1 + noise**2))), draw.normal(size=users), 0.3
    )


def challenged(challenger: Judged, champion: Judged, *, same: bool = False, simpler: bool = False) -> gate.Verdict:
    challenge = Challenge("probability", Pair(challenger, champion), same, simpler)
    return gate.judge_challenger(evaluate("probability", challenger), challenge, ASKED)


def test_another_recipe_has_to_be_better_beyond_chance():
    better, equal, worse = (challenged(recipe(noise, seed=2), recipe(0.8)) for noise in (0.2, 0.78, 1.4))

    assert better.passed and better.route == "better"
    assert better.why.startswith("log_loss is better than the champion's recipe")
    assert not equal.passed and "not surely better" in equal.why
    assert not worse.passed and worse.failed("better")


def test_a_simpler_recipe_has_to_be_no_worse_and_a_better_one_is_not_called_simpler():
    as_good = challenged(recipe(0.505), recipe(0.5), simpler=True)
    better = challenged(recipe(0.2, seed=2), recipe(0.8), simpler=True)
    worse = challenged(recipe(0.7), recipe(0.5), simpler=True)

    assert (as_good.passed, as_good.route) == (True, "simpler")
    assert (better.passed, better.route) == (True, "better")
    assert not worse.passed
    assert not challenged(recipe(0.505), recipe(0.5)).passed


def test_a_refresh_that_says_the_same_passes_and_a_worse_one_does_not():
    same, worse = challenged(recipe(0.5), recipe(0.5), same=True), challenged(recipe(0.7), recipe(0.5), same=True)

    assert (same.passed, same.route) == (True, "refresh")
    assert not worse.passed and worse.failed("non_inferior")


def test_with_too_few_rows_to_tell_a_refresh_goes_by_the_value_if_its_level_holds():
    few = {"users": 300, "seed": 2}
    close, worse = recipe(0.4, **few), recipe(1.5, **few)
    wrong = replace(close, prediction=0.2 * close.prediction)
    told = [challenged(one, recipe(0.5, users=300), same=True) for one in (close, worse, wrong)]

    assert [verdict.passed for verdict in told] == [True, False, False]
    assert all("too few rows to tell" in verdict.why for verdict in told)


def test_what_is_better_than_the_champion_has_to_beat_the_naive_rule_as_well():
    """The champion's recipe may have become worse than days since the last visit."""
    challenger = recipe(0.8)
    loses = replace(challenger, naive=recipe(0.1).raw)

    assert challenged(loses, recipe(2.0)).failed("ranking")


@trap("the confidence of the predicted class as the score")
def test_confidence_in_the_predicted_class_is_kept_out():
    """The trap: max(p, 1 - p) published as the chance to come back."""
    honest = recipe(0.3)
    confident = np.maximum(honest.prediction, 1 - honest.prediction)
    published = replace(honest, raw=confident, prediction=confident)

    assert not gate.judge(evaluate("probability", replace(published, naive=recipe(1.0).raw))).passed
    assert not challenged(published, honest, same=True).passed
    assert not challenged(published, honest).passed
