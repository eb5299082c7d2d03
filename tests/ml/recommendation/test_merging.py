"""Lists are merged by rank, with weights that validation users choose."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from ml.recommendation.merging import Merging, Pool, choose
from ml.recommendation.metrics import ndcg
from ml.recommendation.retrievers import NOTHING, Lists

ITEMS = 30


def lists_of(*rows):
    items = np.array(rows)
    return Lists(items, np.where(items == NOTHING, -np.inf, -np.arange(items.shape[1], dtype=float)))


def test_the_score_is_the_sum_of_reciprocal_ranks():
    pool = Pool.of({"one": lists_of([5, 2, NOTHING]), "other": lists_of([2, 7, 9])}, ITEMS)
    found = dict(zip(pool.item.tolist(), Merging({"one": 2.0, "other": 1.0}, 60.0).scores(pool), strict=True))

    assert found == pytest.approx({5: 2 / 61, 2: 2 / 62 + 1 / 61, 7: 1 / 62, 9: 1 / 63})


def test_what_only_a_retriever_without_weight_found_is_not_merged():
    pool = Pool.of({"one": lists_of([5, 2]), "other": lists_of([2, 7])}, ITEMS)
    merged, _ = pool.best(Merging({"one": 1.0, "other": 0.0}).scores(pool), 1, 4)

    assert merged.items.tolist() == [[5, 2, NOTHING, NOTHING]]


def noisy(relevant, noise, seed):
    """Lists that are ordered by what is relevant, and by luck."""
    scores = relevant.toarray() + noise * np.random.default_rng(seed).random(relevant.shape)
    items = np.argsort(-scores, axis=1, kind="stable")[:, :15]
    return Lists(items, np.take_along_axis(scores, items, axis=1))


def worth(pool, merging, relevant):
    return ndcg(pool.best(merging.scores(pool), relevant.shape[0], 10)[0].items, relevant, 10).mean()


@pytest.fixture
def relevant():
    found = np.random.default_rng(0).random((200, ITEMS)) < 0.15
    found[:, 0] = True
    return sp.csr_matrix(found.astype(float))


def test_two_that_err_differently_are_better_together(relevant):
    lists = {"one": noisy(relevant, 2.0, 1), "other": noisy(relevant, 2.0, 2)}
    pool = Pool.of(lists, ITEMS)
    merging, reached = choose(pool, relevant)
    alone = [worth(pool, Merging({name: 1.0}), relevant) for name in lists]

    assert reached == pytest.approx(worth(pool, merging, relevant))
    assert reached > max(alone) + 0.05
    assert set(merging.weights) == {"one", "other"}


def test_one_that_knows_everything_is_left_alone(relevant):
    """What is random cannot help it, so nothing else gets weight."""
    merging, reached = choose(
        Pool.of({"lot": noisy(relevant, 99.0, 1), "sure": noisy(relevant, 0.1, 2)}, ITEMS), relevant
    )

    assert merging.weights == {"sure": 1.0}
    assert reached == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_on_those_who_choose_it_no_merging_is_worse_than_the_best_single_one(relevant, seed):
    noises = np.random.default_rng(seed).random(4) * 6
    pool = Pool.of({f"r{at}": noisy(relevant, noise, 10 * seed + at) for at, noise in enumerate(noises)}, ITEMS)
    merging, reached = choose(pool, relevant)

    assert worth(pool, merging, relevant) == pytest.approx(reached)
    assert reached >= max(worth(pool, Merging({name: 1.0}), relevant) for name in pool.names)


def test_pools_of_different_users_stand_one_after_the_other():
    one, other = (Pool.of({"r": lists_of(*rows)}, ITEMS) for rows in ([[1, 2], [3, 4]], [[5, 6]]))
    found = Pool.stacked([one, other], [2, 1])

    assert found.row.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.item.tolist() == [1, 2, 3, 4, 5, 6]
