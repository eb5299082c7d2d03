"""Counts through the whole of fitting, on users who order by a known law."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import mean_poisson_deviance

from ml.model.scorer import Scorer
from ml.objectives import OBJECTIVES, figures, pictures
from ml.objectives.count import Rate
from ml.products import Rule, Target
from ml.training import fitting, gate, samples
from rekindle.errors import InputError
from tests.ml.conftest import WORDING, feature_rows, sample_of, sundays

LABEL = "orders_1_7"
RULES = (Rule("orders_28d", "orders within 28 days", {"orders_28d": 1.0}),)


@pytest.fixture(scope="module")
def product(recall):
    targets = (Target("orders", 1, 7, RULES),)
    return replace(recall, objective="count", candidates=("poisson", "boosting"), targets=lambda _business: targets)


@pytest.fixture(scope="module")
def law() -> tuple[pa.Table, np.ndarray]:
    """Rows with their orders of the week, and how many were to be expected of each."""
    rows = feature_rows(sundays(20), 200, seed=8)
    often, recency = rows["orders_28d"].to_numpy().astype(float), rows["recency_days"].to_numpy().astype(float)
    expected = 0.3 * (1 + often) ** 0.8 * np.exp(-0.015 * (recency - 60))
    orders = np.random.default_rng(8).poisson(expected).astype(float)
    return rows.drop_columns(["active_1_7"]).append_column(LABEL, pa.array(orders)), expected


@pytest.fixture(scope="module")
def sample(product, law, business):
    return sample_of(product, law[0], business)


@pytest.fixture(scope="module")
def fitted(product, sample, business):
    return fitting.fit(product, sample, samples.split(sample, business))


def test_counts_are_foretold_nearly_as_well_as_the_law_allows(fitted, law):
    """Within a twentieth of the deviance of who knows the law, and right in sum."""
    rows, expected = law
    found = fitted.primary
    tested = found.row_count
    best = figures.deviance(rows[LABEL].to_numpy()[-tested:], expected[-tested:])

    assert best < found.model["deviance"].value < 1.05 * best
    assert 0.9 < found.model["predicted_over_actual"].value < 1.1
    assert found.difference["gini"].value > 0.05
    assert found.over_base["deviance"].high < 0
    assert gate.judge(found).passed


def test_an_order_is_counted_not_a_customer(fitted):
    """The mean of the rows is a rate above 1, which no probability would be."""
    predicted = fitted.longest.prediction

    assert predicted.max() > 2
    assert predicted.min() > 0


def test_both_learners_and_the_rule_compete(fitted):
    (contest,) = fitted.contests

    assert set(contest.validation) == {"poisson", "boosting"}
    assert contest.rule == "orders_28d"
    assert contest.refused == {}


def test_contributions_add_up_to_the_logarithm_of_the_count_and_survive_storing(fitted, law):
    rows = law[0].slice(0, 100)
    model = Scorer.from_files(fitted.scorer.to_files())
    level = model.forecasts[0].calibration.slope

    assert model.to_files() == fitted.scorer.to_files()
    for row in model.score(rows, WORDING).to_pylist():
        whole = row["baseline"] + sum(r["contribution"] for r in row["reasons"]) + row["other_contribution"]
        assert row[LABEL] == pytest.approx(level * np.exp(whole), rel=1e-9)


def test_a_refit_keeps_the_recipe_and_its_level(product, sample, fitted, business):
    days = samples.refit_days(sample, samples.split(sample, business), business)
    refitted = fitting.refit(product, sample, fitted.scorer, days)

    assert refitted.why_not is None
    assert refitted.scorer.forecasts[0].calibration.slope == pytest.approx(1, abs=0.1)


def test_the_deviance_is_that_of_the_field():
    draw = np.random.default_rng(0)
    expected = draw.gamma(1.0, 1.0, 500) + 0.01
    outcome = draw.poisson(expected).astype(float)

    assert figures.deviance(outcome, expected) == pytest.approx(mean_poisson_deviance(outcome, expected))
    assert figures.deviance(outcome, outcome) == pytest.approx(0, abs=1e-12)


def test_a_level_is_right_in_sum():
    raw, outcome = np.log([1.0, 2.0, 5.0]), np.array([2.0, 4.0, 10.0])

    assert Rate.fit(raw, outcome).predict(raw).tolist() == pytest.approx([2.0, 4.0, 10.0])


def test_several_targets_are_refused_where_predictions_do_not_add_up(product, law, business):
    """The sum of two logarithms is that of no sum."""
    targets = (Target("orders", 1, 7, RULES), Target("orders", 8, 14, RULES))
    both = replace(product, targets=lambda _business: targets)
    sample = sample_of(both, law[0].append_column("orders_8_14", law[0][LABEL]), business)

    with pytest.raises(InputError, match="several_targets"):
        fitting.fit(both, sample, samples.split(sample, business))


def test_its_pictures_are_drawn(fitted):
    assert set(pictures.drawn(OBJECTIVES["count"], fitted.longest)) == {"gain.svg", "calibration.svg"}
