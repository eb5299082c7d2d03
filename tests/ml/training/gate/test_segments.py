"""Segments: how surely one has to be worse, by how many were asked about."""

import numpy as np
import pytest

from ml.objectives import OBJECTIVES
from ml.training import gate
from ml.training.gate import segments
from ml.training.gate.paired import Difference
from tests.ml.training.gate.test_paired import judged

FIGURES = OBJECTIVES["probability"].figures
PAIR = gate.Pair(judged(0.5), judged(0.6, seed=2))


def segment(name: str, times: float, deviation: float = 0.02) -> segments._Segment:
    """One that is worse by so many times its deviation."""
    value = -times * deviation
    return segments._Segment(name, Difference(value, value + deviation * np.array([-1.0, 1.0]) / np.sqrt(2)))


def test_the_surest_segment_has_the_smallest_chance_of_error_and_who_follows_an_unsure_one_no_larger():
    """Holm's method by hand: of four at a chance of .05 a quarter, then a third of it; the third is not asked for more."""
    asked = [segment("none", 0), segment("little", 1), segment("much", 5), segment("perhaps", 2)]
    levels = {one.name: level for one, level in segments._holm(asked, 0.05)}

    assert levels == {
        "much": pytest.approx(0.0125),
        "perhaps": pytest.approx(0.05 / 3),
        "little": pytest.approx(0.05 / 3),
        "none": pytest.approx(0.05 / 3),
    }
    assert list(levels)[:2] == ["much", "perhaps"]


@pytest.mark.parametrize(("others", "passed"), [(0, False), (9, True)])
def test_of_many_segments_one_may_look_worse_by_chance(monkeypatch, others, passed):
    """Twice and a half its deviation is once in eighty: among ten that are alike one shows it every eighth time."""
    found = [segment("much", 2.5), *(segment(str(i), 0.1) for i in range(others))]
    monkeypatch.setattr(segments, "_asked", lambda *_given: iter(found))

    assert segments.no_worse(FIGURES, PAIR, {}, gate.criteria()).passed == passed
