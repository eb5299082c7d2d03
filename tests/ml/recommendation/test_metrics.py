"""Figures against plain sums and against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from ml.recommendation.metrics import coverage, coverage_figure, mean_figure, ndcg, novelty, recall
from ml.recommendation.retrievers import NOTHING

WIDTH = 9


@st.composite
def answered(draw):
    """Lists that may end early, and what was relevant, perhaps nothing."""
    users = draw(st.integers(1, 6))
    lists = [draw(st.lists(st.integers(0, WIDTH - 1), unique=True, max_size=7)) for _ in range(users)]
    wanted = [draw(st.sets(st.integers(0, WIDTH - 1))) for _ in range(users)]
    return lists, wanted


def arrays(lists, wanted):
    items = np.array([[*line, *[NOTHING] * (7 - len(line))] for line in lists])
    row = [user for user, some in enumerate(wanted) for _ in some]
    column = [item for some in wanted for item in sorted(some)]
    return items, sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(lists), WIDTH))


def plain_ndcg(line, some, k):
    gain = sum(1 / math.log2(place + 2) for place, item in enumerate(line[:k]) if item in some)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(some)))) if some else math.nan


@settings(max_examples=60, deadline=None)
@given(answered(), st.integers(1, 8))
def test_figures_are_those_of_plain_sums(case, k):
    lists, wanted = case
    items, relevant = arrays(lists, wanted)
    had = np.arange(WIDTH)

    for user, (line, some) in enumerate(zip(lists, wanted, strict=True)):
        share = len(set(line[:k]) & some) / len(some) if some else math.nan
        bits = [-math.log2((item + 1) / 21) for item in line[:k]]
        assert ndcg(items, relevant, k)[user] == pytest.approx(plain_ndcg(line, some, k), nan_ok=True)
        assert recall(items, relevant, k)[user] == pytest.approx(share, nan_ok=True)
        mean = sum(bits) / len(bits) if bits else math.nan
        assert novelty(items, had, 20, k)[user] == pytest.approx(mean, nan_ok=True)
    assert coverage(items, WIDTH, k) == len({item for line in lists for item in line[:k]}) / WIDTH


def test_ndcg_is_that_of_scikit_learn():
    draw = np.random.default_rng(2)
    scores, relevant = draw.random((40, 30)), (draw.random((40, 30)) < 0.2).astype(int)
    relevant[:, 0] = 1
    found = ndcg(np.argsort(-scores, axis=1)[:, :10], sp.csr_matrix(relevant), 10)

    assert found.mean() == pytest.approx(ndcg_score(relevant, scores, k=10))


def test_users_without_a_value_do_not_count():
    found = mean_figure(np.array([1.0, np.nan, 0.0, 1.0, 0.0]))

    assert found.value == 0.5
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert math.isnan(mean_figure(np.array([np.nan])).value)


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_one():
    values = np.random.default_rng(0).normal(size=2000)
    found = mean_figure(values)

    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.2)


def test_the_interval_of_coverage_holds_its_value():
    items = np.random.default_rng(0).integers(0, 200, size=(60, 5))
    found = coverage_figure(items, 200, 5)

    assert found.low < found.value < found.high
