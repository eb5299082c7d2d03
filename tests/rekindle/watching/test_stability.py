"""How far a distribution has moved, and how often chance alone is called a move."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle.watching import judging
from rekindle.watching.stability import CHANCE, LEAST_ROWS, NOTABLE, limit_of, share_move, stability
from tests.traps import trap

BEFORE = date(2024, 3, 3)


def test_the_index_is_that_of_the_textbook():
    """Siddiqi's example by hand: (.5 - .4) ln(.5/.4) + (.5 - .6) ln(.5/.6), where half a row in a million is nothing."""
    found = stability([500_000, 500_000], [400_000, 600_000])

    assert found.index == pytest.approx(0.1 * math.log(0.5 / 0.4) - 0.1 * math.log(0.5 / 0.6), rel=1e-4)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=12))
def test_what_has_not_moved_is_steady(counts: list[int]):
    found = stability(counts, counts)

    assert found.index == pytest.approx(0)
    assert found.verdict == ("steady" if sum(counts) >= LEAST_ROWS else "too_few_rows")


def test_few_rows_get_no_verdict_and_empty_bins_no_infinity():
    found = stability([499, 0], [0, 499])

    assert math.isfinite(found.index)
    assert found.verdict == "too_few_rows"


@pytest.mark.parametrize(("rows", "bins"), [(600, 10), (3000, 20)])
def test_chance_alone_goes_beyond_the_limit_as_seldom_as_said(monkeypatch, rows, bins):
    """At one in a hundred, so that 2,000 draws tell; without the floor, which would hide it."""
    monkeypatch.setattr("rekindle.watching.stability.CHANCE", 0.01)
    monkeypatch.setattr("rekindle.watching.stability.NOTABLE", 0.0)
    draw = np.random.default_rng(1)
    shares = draw.dirichlet(np.full(bins, 5.0))

    found = [
        stability(draw.multinomial(rows, shares).tolist(), draw.multinomial(rows, shares).tolist()) for _ in range(2000)
    ]

    assert np.mean([one.index > one.limit for one in found]) < 0.02


def test_the_limit_follows_the_sizes_and_ends_where_nobody_would_care():
    assert limit_of(10, 500, 500) > NOTABLE / 2
    assert limit_of(10, 100, 100) > limit_of(10, 500, 500)
    assert limit_of(10, 10**6, 10**6) == NOTABLE
    assert limit_of(1, 10**6, 10**6) == NOTABLE


def test_a_share_moves_beyond_chance_and_beyond_what_is_notable():
    assert not share_move(1_000, 100_000, 2_900, 100_000).has_moved, "1.9 points are proven, and nobody's news"
    assert share_move(1_000, 100_000, 3_100, 100_000).has_moved
    assert not share_move(10, 100, 20, 100).has_moved, "ten points of a hundred users may be chance"
    assert not share_move(0, 0, 20, 100).has_moved
    assert CHANCE < 0.001


def test_a_consent_source_that_stops_is_seen_on_the_first_day():
    results = judging.shares({"no_consent": 9_000, "": 1_000}, {"no_consent": 4_000, "": 6_000}, BEFORE)

    assert {r.rule: r.outcome for r in results} == {"share of ": "failed", "share of no_consent": "failed"}
    assert results[1].detail == {"share": 0.9, "before": 0.4, "limit": 0.0262, "rows": 10_000, "against": "2024-03-03"}


@trap("a consent that is always granted")
def test_a_consent_that_became_a_constant_is_seen_on_the_first_day():
    """Of a tenth that never agreed, nobody is left: somebody wrote "granted" for all, and the page of that day warns."""
    results = judging.shares({"": 10_000}, {"no_consent": 1_000, "": 9_000}, BEFORE)

    assert {r.rule: r.outcome for r in results} == {"share of ": "failed", "share of no_consent": "failed"}


def test_a_code_of_one_day_only_is_judged_too_and_few_users_are_not():
    assert [r.outcome for r in judging.shares({"holdout": 600}, {"no_phone": 600}, BEFORE)] == ["failed", "failed"]
    assert [r.outcome for r in judging.shares({"holdout": 499}, {"no_phone": 600}, BEFORE)] == ["not_judged"] * 2


def test_drift_is_a_warning_by_figure_with_what_it_was_held_against():
    moved, steady = judging.drift({"a": ([900, 100], [100, 900]), "b": ([500, 500], [510, 490])}, BEFORE)

    assert (moved.rule, moved.severity, moved.outcome) == ("drift of a", "warn", "failed")
    assert (steady.rule, steady.outcome, steady.detail["against"]) == ("drift of b", "passed", "2024-03-03")
