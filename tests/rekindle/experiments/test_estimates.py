"""What an experiment caused, against what SciPy and statsmodels say of the same users."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import weightstats

from rekindle.experiments import Sums, compare, cuped, looks, sample_ratio, sums_of, worth
from rekindle.experiments.estimates import NOTHING_KNOWN, Estimate, difference, mean

AMOUNTS = st.lists(st.integers(-50, 1_000), min_size=2, max_size=30)


def clustered(rng, users: int) -> tuple[np.ndarray, np.ndarray]:
    """Users of phones that some share, whose outcomes go together."""
    cluster = rng.integers(0, users // 2, users)
    return rng.normal(0, 1, users) + rng.normal(0, 1, users)[cluster], cluster


@given(AMOUNTS, AMOUNTS)
def test_without_clusters_it_is_welchs_interval(treated, control):
    estimate = difference(sums_of(treated), sums_of(control))
    if np.var(treated) + np.var(control) == 0:
        assert estimate.interval(0.05) == NOTHING_KNOWN
        return
    reference = weightstats.CompareMeans.from_data(treated, control).tconfint_diff(usevar="unequal")

    assert estimate.interval(0.05) == pytest.approx(reference, rel=1e-6, abs=1e-6)


@given(AMOUNTS, AMOUNTS)
def test_sums_of_disjoint_clusters_add_up(one, other):
    assert sums_of(one) + sums_of(other) == sums_of(one + other)


def test_the_error_of_clusters_is_that_of_resampling_them():
    rng = np.random.default_rng(1)
    y, cluster = clustered(rng, 600)
    place = np.unique(cluster, return_inverse=True)[1]
    users, totals = np.bincount(place), np.bincount(place, weights=y)
    drawn = rng.integers(0, len(users), (4_000, len(users)))
    resampled = totals[drawn].sum(1) / users[drawn].sum(1)

    assert mean(sums_of(y, cluster=cluster)).error == pytest.approx(resampled.std(), rel=0.05)
    assert mean(sums_of(y, cluster=cluster)).error > 1.15 * mean(sums_of(y)).error


def test_users_who_are_their_own_clusters_are_users():
    y = [1.0, 0.0, 3.0]

    assert sums_of(y, [2, 1, 0], cluster=["a", "b", "c"]) == sums_of(y, [2, 1, 0])


def test_a_score_of_before_takes_its_share_of_the_variance_out():
    rng = np.random.default_rng(2)
    x = rng.normal(5, 2, (2, 20_000))
    y = 0.6 * (x - 5) / 2 + 0.8 * rng.normal(0, 1, x.shape) + np.array([[0.1], [0.0]])
    (found,) = compare({"sent": sums_of(y[0], x[0]), "control": sums_of(y[1], x[1])}, "control", has_covariate=True)

    assert found.correlation == pytest.approx(0.6, abs=0.02)
    assert found.variance_ratio == pytest.approx(1 - found.correlation**2, abs=0.005)
    assert found.interval[0] < 0.1 < found.interval[1]


def test_theta_is_that_of_a_regression_with_arms():
    rng = np.random.default_rng(3)
    x, arm = rng.normal(0, 1, 500), np.arange(500) % 2
    y = 2 * x + arm + rng.normal(0, 1, 500)
    arms = [sums_of(y[arm == n], x[arm == n]) for n in (0, 1)]
    slope = np.linalg.lstsq(np.column_stack([x, arm, 1 - arm]), y, rcond=None)[0][0]

    assert cuped.theta(arms) == pytest.approx(slope)


def test_a_score_that_is_the_same_for_all_changes_nothing():
    arms = {"sent": sums_of([1, 0, 2], [0.1] * 3), "control": sums_of([0, 1, 0], [0.1] * 3)}
    (found,) = compare(arms, "control", has_covariate=True)

    assert found.effect == found.plain


def test_where_nothing_varies_nothing_is_known():
    (found,) = compare({"sent": sums_of([0, 0]), "control": sums_of([0, 0])}, "control")

    assert found.told == "cannot be told from zero"
    assert found.p_value == 1


@pytest.mark.parametrize("treated", [Sums(), sums_of([1])])
def test_of_less_than_two_users_nothing_is_known(treated):
    assert difference(treated, sums_of([0, 1])).interval(0.05) == NOTHING_KNOWN


def test_several_arms_widen_the_interval_and_agree_with_their_words():
    arms = {
        "control": sums_of([0, 1] * 50),
        "one": sums_of([1] * 64 + [0] * 36),
        "two": sums_of([1, 0] * 50),
    }
    by_arm = {one.arm: one for one in compare(arms, "control")}

    assert by_arm["one"].interval[0] > by_arm["one"].corrected[0]
    assert by_arm["one"].interval[0] > 0 > by_arm["one"].corrected[0]
    assert by_arm["one"].told == "cannot be told from zero"
    assert by_arm["one"].p_value > 0.05


# Sizes


def test_a_sample_ratio_of_one_in_a_hundred_warns_and_does_not_alarm():
    found = sample_ratio({"treatment": 44_700, "control": 45_489})

    assert found.p_value == pytest.approx(0.0087, abs=5e-5)
    assert found.verdict == "warned"


def test_sizes_are_compared_with_planned_shares():
    assert sample_ratio({"a": 9_000, "b": 1_000}, {"a": 0.9, "b": 0.1}).verdict == "passed"
    assert sample_ratio({"a": 9_000, "b": 1_200}, {"a": 0.9, "b": 0.1}).verdict == "alarm"
    assert sample_ratio({"a": 500, "b": 510, "c": 505}).verdict == "passed"
    assert sample_ratio({"a": 0, "b": 0}).verdict == "passed"


# Looks


def test_five_looks_have_the_boundaries_of_the_books():
    """Those of Lan and DeMets for five equal looks, as ldbounds and gsDesign print them."""
    expected = [4.877, 3.357, 2.680, 2.290, 2.031]

    assert looks.boundaries([0.2, 0.4, 0.6, 0.8, 1.0], 0.05) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_one_look_at_the_end_costs_nothing(alpha):
    assert looks.alpha_at([1.0], alpha) == pytest.approx(alpha)


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8, unique=True))
def test_no_more_than_alpha_is_ever_spent_at_a_look(fractions):
    assert 0 <= looks.alpha_at(sorted(fractions), 0.05) <= 0.0500001


def test_an_interval_that_is_always_valid_is_tightest_where_it_was_chosen_to_be():
    levels = {n: looks.always_valid_alpha(n, 10_000, 0.05) for n in (100, 3_000, 10_000, 30_000, 1_000_000)}

    assert max(levels, key=levels.get) == 10_000
    assert max(levels.values()) < 0.01


# Worth


def test_a_sure_denominator_gives_the_interval_of_the_numerator():
    ratio = worth.fieller(Estimate(10, 4, 1e9), Estimate(2, 0, 0), 0, 0.05)

    assert ratio.value == 5
    assert ratio.interval == pytest.approx((5 - 1.95996, 5 + 1.95996), abs=1e-4)


@pytest.mark.parametrize(("top", "bottom", "lower_end"), [(10.0, 1.0, True), (0.5, 1.0, False)])
def test_a_denominator_that_may_be_zero_leaves_no_upper_end(top, bottom, lower_end):
    ratio = worth.fieller(Estimate(top, 1, 1e9), Estimate(bottom, 1, 1e9), 0, 0.05)

    assert ratio.value == top / bottom
    assert (ratio.interval is not None) == lower_end
    if ratio.interval:
        assert 0 < ratio.interval[0] < ratio.value and ratio.interval[1] == np.inf


def test_fiellers_interval_covers_the_ratio_and_takes_the_covariance_into_account():
    rng = np.random.default_rng(4)
    covariance = np.array([[1.0, 0.5], [0.5, 0.4]])
    drawn = rng.multivariate_normal([12.0, 4.0], covariance, 4_000)
    held = [
        low <= 3 <= high
        for top, bottom in drawn
        for low, high in [worth.fieller(Estimate(top, 1, 1e9), Estimate(bottom, 0.4, 1e9), 0.5, 0.05).interval]
    ]

    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_each_caused_return_has_its_cost():
    """Ten of a hundred more come back, at 5 for a user: 50 for each of them."""
    returned, left = np.repeat([1, 0], [300, 700]), np.repeat([1, 0], [200, 800])
    treated, control = sums_of(returned, np.full(1_000, 5.0)), sums_of(left, np.zeros(1_000))
    cost = worth.cost_per_return(treated, control, 0.05)
    low, high = difference(treated, control).interval(0.05)

    assert cost.value == pytest.approx(50)
    assert cost.interval == pytest.approx((5 / high, 5 / low), rel=1e-3)
    assert worth.return_on_spend(treated, control, 0.05).value == pytest.approx(0.02)


def test_worth_is_put_into_words():
    assert worth.told_of_return(worth.Ratio(2.0, (1.2, 3.0))) == "earns more than it costs"
    assert worth.told_of_return(worth.Ratio(0.5, (0.2, 0.9))) == "costs more than it earns"
    assert worth.told_of_return(worth.Ratio(1.0, (0.2, 1.9))) == "may or may not pay"
    assert worth.told_of_return(worth.Ratio(0.5, (-0.2, 1.9))) == "cannot be told from zero"
    assert "cannot be told from zero" in worth.told_of_cost((-1, 2))
    assert worth.told_of_cost((1, 2)) is None


def test_intervals_by_students_t_are_wider_than_normal_ones():
    assert Estimate(0, 1, 5).interval(0.05)[1] == pytest.approx(stats.t.ppf(0.975, 5))
