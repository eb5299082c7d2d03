"""Checked against the formulas of the papers, term by term, and against customers whose lives were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

from ml.model.purchase_process import Histories, PurchaseProcess, Spend
from rekindle.landing.filling.samples.dataset import package_file

CDNOW = ("lifetimes", "datasets", "cdnow_customers_summary_with_transactions.csv")

SHAPES = st.floats(0.1, 5)
CUSTOMERS = st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(1, 400))


@pytest.fixture(scope="module")
def cdnow() -> np.ndarray:
    """The 2,357 customers of the papers: ID, x, t_x, T in weeks, and the mean of the x amounts."""
    return np.genfromtxt(package_file(*CDNOW), delimiter=",", names=True)


def lived(count: int, process: PurchaseProcess, until: float, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Customers purchase by purchase: what is known at their age, and how many purchases come then until later."""
    draw = np.random.default_rng(seed)
    rate = draw.gamma(process.r, 1 / process.alpha, count)
    leaving = draw.beta(process.a, process.b, count)
    age = draw.integers(50, 400, count).astype(float)
    now, repeats, last, later = (np.zeros(count) for _ in range(4))
    alive = np.ones(count, dtype=bool)
    while alive.any():
        now = now + draw.exponential(1 / rate)
        known, coming = alive & (now <= age), alive & (now > age) & (now <= age + until)
        repeats, last, later = repeats + known, np.where(known, now, last), later + coming
        alive = (known | coming) & (draw.random(count) >= leaving)
    return {"repeats": repeats, "last": last, "age": age, "later": later}


def known_of(customers: dict[str, np.ndarray]) -> Histories:
    return Histories.of(*(customers[name] for name in ("repeats", "last", "age")))


def direct_log_likelihood(process: PurchaseProcess, x: float, t_x: float, age: float) -> float:
    """Equation (6) of Fader, Hardie and Lee, as it stands there."""
    r, alpha, a, b = process.r, process.alpha, process.a, process.b
    lived_on = betaln(a, b + x) - betaln(a, b) + gammaln(r + x) + r * np.log(alpha)
    lived_on = lived_on - gammaln(r) - (r + x) * np.log(alpha + age)
    if x == 0:
        return float(lived_on)
    left = betaln(a + 1, b + x - 1) - betaln(a, b) + gammaln(r + x) + r * np.log(alpha)
    left = left - gammaln(r) - (r + x) * np.log(alpha + t_x)
    return float(np.logaddexp(lived_on, left))


def test_finds_the_parameters_that_are_published_of_cdnow(cdnow):
    process = PurchaseProcess.fit(Histories.of(cdnow["x"], cdnow["t_x"], cdnow["T"]))

    assert (process.r, process.alpha, process.a, process.b) == pytest.approx((0.2426, 4.4136, 0.7929, 2.4259), rel=2e-4)


def test_finds_the_spread_of_amounts_that_is_published_of_cdnow(cdnow):
    spend = Spend.fit(cdnow["x"], cdnow["zbar"])

    assert (spend.p, spend.q, spend.gamma) == pytest.approx((6.25, 3.74, 15.44), rel=2e-3)


@given(st.tuples(SHAPES, SHAPES, SHAPES, SHAPES), st.lists(CUSTOMERS, min_size=1, max_size=5))
@settings(max_examples=40)
def test_the_likelihood_is_that_of_the_paper(parameters, customers):
    process, x = PurchaseProcess(*parameters), np.array([c[0] for c in customers], dtype=float)
    age = np.array([c[2] for c in customers])
    t_x = np.where(x > 0, np.array([c[1] for c in customers]) * age, 0)

    expected = sum(direct_log_likelihood(process, *known) for known in zip(x, t_x, age, strict=True))

    assert process.log_likelihood(Histories.of(x, t_x, age)) == pytest.approx(expected, rel=1e-9)
    both = np.array([direct_log_likelihood(process, *known) for known in zip(x, t_x, age, strict=True)])
    lived_on = betaln(process.a, process.b + x) - betaln(process.a, process.b) + gammaln(process.r + x)
    lived_on = lived_on + process.r * np.log(process.alpha) - gammaln(process.r)
    lived_on = lived_on - (process.r + x) * np.log(process.alpha + age)
    assert process.p_alive(Histories.of(x, t_x, age)) == pytest.approx(np.exp(lived_on - both), rel=1e-6)


def test_no_method_without_gradients_finds_better_parameters():
    known = lived(300, PurchaseProcess(0.8, 40.0, 0.9, 2.5), 0)
    histories = known_of(known)

    def loss(logs: np.ndarray) -> float:
        return -PurchaseProcess(*np.exp(logs)).log_likelihood(histories)

    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-6, "fatol": 1e-8}
    other = minimize(loss, np.log([1, 50, 1, 2]), method="Nelder-Mead", options=options)

    assert PurchaseProcess.fit(histories).log_likelihood(histories) >= -other.fun - 1e-6


@given(
    st.tuples(SHAPES, st.floats(10, 50), st.sampled_from([0.02, 0.3, 0.8, 1.5, 4.0]), SHAPES), CUSTOMERS,
    st.floats(1, 400),
)  # fmt: skip
@settings(max_examples=40)
def test_the_expected_count_is_equation_10_of_the_paper(parameters, customer, until):
    process, (x, share, age) = PurchaseProcess(*parameters), customer
    r, alpha, a, b = parameters
    x, t_x, age = (np.array([value], dtype=float) for value in (x, share * age if x else 0, age))
    reach = until / (alpha + age + until)
    alive = process.p_alive(Histories.of(x, t_x, age))
    fading = ((alpha + age) / (alpha + age + until)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, reach)

    expected = alive * (a + b + x - 1) / (a - 1) * (1 - fading)

    assert process.expected(Histories.of(x, t_x, age), until) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    # a = 1, at which the paper's equation divides by zero.
    return lived(30_000, PurchaseProcess(0.7, 30.0, 1.0, 3.0), 365)


def test_what_is_expected_comes_true_on_average_at_each_past(drawn):
    process = PurchaseProcess(0.7, 30.0, 1.0, 3.0)
    expected = process.expected(known_of(drawn), 365)

    order = np.array_split(np.argsort(expected), 10)

    told, came = (np.array([values[rows].mean() for rows in order]) for values in (expected, drawn["later"]))
    assert told[2:] == pytest.approx(came[2:], rel=0.1)
    assert expected.sum() == pytest.approx(drawn["later"].sum(), rel=0.02)


def test_intervals_are_of_the_count_itself(drawn):
    """An interval of the mean would hold next to no customer."""
    process = PurchaseProcess(0.7, 30.0, 1.0, 3.0)
    few = {name: values[:2_000] for name, values in drawn.items()}

    low, high = process.count_quantiles(known_of(few), 365, (0.1, 0.9)).T

    assert (low == low.round()).all() and (low <= high).all()
    assert 0.89 <= (few["later"] <= high).mean() <= 0.96
    assert (few["later"] >= low).mean() >= 0.89


def test_intervals_of_amounts_hold_what_is_spent(drawn):
    process, spend, draw = PurchaseProcess(0.7, 30.0, 1.0, 3.0), Spend(4.0, 3.0, 20.0), np.random.default_rng(2)
    few = {name: values[:2_000] for name, values in drawn.items()}
    scale = draw.gamma(spend.q, 1 / spend.gamma, 2_000)
    bought = few["repeats"] + 1
    mean = draw.gamma(spend.p * bought) / scale / bought
    later = np.where(few["later"] > 0, draw.gamma(spend.p * np.maximum(few["later"], 1)) / scale, 0)
    known = known_of(few)

    low, high = process.amount_quantiles(spend, known, mean, until=365, levels=(0.1, 0.9)).T

    assert 0.88 <= (later <= high).mean() <= 0.92
    assert (later < low).mean() <= 0.1
    assert (process.expected(known, 365) * spend.expected(bought, mean)).sum() == pytest.approx(later.sum(), rel=0.1)


def test_a_customer_s_numbers_do_not_depend_on_who_else_is_asked_about(drawn):
    process = PurchaseProcess(0.7, 30.0, 1.0, 3.0)
    several, one = (
        known_of({name: values[rows] for name, values in drawn.items()}) for rows in (slice(300), slice(7, 8))
    )

    assert process.count_quantiles(one, 90, (0.9,)) == process.count_quantiles(several, 90, (0.9,))[7]
    assert process.expected(one, 90) == process.expected(several, 90)[7]


def test_equal_customers_may_be_counted(drawn):
    histories = Histories.of(drawn["repeats"], np.ceil(drawn["last"]), drawn["age"])
    grouped = histories.grouped()

    assert len(grouped.age) < len(histories.age) and grouped.weight.sum() == len(histories.age)
    process = PurchaseProcess(0.5, 9.0, 0.7, 2.0)
    assert process.log_likelihood(grouped) == pytest.approx(process.log_likelihood(histories))


@pytest.mark.parametrize("repeats", [0, 5])
def test_customers_who_are_all_alike_have_finite_parameters(repeats):
    """Nobody buys again; or everybody has bought just now."""
    histories = Histories.of(np.full(50, repeats), np.full(50, 99.0 if repeats else 0.0), np.full(50, 100.0))

    process = PurchaseProcess.fit(histories)
    expected = process.expected(histories, 365)

    assert np.isfinite(expected).all() and (expected >= 0).all()
    assert (expected[0] > 1) == (repeats > 0)
