import json
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from ml.model import calibration
from ml.model.calibration import NEVER, Level, Platt, logistic, why_refused
from ml.model.scorer import Scorer
from ml.objectives import calibration_of
from ml.objectives.count import Rate
from rekindle.errors import InputError
from tests.ml.conftest import WORDING, feature_rows, sundays
from tests.ml.model.test_stored import stored_files


def drawn(rows: int, rate: float, slope: float, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds around those of a rate, and what comes true where a step of them is worth `slope`."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(np.log(rate / (1 - rate)), 1.0, rows)
    level = np.log(rate / (1 - rate))
    return raw, (draw.random(rows) < logistic(level + slope * (raw - level))).astype(float)


def best_by_another_solver(raw: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
    """The definition, minimised by a method that shares nothing with Newton's."""
    ones, zeros = outcome.sum(), (1 - outcome).sum()
    target = np.where(outcome > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(weights: np.ndarray) -> float:
        odds = weights[0] * (raw - raw.mean()) + weights[1]
        return (np.logaddexp(0, odds) - target * odds).sum() + (weights[0] - 1) ** 2 / 2

    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 10_000, "maxfev": 10_000}
    slope, level = minimize(loss, [1.0, np.log((ones + 1) / (zeros + 1))], method="Nelder-Mead", options=options).x
    return slope, level - slope * raw.mean()


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


def few_returns(apart: float, power: int) -> tuple[np.ndarray, np.ndarray]:
    """32 returns among 4,557 rows, by scores that lie `apart` and whose tails are stretched."""
    draw = np.random.default_rng(5)
    outcome = np.zeros(4557)
    outcome[:32] = 1
    raw = draw.normal(size=4557) + apart * outcome
    return np.sign(raw) * np.abs(raw) ** power, outcome


@pytest.mark.parametrize(("apart", "power"), [(1, 1), (2, 1), (6, 1), (1, 3), (2, 3), (4, 3)])
def test_few_returns_give_a_slope_that_another_solver_finds_too(apart, power):
    """Newton's whole steps ran away to slopes of 1e11 here, and hundreds were published at exactly 0."""
    raw, outcome = few_returns(apart, power)

    platt = Platt.fit(raw, outcome)

    assert (platt.slope, platt.intercept) == pytest.approx(best_by_another_solver(raw, outcome), rel=1e-3)


@pytest.mark.parametrize(("rate", "rows"), [(0.007, 4557), (0.0005, 60_000), (0.3, 1000)])
def test_what_is_predicted_adds_up_to_what_came_true_at_any_rate(rate, rows):
    raw, outcome = drawn(rows, rate, 1.0)

    platt = Platt.fit(raw, outcome)

    assert why_refused(platt) is None
    assert logistic(platt.slope * raw + platt.intercept).sum() == pytest.approx(outcome.sum(), rel=0.05)


@settings(max_examples=60)
@given(st.integers(20, 3000), st.floats(0.0005, 0.9995), st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 99))
def test_a_calibration_is_where_the_loss_is_least(rows, rate, slope, log_spread, seed):
    """However many rows, however rare the outcome, however wide the scores: the slope of the loss is nothing there."""
    raw, outcome = drawn(rows, rate, slope, seed=seed)
    raw = 10**log_spread * raw

    platt = Platt.fit(raw, outcome)

    ones, zeros = outcome.sum(), (1 - outcome).sum()
    left = logistic(platt.slope * raw + platt.intercept) - np.where(
        outcome > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2)
    )
    assert left.sum() == pytest.approx(0, abs=1e-4)
    pull = (left * (raw - raw.mean())).sum() + platt.slope - 1
    assert pull == pytest.approx(0, abs=1e-4 * (1 + np.abs(raw).max()))


def test_classes_that_separate_keep_a_finite_calibration():
    platt = Platt.fit(np.array([-1.0, -2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))

    assert why_refused(platt) is None
    assert np.isfinite(platt.intercept)


def test_a_constant_score_becomes_the_rate():
    outcome = np.array([1.0] * 5 + [0.0] * 95)

    platt = Platt.fit(np.full(100, 3.0), outcome)

    assert platt.predict(np.array([3.0]))[0] == pytest.approx(0.05, abs=0.01)


def test_a_score_that_ranks_the_wrong_way_round_is_refused(scores):
    raw, outcome = scores

    assert "wrong way round" in why_refused(Platt.fit(-raw, outcome))


@pytest.mark.parametrize("slope", [1e11, 5.1, 0.19, 0.0, -1.0, float("nan")])
def test_a_slope_out_of_bounds_is_refused(slope):
    assert why_refused(Platt(slope=slope, intercept=0.0))
    assert why_refused(Level(factor=slope))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 10), st.floats(-5, 5))
def test_probabilities_are_probabilities_and_keep_the_order(raw, slope, intercept):
    predicted = Platt(slope=slope, intercept=intercept).predict(np.sort(raw))

    assert ((predicted > 0) & (predicted < 1)).all()
    assert (np.diff(predicted) >= 0).all()


@pytest.mark.parametrize("raw", [-1e9, -40.0, 40.0, 1e9])
def test_no_published_probability_says_never_or_surely(raw):
    """Three decimals are published."""
    (predicted,) = Platt(slope=1.0, intercept=0.0).predict(np.array([raw]))
    published = Decimal(float(predicted)).quantize(Decimal("0.001"), ROUND_HALF_UP)

    assert published in {Decimal("0.001"), Decimal("0.999")}


def test_a_model_that_an_earlier_version_calibrated_to_the_end_no_longer_says_never():
    """What its calibration ran away to stays as stored; what it predicts does not."""
    files = stored_files("recall")
    model = json.loads(files["model.json"])
    model["parts"][0]["calibration"] |= {"slope": 1e11}
    scores = Scorer.from_files({"model.json": json.dumps(model).encode()}).score(feature_rows(sundays(1), 50), WORDING)

    assert set(scores["active_1_7"].to_pylist()) == {NEVER, 1 - NEVER}


def test_amounts_add_up_to_what_was_spent_and_are_never_negative():
    raw, outcome = np.array([-5.0, 10.0, 30.0]), np.array([0.0, 20.0, 60.0])

    level = Level.fit(raw, outcome)

    assert level.predict(level.scale(raw) * raw).tolist() == [0.0, 20.0, 60.0]


def test_a_bend_that_was_drawn_is_found_and_amounts_add_up():
    draw = np.random.default_rng(0)
    raw = draw.gamma(1.0, 50.0, 20_000)
    outcome = 0.2 * raw**1.3 * draw.gamma(0.5, 2.0, 20_000)
    bent, plain = Level.bent(raw, outcome), Level.fit(raw, outcome)
    low = raw < 10

    assert bent.power == pytest.approx(1.3, abs=0.05)
    assert bent.factor == plain.factor
    assert bent.predict(bent.scale(raw) * raw).sum() == pytest.approx(outcome.sum())
    told, too_high = ((one.scale(raw) * raw)[low].sum() / outcome[low].sum() for one in (bent, plain))
    assert (told, too_high > 1.5) == (pytest.approx(1, abs=0.15), True)


@given(
    st.lists(st.floats(-1e4, 1e6), min_size=2, max_size=50),
    st.floats(0.5, 2.0),
    st.floats(0.01, 100),
    st.floats(1e-3, 1e4),
)
def test_a_bend_keeps_the_order_and_leaves_nothing_nothing(raw, power, least, pivot):
    level = Level(1.5, power, pivot, least)
    amounts = level.predict(level.scale(np.sort(raw)) * np.sort(raw))

    assert (np.diff(amounts) >= -1e-9 * np.abs(amounts[1:])).all()
    assert (amounts[np.sort(raw) <= 0] == 0).all()


def test_of_a_few_weeks_the_level_is_learnt_and_the_bend_stays():
    draw = np.random.default_rng(1)
    raw = draw.gamma(1.0, 50.0, 500)
    before = Level(1.2, 1.1, 60.0, 0.5)
    again = before.again(raw, 2.0 * before.scale(raw) * raw)

    assert (again.factor, again.power, again.pivot) == (pytest.approx(2.4), 1.1, 60.0)


@pytest.mark.parametrize("raw", [np.zeros(50), -np.ones(50), np.ones(50)], ids=["nothing", "debts", "all alike"])
def test_where_nothing_can_be_bent_nothing_is(raw):
    outcome = np.arange(50.0)

    assert Level.bent(raw, outcome) == Level.fit(raw, outcome)


@pytest.mark.parametrize(
    "fitted",
    [
        Platt(slope=0.1 + 0.2, intercept=-1 / 3),
        Level(factor=1 / 3),
        Level(1 / 3, 1.1, 1 / 7, 0.3),
        Rate(slope=1 / 3),
    ],
)
def test_json_keeps_every_bit(fitted):
    assert calibration_of(calibration.to_json(fitted)) == fitted


def test_a_calibration_that_no_objective_has_is_refused_by_name():
    with pytest.raises(InputError, match=r"unknown_objective: .*'isotonic'.*the last good scores stay"):
        calibration_of({"kind": "isotonic"})


def test_a_shift_moves_the_level_to_what_came_and_no_order():
    draw = np.random.default_rng(0)
    raw = draw.normal(size=5000)
    outcome = (draw.random(5000) < logistic(raw - 2)).astype(float)
    found = Platt.shifted(raw, outcome)

    assert found.slope == 1
    assert found.predict(raw).sum() == pytest.approx(outcome.sum(), rel=0.01)


@pytest.mark.parametrize("outcome", [np.zeros(300), np.ones(300)])
def test_a_shift_is_finite_where_nobody_or_everybody_came(outcome):
    found = Platt.shifted(np.linspace(-40, 40, 300), outcome)

    assert np.isfinite(found.intercept)
