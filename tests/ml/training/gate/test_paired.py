"""Differences in draws of users against the plain figures of the rows that were drawn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.objectives import OBJECTIVES, figures
from ml.training.evaluation import Judged
from ml.training.gate import paired
from ml.training.gate.paired import Pair
from rekindle.errors import CheckFailedError
from tests.traps import trap

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=40)
METRICS = {"auc": figures.auc, "gini": figures.gini, "log_loss": figures.log_loss}


@given(ROWS, st.sampled_from(sorted(METRICS)))
def test_a_figure_of_rows_that_count_several_times_is_that_of_rows_that_stand_there_so_often(rows, name):
    outcome, score, times = (np.array(column) for column in zip(*rows, strict=True))
    outcome, score = outcome.astype(float), score / 10 + 0.5
    repeated = np.repeat(np.arange(len(outcome)), times)
    if len(set(outcome[repeated])) < 2:
        return

    found = paired.weighted(name, METRICS[name], outcome, score)(times)

    assert found == pytest.approx(METRICS[name](outcome[repeated], score[repeated]))


def test_a_figure_without_a_short_way_is_that_of_the_rows_drawn():
    outcome, score, times = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.2, 0.1]), np.array([2, 0, 1])

    found = paired.weighted("lift", figures.capture, outcome, score)(times)

    assert found == figures.capture(outcome[[0, 0, 2]], score[[0, 0, 2]])


def judged(noise: float, *, seed: int = 1, users: int = 800, days: int = 3, spread: float = 1.0) -> Judged:
    """Some users on some days, whose rows go together, and a score with so much noise."""
    draw, own = np.random.default_rng(0), np.random.default_rng(seed)
    truth = np.repeat(draw.normal(size=users), days) + 0.3 * draw.normal(size=users * days)
    outcome = (draw.random(users * days) < 1 / (1 + np.exp(1.5 - spread * truth))).astype(float)
    raw = truth + noise * own.normal(size=users * days)
    # What Platt's method comes to for a score with noise.
    chance = 1 / (1 + np.exp(1.5 - spread * raw / (1 + noise**2)))
    return Judged(np.repeat(np.arange(users), days), outcome, raw, chance, -raw, 0.2)


FIGURES = OBJECTIVES["probability"].figures


@trap("each candidate judged on test rows of its own")
def test_recipes_that_were_judged_on_other_rows_are_not_compared():
    """The trap: each candidate on its own test rows, and promotion by luck."""
    one, other = judged(0.5), judged(0.5)

    with pytest.raises(CheckFailedError, match="other_test_rows"):
        Pair(one, other.take(np.arange(100)))
    with pytest.raises(CheckFailedError, match="other_test_rows"):
        Pair(one, replace(other, outcome=1 - other.outcome))


def test_the_same_scores_do_not_differ_in_any_draw():
    found = paired.ranking(FIGURES, Pair(judged(0.5), judged(0.5)), 100)

    assert (found.value, found.figure().low, found.figure().high) == (0, 0, 0)


def test_the_better_recipe_is_better_in_what_decides_and_in_its_ranking():
    pair = Pair(judged(0.2), judged(1.2))

    for found in (paired.deciding(FIGURES, pair, 300), paired.ranking(FIGURES, pair, 300)):
        assert found.value > found.lower(0.025) > 0
    assert paired.decided_by(FIGURES) == "log_loss"
    assert paired.decided_by(OBJECTIVES["amount"].figures) == "gini"


def test_an_interval_is_as_wide_as_the_differences_of_other_users_scatter():
    """The reference: the same world with other users, again and again; a user's days go together."""
    worlds = []
    for seed in range(60):
        draw = np.random.default_rng(1_000 + seed)
        truth = np.repeat(draw.normal(size=400), 3)
        outcome = np.repeat(draw.random(400) < 1 / (1 + np.exp(1 - truth[::3])), 3).astype(float)
        users = np.repeat(np.arange(400), 3)
        noises = [np.repeat(draw.normal(size=400), 3) for _ in range(2)]
        one, other = (Judged(users, outcome, truth + noise, outcome, outcome, 0.2) for noise in noises)
        worlds.append(Pair(one, other))
    scattered = np.std(
        [
            figures.auc(p.challenger.outcome, p.challenger.raw) - figures.auc(p.champion.outcome, p.champion.raw)
            for p in worlds
        ]
    )
    claimed = np.mean([paired.ranking(FIGURES, pair, 100).deviation for pair in worlds[:20]])

    assert claimed == pytest.approx(scattered, rel=0.25)


def test_draws_in_which_nobody_came_are_left_out():
    users, outcome = np.arange(12), np.array([1.0] + 11 * [0.0])
    one, other = (Judged(users, outcome, raw, raw / 20, raw, 0.1) for raw in (np.arange(12.0), np.arange(12.0)[::-1]))

    found = paired.ranking(FIGURES, Pair(one, other), 200)

    assert 0 < len(found.drawn) < 200
    assert np.isfinite(found.figure().low)


def test_where_no_draw_says_anything_nothing_is_met():
    found = paired.Difference(0.1, np.array([]))

    assert not found.lower(0.025) > 0


def test_the_one_sided_limit_is_the_quantile_at_its_chance_of_error():
    """That of 2.5 % is the lower end of the two-sided interval of 95 %."""
    found = paired.Difference(0.5, np.linspace(0, 1, 1001))

    assert found.lower(0.025) == pytest.approx(0.025)
    assert found.lower(0.025) == found.figure(0.05).low
