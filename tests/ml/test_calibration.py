import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from ml import calibration
from ml.calibration import Level, Platt, logistic


@pytest.fixture
def scores():
    draw = np.random.default_rng(1)
    raw = draw.normal(size=20_000) * 3
    return raw, (draw.random(20_000) < logistic(0.4 * raw - 1.0)).astype(float)


def test_platt_finds_what_maximum_likelihood_finds(scores):
    raw, outcome = scores
    other = LogisticRegression(C=np.inf).fit(raw[:, None], outcome)

    platt = Platt.fit(raw, outcome)

    assert platt.slope == pytest.approx(other.coef_[0, 0], rel=1e-2)
    assert platt.intercept == pytest.approx(other.intercept_[0], rel=1e-2)


def test_platt_stays_finite_where_classes_separate():
    platt = Platt.fit(np.array([-1.0, -2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))

    assert platt.keeps_order
    assert np.isfinite(platt.intercept)


def test_a_score_that_ranks_the_wrong_way_round_is_noticed(scores):
    raw, outcome = scores

    assert not Platt.fit(-raw, outcome).keeps_order


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 10), st.floats(-5, 5))
def test_probabilities_are_probabilities_and_keep_the_order(raw, slope, intercept):
    predicted = Platt(slope=slope, intercept=intercept).predict(np.sort(raw))

    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert (np.diff(predicted) >= 0).all()


def test_amounts_add_up_to_what_was_spent_and_are_never_negative():
    raw, outcome = np.array([-5.0, 10.0, 30.0]), np.array([0.0, 20.0, 60.0])

    level = Level.fit(raw, outcome)

    assert level.predict(level.factor * raw).tolist() == [0.0, 20.0, 60.0]


@pytest.mark.parametrize("fitted", [Platt(slope=0.1 + 0.2, intercept=-1 / 3), Level(factor=1 / 3)])
def test_json_keeps_every_bit(fitted):
    assert calibration.from_json(calibration.to_json(fitted)) == fitted
