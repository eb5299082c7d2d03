"""Figures of a ranking by effect, against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.uplift import Trial
from ml.uplift.curves import Ranked, worth


def trial_of(treated, outcome, **more):
    return Trial.of((), np.empty((len(outcome), 0)), np.array(treated, bool), np.array(outcome, float), **more)


def by_hand(trial, score, share):
    """Difference of means among the highest scores, where none is tied at the end."""
    top = np.argsort(-score)[: round(share * len(trial))]
    treated = trial.is_treated[top]
    return trial.outcome[top][treated].mean() - trial.outcome[top][~treated].mean()


def test_uplift_at_a_share_is_the_difference_of_means_among_the_highest(told):
    score = told.effect + np.linspace(0, 1e-9, len(told.effect))

    assert Ranked(told.trial, score).at() == pytest.approx([by_hand(told.trial, score, s) for s in (0.1, 0.2, 0.3)])


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(2, 6))
def test_no_figure_depends_on_the_order_of_rows_or_the_scale_of_scores(random, levels):
    size = 60
    trial = trial_of([i % 2 for i in range(size)], [random.randint(0, 3) for _ in range(size)])
    score = np.array([random.randint(0, levels) for _ in range(size)], float)
    order = np.array(random.sample(range(size), size))

    assert Ranked(trial, score).qini() == pytest.approx(Ranked(trial.take(order), score[order]).qini())
    assert Ranked(trial, score).at() == pytest.approx(Ranked(trial, np.exp(score)).at())


def test_the_same_effect_for_everybody_is_worth_what_lots_are(told):
    nothing = np.zeros(len(told.effect))
    treated = told.trial.is_treated
    effect = told.trial.outcome[treated].mean() - told.trial.outcome[~treated].mean()

    assert Ranked(told.trial, nothing).qini() == pytest.approx(0, abs=1e-12)
    assert Ranked(told.trial, nothing).at() == pytest.approx([effect] * 3)


def test_qini_is_the_area_that_the_truth_has(told):
    """With 8,000 users its error is about .004."""
    ranked = np.sort(told.effect)[::-1]
    size = len(ranked)
    area = (np.cumsum(ranked) / size - np.arange(1, size + 1) / size * ranked.mean()).mean()

    assert Ranked(told.trial, told.effect).qini() == pytest.approx(area, abs=0.012)


def test_the_interval_of_what_ranks_lies_above_zero_and_that_of_lots_does_not(told):
    found, lot = worth(told.trial, told.effect), worth(told.trial, np.random.default_rng(0).random(len(told.effect)))

    assert found.qini.is_above_zero
    assert found.qini.low < found.qini.value < found.qini.high
    assert lot.qini.low < 0 < lot.qini.high


def test_clusters_are_drawn_and_not_their_users(told):
    """Each user twice is no more users."""
    twice = told.trial.take(np.repeat(np.arange(4_000), 2))
    alone = replace(twice, cluster=np.arange(len(twice)))
    score = np.repeat(told.effect[:4_000], 2)
    wide, narrow = (worth(trial, score).qini for trial in (twice, alone))

    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(2**0.5, rel=0.25)
