"""Strategies and power: figures against plain arithmetic and simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekindle.campaigns import gain
from rekindle.campaigns.choosing import offer_each
from rekindle.campaigns.power import detectable, power
from rekindle.campaigns.strategies import Z, compared, curve, expected
from tests.rekindle.campaigns.test_choosing import TERMS, candidates

LIFTS = (0.0, 0.2)


def test_what_is_expected_is_the_sum_over_users():
    people = candidates(50)
    offered = offer_each(people, TERMS, TERMS.arms[0])

    found = expected(people, offered, LIFTS, 0.1)

    up = gain.uplift(people.probability, 0.1)
    assert found.returns.expected == pytest.approx(up.sum())
    assert found.value.expected == pytest.approx((up * people.value).sum())
    assert found.cost == pytest.approx(50 * 0.04)
    assert found.returns.low == 0.0 and found.returns.high > gain.uplift(people.probability, 0.2).sum()


def test_the_interval_of_own_uplifts_is_theirs_and_may_lie_below_zero():
    ends = {"uplift_low": np.full(50, -0.01), "uplift_high": np.full(50, 0.05)}
    people = candidates(50, probability=np.full(50, 0.1), uplift=np.full(50, 0.02), **ends)
    found = expected(people, offer_each(people, TERMS, TERMS.arms[0]), LIFTS, 0.1)

    assert found.returns.expected == pytest.approx(1.0)
    assert found.returns.low == pytest.approx(-0.5 - Z * (50 * 0.01 * 0.99) ** 0.5)
    assert found.returns.high == pytest.approx(2.5 + Z * (50 * 0.05 * 0.95) ** 0.5)


def test_the_interval_of_a_known_lift_holds_what_chance_makes_of_it():
    """Eight in ten simulated campaigns lie within it: the 10th to the 90th percentile."""
    people = candidates(2000)
    people = replace(people, value_low=people.value, value_high=people.value)
    found = expected(people, offer_each(people, TERMS, TERMS.arms[0]), (0.1, 0.1), 0.1)
    up = gain.uplift(people.probability, 0.1)

    came = np.random.default_rng(3).random((2000, 2000)) < up
    sums = came @ people.value
    assert np.mean((found.value.low <= sums) & (sums <= found.value.high)) == pytest.approx(0.8, abs=0.03)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), spend=st.floats(0.04, 20))
def test_at_equal_budget_no_other_strategy_is_expected_to_gain_more(seed, spend):
    found = compared(candidates(400, seed), TERMS, LIFTS, spend, seed=1)

    assert set(found) == {"plan", "random", "most recent first", "most likely to return", "text everyone"}
    for name, other in found.items():
        if name != "text everyone":
            assert other.cost <= spend + 1e-6
            assert found["plan"].gain >= other.gain - 1e-9


def test_the_curve_ends_with_everyone_and_pays_less_and_less():
    people = candidates(500)
    points = curve(people, offer_each(people, TERMS, TERMS.arms[0]))

    assert points[-1].texted == 500
    assert points[-1].returns == pytest.approx(gain.uplift(people.probability, 0.1).sum())
    rois = [point.marginal_roi for point in points]
    assert rois == sorted(rois, reverse=True)
    assert curve(people.where(np.zeros(500, bool)), offer_each(people, TERMS, TERMS.arms[0])) == []


def test_the_smallest_detectable_effect_is_found_in_80_of_100():
    texted, controls, base = 4000, 1000, 0.1
    effect = detectable(texted, controls, base)
    assert effect is not None

    random = np.random.default_rng(5)
    one = random.binomial(texted, base + effect, 4000) / texted
    none = random.binomial(controls, base, 4000) / controls
    pooled = (one * texted + none * controls) / (texted + controls)
    z = (one - none) / np.sqrt(pooled * (1 - pooled) * (1 / texted + 1 / controls))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.03)


def test_the_share_that_is_needed_detects_what_is_expected():
    found = power(90_000, 10_000, 0.1, 0.009)

    assert found.needed_share is not None and 0 < found.needed_share < 0.5
    controls = round(100_000 * found.needed_share)
    assert detectable(100_000 - controls, controls, 0.1) == pytest.approx(0.009, rel=0.03)


def test_a_small_campaign_says_how_many_users_it_would_need():
    found = power(90, 10, 0.1, 0.009)

    assert found.needed_share is None
    assert found.needed_users is not None and found.needed_users > 10_000
    half = found.needed_users // 2
    assert detectable(half, half, 0.1) == pytest.approx(0.009, rel=0.03)


@pytest.mark.parametrize("sizes", [(0, 0), (10, 0), (0, 10), (1, 1)])
def test_without_two_arms_nothing_can_be_detected(sizes):
    assert power(*sizes, 0.1, 0.01).detectable is None
