"""What is said of a champion's level, and of what scores beside what was judged."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ml.training import gate
from ml.training.evaluation import Figure
from ml.training.gate import recalibrated, served
from ml.training.gate.level import RATIO
from tests.ml.training.gate.test_paired import judged


@pytest.mark.parametrize(
    ("ratio", "holds"),
    [
        (Figure(1.3, 0.8, 1.9), True),  # a third too much, and perhaps by chance
        (Figure(1.3, 1.15, 1.5), False),
        (Figure(0.7, 0.5, 0.85), False),
        (Figure(1.05, 1.02, 1.08), True),  # surely too much, and by little
    ],
)
def test_a_level_is_off_where_it_is_by_much_and_not_by_chance(ratio, holds):
    told = recalibrated.holds(SimpleNamespace(model={RATIO: ratio}), "some days", gate.criteria())

    assert told.passed == holds


@pytest.mark.parametrize(
    ("judged_times", "served_times", "near"),
    [(1.0, 1.05, True), (1.5, 1.0, True), (1.0, 1.5, False), (1.5, 1.25, False), (1.5, 1.5, True)],
)
def test_the_mean_of_what_scores_is_near_the_judged_ones_or_what_came_true(judged_times, served_times, near):
    """A level that has drifted is what a new calibration is for."""
    rows = judged(0.5)
    right = rows.prediction * rows.outcome.mean() / rows.prediction.mean()
    before, again = (replace(rows, prediction=times * right) for times in (judged_times, served_times))
    _, mean = served.like_judged(again, before, gate.criteria())

    assert mean.passed == near
    assert mean.value == pytest.approx(min(abs(served_times / judged_times - 1), abs(served_times - 1)))
