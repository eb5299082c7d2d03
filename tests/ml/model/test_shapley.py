"""What each column adds to what trees say: exactly what LightGBM says, row by row."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model import shapley
from ml.model.shapley import Shapley

COLUMNS = 6


def booster(leaves: int, trees: int, *, seed: int = 0, missing: float = 0.2) -> lgb.Booster:
    """Trees over few and many values, missing ones among them, that lean on each other."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.normal(size=(2000, COLUMNS // 2)), rng.integers(0, 5, (2000, COLUMNS // 2))])
    outcome = rows[:, 0] * rows[:, -1] + np.sin(3 * rows[:, 1]) + rng.normal(size=2000)
    rows[rng.random(rows.shape) < missing] = np.nan
    told = {"objective": "regression", "num_leaves": leaves, "min_data_in_leaf": 5, "seed": seed, "verbosity": -1}
    return lgb.train({**told, "num_threads": 1, "deterministic": True}, lgb.Dataset(rows, outcome), trees)


@pytest.fixture(scope="module", params=[(2, 3, 0.2), (15, 20, 0.2), (15, 20, 0.0), (64, 10, 0.2)], ids=str)
def trees(request) -> lgb.Booster:
    leaves, count, missing = request.param
    return booster(leaves, count, missing=missing)


def thresholds(of: lgb.Booster) -> list[float]:
    return sorted({float(at) for values in Shapley.of(of).thresholds.values() for at in values})


@given(data=st.data())
def test_is_what_lightgbm_says_of_whatever_rows(trees, data):
    # Values at a threshold and beside it answer differently; what is missing or without end answers, too.
    at = st.sampled_from(thresholds(trees))
    beside = st.builds(np.nextafter, at, st.sampled_from([-np.inf, np.inf]))
    value = st.one_of(at, beside, st.floats(-5, 5), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40]))
    rows = np.array(data.draw(st.lists(st.lists(value, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=30)))

    found = Shapley.of(trees).contributions(rows.astype(float))

    np.testing.assert_allclose(found, trees.predict(rows, pred_contrib=True, num_threads=1), rtol=0, atol=1e-12)


def test_a_row_is_told_to_the_bit_the_same_whatever_rows_stand_beside_it(trees):
    rows = np.random.default_rng(1).normal(size=(500, COLUMNS))
    whole = Shapley.of(trees).contributions(rows)
    by_itself = np.concatenate([Shapley.of(trees).contributions(rows[i : i + 1]) for i in range(len(rows))])

    np.testing.assert_array_equal(whole, by_itself)
    np.testing.assert_array_equal(whole.sum(axis=1), [row.sum() for row in by_itself])


def test_many_answers_are_numbered_anew_and_none_is_taken_for_another(trees, monkeypatch):
    rows = np.random.default_rng(2).normal(size=(500, COLUMNS))
    plain = Shapley.of(trees).contributions(rows)
    monkeypatch.setattr(shapley, "NUMBERS", 1)

    np.testing.assert_array_equal(Shapley.of(trees).contributions(rows), plain)


def test_a_tree_that_compares_nothing_says_the_baseline_alone():
    flat = lgb.train({"verbosity": -1, "min_data_in_leaf": 100}, lgb.Dataset(np.zeros((50, 2)), np.ones(50)), 2)
    found = Shapley.of(flat).contributions(np.zeros((3, 2)))

    np.testing.assert_array_equal(found, flat.predict(np.zeros((3, 2)), pred_contrib=True))


def test_a_tree_is_asked_once_for_rows_that_answer_alike(monkeypatch):
    trees, asked = booster(15, 5), []
    predict = lgb.Booster.predict
    monkeypatch.setattr(lgb.Booster, "predict", lambda *a, **k: (asked.append(len(a[1])), predict(*a, **k))[1])
    rows = np.repeat(np.random.default_rng(3).normal(size=(7, COLUMNS)), 100, axis=0)
    Shapley.of(trees).contributions(rows)

    assert len(asked) == 5
    assert max(asked) <= 7
