"""Figures against implementations that share no code with them: scikit-learn, and loops over definitions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from ml.objectives import figures
from ml.training import evaluation
from ml.training.evaluation import Judged
from tests.traps import trap


@pytest.fixture
def some():
    """Rows with many ties, so that their handling shows."""
    draw = np.random.default_rng(3)
    score = np.round(draw.normal(size=2000), 1)
    chance = 1 / (1 + np.exp(-score))
    return (draw.random(2000) < chance).astype(float), score, chance


def tie_mean(outcome, score):
    return pd.Series(outcome).groupby(score).transform("mean").to_numpy()[np.argsort(-score, kind="stable")]


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2).filter(lambda r: len({y for y, _ in r}) == 2))
def test_auc_is_that_of_scikit_learn(rows):
    outcome, score = np.array(rows, float).T

    assert figures.auc(outcome, score) == pytest.approx(metrics.roc_auc_score(outcome, score))


def test_lift_and_capture_count_the_best_rows(some):
    outcome, score, _ = some
    ranked = tie_mean(outcome, score)

    assert figures.lift(outcome, score) == pytest.approx(ranked[:200].mean() / outcome.mean())
    assert figures.capture(outcome, score) == pytest.approx(ranked[:800].sum() / outcome.sum())


def test_a_decision_by_the_score_is_that_of_the_best_rows():
    """Without ties it is scikit-learn's of whoever is texted; with all rows tied each is texted in part."""
    draw = np.random.default_rng(0)
    score, outcome = draw.normal(size=200), (draw.random(200) < 0.3).astype(float)
    texted = score >= np.sort(score)[-20]
    found = figures.of_texted(outcome, score, 0.1)

    assert found["precision_texted"] == pytest.approx(metrics.precision_score(outcome, texted))
    assert found["recall_texted"] == pytest.approx(metrics.recall_score(outcome, texted))
    assert found["f1_texted"] == pytest.approx(metrics.f1_score(outcome, texted))
    assert found["accuracy_texted"] == pytest.approx(metrics.accuracy_score(outcome, texted))
    assert figures.of_texted(outcome, np.ones(200), 0.1)["precision_texted"] == pytest.approx(outcome.mean())


def test_lifts_and_captures_of_several_shares_are_those_of_each(some):
    outcome, score, _ = some
    found = figures.by_share(outcome, score, (0.01, 0.1, 0.4))

    assert found["lift_1"] == pytest.approx(figures.lift(outcome, score, 0.01))
    assert found["lift_10"] == pytest.approx(figures.lift(outcome, score))
    assert found["capture_40"] == pytest.approx(figures.capture(outcome, score))


def test_the_calibration_line_finds_what_was_done_to_the_log_odds():
    draw = np.random.default_rng(1)
    odds = draw.normal(size=20_000)
    outcome = (draw.random(20_000) < 1 / (1 + np.exp(-(0.5 * odds - 1)))).astype(float)
    found = figures.calibration_line(outcome, 1 / (1 + np.exp(-odds)))

    assert found["calibration_slope"] == pytest.approx(0.5, abs=0.05)
    assert found["calibration_intercept"] == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("rows", [60, 3000])
@pytest.mark.parametrize(("slope", "intercept"), [(0.05, 0), (1, 0), (1, -3), (3, 2), (-1, 1)])
def test_the_calibration_line_is_that_of_a_regression_without_shrinkage(rows, slope, intercept):
    draw = np.random.default_rng(rows)
    odds = draw.normal(-1, 1.5, rows)
    outcome = (draw.random(rows) < 1 / (1 + np.exp(-(slope * odds + intercept)))).astype(float)
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(odds[:, None], outcome)
    found = figures.calibration_line(outcome, 1 / (1 + np.exp(-odds)))

    assert found["calibration_slope"] == pytest.approx(theirs.coef_[0, 0], rel=1e-5)
    assert found["calibration_intercept"] == pytest.approx(theirs.intercept_[0], rel=1e-5, abs=1e-6)


def test_where_predictions_part_the_outcomes_there_is_no_calibration_line():
    found = figures.calibration_line(np.repeat([0.0, 1.0], 20), np.linspace(0.1, 0.9, 40))

    assert np.isnan([*found.values()]).all()


@pytest.mark.parametrize("metric", [figures.auc, figures.average_precision, figures.spearman])
def test_where_nobody_returned_there_is_nothing_to_tell(metric):
    assert np.isnan(metric(np.zeros(20), np.arange(20.0)))


def test_amounts_at_their_means_are_at_the_floor_of_decile_errors():
    """What the bins spend by chance is no fault of the model."""
    draw = np.random.default_rng(2)
    mean = np.repeat(np.arange(1.0, 11.0), 300)
    outcome = mean * draw.gamma(0.5, 2.0, 3000)
    floors = figures.decile_mape_floor(outcome, mean), figures.decile_wape_floor(outcome, mean)

    assert figures.decile_mape(outcome, mean) < 2 * floors[0]
    assert figures.decile_wape(outcome, mean) < 2 * floors[1]
    assert figures.decile_mape(outcome, 1.3 * mean) > 3 * floors[0]


def test_log_loss_is_that_of_scikit_learn(some):
    outcome, _, chance = some

    assert figures.log_loss(outcome, chance) == pytest.approx(metrics.log_loss(outcome, chance))


def test_the_brier_score_is_the_mean_squared_error(some):
    outcome, _, chance = some

    assert figures.brier(outcome, chance) == pytest.approx(((outcome - chance) ** 2).mean())


def test_ece_is_the_mean_gap_of_ten_equal_bins(some):
    outcome, _, chance = some
    order = np.argsort(chance, kind="stable")
    gaps = [abs(outcome[part].mean() - chance[part].mean()) for part in np.split(order, 10)]

    assert figures.ece(outcome, chance) == pytest.approx(np.mean(gaps))


def test_a_perfectly_calibrated_model_is_at_the_floor_and_a_shifted_one_above():
    draw = np.random.default_rng(0)
    chance = draw.uniform(0.05, 0.5, 3300)
    outcome = (draw.random(3300) < chance).astype(float)
    floor = figures.ece_floor(chance)

    assert 0.01 < floor < 0.025
    assert figures.ece(outcome, chance) < 1.5 * floor
    assert figures.ece(outcome, chance + 0.1) > 3 * floor


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=2).filter(lambda r: len({y for y, _ in r}) > 1)
)
def test_gini_is_the_area_of_the_definition(rows):
    outcome, score = np.array(rows, float).T

    def area(by):
        ranked = tie_mean(outcome, by)
        return 2 * (ranked.cumsum() / ranked.sum()).mean() - 1

    assert figures.gini(outcome, score) == pytest.approx(area(score) / area(outcome))


def test_a_perfect_ranking_has_a_gini_of_one_and_a_constant_none():
    outcome = np.array([0.0, 0.0, 5.0, 20.0] * 500)

    assert figures.gini(outcome, outcome * 3) == pytest.approx(1)
    assert figures.gini(outcome, np.ones(2000)) == pytest.approx(0, abs=1e-3)


def test_decile_mape_passes_over_bins_without_spending():
    outcome = np.repeat([0.0, 10.0], 50)
    prediction = np.repeat([1.0, 12.0], 50)

    assert figures.decile_mape(outcome, prediction) == pytest.approx(0.2)


def test_draws_keep_all_rows_of_a_user_together():
    users = np.array(["a", "b", "a", "c"])

    for rows in evaluation.draws(users):
        times = np.bincount(rows, minlength=4)
        assert times[0] == times[2]
        assert times[0] + times[1] + times[3] == 3


def test_the_difference_is_paired_and_has_the_sign_of_the_better():
    """Both scores are noisy in the same way; their difference is known far better than either."""
    draw = np.random.default_rng(5)
    truth, shared = draw.normal(size=2000), draw.normal(size=2000)
    outcome = (truth + draw.normal(size=2000) > 0).astype(float)
    good, bad = truth + shared, truth + 1.1 * shared
    users = np.arange(2000)

    found = evaluation.evaluate("probability", Judged(users, outcome, good, 1 / (1 + np.exp(-good)), bad, 0.5))

    wide = found.model["auc"].high - found.model["auc"].low
    difference = found.difference["auc"]
    assert difference.low > 0
    assert difference.high - difference.low < wide / 3
    assert found.beats_naive
    assert found.to_json()["verdict"] == "better than the naive rule"


def test_a_model_that_loses_is_said_to_lose():
    draw = np.random.default_rng(5)
    outcome = (draw.random(500) < 0.3).astype(float)
    noise = draw.random(500)

    found = evaluation.evaluate("probability", Judged(np.arange(500), outcome, noise, noise, outcome, 0.5))

    assert not found.beats_naive
    assert found.to_json()["verdict"] == "loses to the naive rule"


@trap("the confidence of the predicted class as the score")
def test_confidence_in_the_predicted_class_is_no_score():
    """The trap: publishing max(p, 1 - p) ranks those who surely stay away on top."""
    draw = np.random.default_rng(7)
    chance = draw.beta(1, 6, 5000)
    outcome = (draw.random(5000) < chance).astype(float)

    assert figures.auc(outcome, chance) > 0.65
    assert figures.auc(outcome, np.maximum(chance, 1 - chance)) < 0.45
