"""Gain: the formula, in Python and in SQL, against what it is defined as."""

from __future__ import annotations

import math
import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.campaigns.gain import (
    expected_gain,
    expected_gain_sql,
    lift_that_causes,
    uplift,
    uplift_sql,
)
from rekindle.publishing.publications import declared

PROBABILITIES = st.floats(0, 1)
LIFTS = st.floats(0.001, 5)


@given(st.floats(0.001, 0.999), LIFTS)
def test_uplift_is_what_a_raise_of_the_odds_adds(p, lift):
    """SMS.md's definition: sigmoid(logit p + ln(1 + lift)) - p."""
    texted = 1 / (1 + math.exp(-(math.log(p / (1 - p)) + math.log1p(lift))))

    assert uplift(p, lift) == pytest.approx(texted - p, abs=1e-12)


@given(PROBABILITIES, LIFTS)
def test_uplift_leaves_a_chance_a_chance_and_is_never_negative(p, lift):
    assert uplift(p, lift) >= 0
    assert 0 <= p + uplift(p, lift) <= 1 + 1e-12


def test_uplift_is_small_for_the_surest_returns_and_the_hopeless():
    chances = np.array([0.01, 0.5, 0.99])

    low, middle, high = uplift(chances, 0.1)

    assert low < middle > high


@given(PROBABILITIES, LIFTS, st.floats(-100, 1000), st.floats(0, 10))
def test_sql_and_python_say_the_same(p, lift, value, cost):
    """In a database that is there without a server; Postgres reads the same arithmetic."""
    query = f"select {uplift_sql(':p', ':l')}, {expected_gain_sql(':p', ':l', ':v', ':c')}"
    row = sqlite3.connect(":memory:").execute(query, {"p": p, "l": lift, "v": value, "c": cost}).fetchone()

    assert row == pytest.approx((float(uplift(p, lift)), float(expected_gain(uplift(p, lift), value, cost))))


def test_without_a_value_sql_knows_no_gain():
    row = sqlite3.connect(":memory:").execute(f"select {expected_gain_sql('.5', '.1', 'null', '.04')}").fetchone()

    assert row == (None,)


@pytest.mark.parametrize(
    ("table", "probability", "value"),
    [
        ("audience", "r.return_probability", "v.value_if_returns"),
        ("activation_audience", "v.first_purchase_probability", "v.value_if_buys"),
    ],
)
def test_tools_are_told_the_gain_that_campaigns_are_planned_by(table, probability, value):
    (audience,) = (publication for publication in declared() if publication.name == table)

    gain = expected_gain_sql(probability, "%(prior_lift)s", value, "%(message_cost)s")
    assert gain.replace(" ", "") in "".join(audience.query.split())


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20), st.floats(-0.9, 5))
def test_a_mean_effect_has_one_lift_that_causes_it(p, lift):
    caused = float(uplift(p, lift).mean())

    assert uplift(p, lift_that_causes(caused, p)).mean() == pytest.approx(caused, abs=1e-9)


def test_more_than_chances_allow_is_as_much_as_they_do():
    assert lift_that_causes(0.9, [0.5]) > 100
    assert lift_that_causes(-0.9, [0.5]) < -0.99
