"""
Boosted trees that order what the retrievers found, from features that exist without any further data.

They learn from an earlier part what came true later, for users whose lists nobody ranked. Whether they help is measured on the
other half of these users, each half by the trees of the other; where their advantage is not above one standard error, the merged
order stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.learners.boosting import TREES, Boosting
from ml.recommendation.merging import PLACES
from ml.recommendation.metrics import RESAMPLES, ndcg
from ml.recommendation.retrievers.category_popularity import affinity
from ml.recommendation.retrievers.declaration import WINDOW_DAYS
from ml.training.evaluation import ONE_ERROR, Figure, counts, figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import scipy.sparse as sp

    from ml.recommendation.interactions import Known
    from ml.recommendation.merging import Merging, Pool

DEPTH = 100
"""How many of the merged list are ranked."""

TOLD: Mapping[str, Any] = {
    **TREES,
    # Of LightGBM's objectives that rank, the better one on validation users of three cuts of MovieLens.
    "objective": "rank_xendcg",
    "min_data_in_leaf": 100,
}
ROUNDS = 100
MIXED = 10.0
"""What is added to places where the merged order and that of the trees are put together."""

OF_ITEM = ("users_30_days", "users", "item_days_since_last", "item_days_since_first")
OF_USER = ("user_items", "user_days_since_last", "user_days_since_first")


@dataclass(frozen=True)
class Verdict:
    """Whether the ranker stays, and by how much it is better than the merged order on users it has not seen."""

    is_kept: bool
    difference: Figure | None
    says: str


@dataclass(frozen=True)
class Ranker:
    """Trees over the rows of a pool."""

    trees: Boosting

    def scores(self, known: Known, users: np.ndarray, pool: Pool, merging: Merging) -> np.ndarray:
        """Return the score of each row of `first_of` a pool, by which users get them."""
        return order(pool, merging.scores(pool), self.trees.raw(features(known, users, pool, merging)))


def features(known: Known, users: np.ndarray, pool: Pool, merging: Merging) -> np.ndarray:
    """Return the features of each row: what retrievers say, the item, the user, and how the two fit."""
    rows = known.interactions
    user, item = users[pool.row], pool.item
    liked = affinity(known, memory=None)
    shared = liked[user].multiply(known.items.categories[item]).sum(axis=1)
    of_item = np.column_stack([rows.popularity(WINDOW_DAYS), rows.popularity(), *_days(rows.item, rows, 1)])
    of_user = np.column_stack([rows.counts, *_days(rows.user, rows, 0)])
    found = [
        np.where(np.isfinite(pool.ranks), pool.ranks, np.nan),
        pool.scores,
        merging.scores(pool),
        of_item[item],
        of_user[user],
        np.asarray(shared),
    ]
    return np.column_stack(found)


def _days(code: np.ndarray, rows: Any, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the days since the last and since the first interaction, of each item or user; none of those without."""
    first, last = np.full(rows.shape[axis], np.inf), np.full(rows.shape[axis], -np.inf)
    np.minimum.at(first, code, rows.day)
    np.maximum.at(last, code, rows.day)
    since = rows.last_day - np.array([last, first])
    ago = np.where(np.isfinite(since), since, np.nan)
    return ago[0], ago[1]


def first_of(pool: Pool, merging: Merging, user_count: int) -> Pool:
    """Return the rows that are ranked: the first of each user's merged list."""
    _, first = pool.best(merging.scores(pool), user_count, DEPTH)
    # Sorted, so that the rows of a user stand together and in the same order, whatever the merging.
    return pool.take(np.sort(first))


def order(pool: Pool, merged: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """
    Return a score of each row by its place in both orders.

    Trees alone give up much of what the merging knows: on validation users of three cuts of MovieLens both together were better.
    """
    return 1.0 / (MIXED + places(pool, merged)) + 1.0 / (MIXED + places(pool, ranked))


def places(pool: Pool, scores: np.ndarray) -> np.ndarray:
    """Return the place of each row among its user's, from 1."""
    by = np.lexsort((pool.item, -scores, pool.row))
    found = np.empty(len(by))
    found[by] = np.arange(len(by)) - np.searchsorted(pool.row, pool.row[by]) + 1
    return found


def fit(drawn: np.ndarray, pool: Pool, is_relevant: np.ndarray) -> Ranker:
    """Learn from rows of a pool, their features drawn, which of them came true."""
    import lightgbm as lgb

    _, group = np.unique(pool.row, return_counts=True)
    names = [f"f{i}" for i in range(drawn.shape[1])]
    data = lgb.Dataset(drawn, is_relevant, group=group, feature_name=names, free_raw_data=True)
    booster = lgb.train(dict(TOLD), data, num_boost_round=ROUNDS)
    return Ranker(Boosting.from_text(booster.model_to_string()))


def learn(
    drawn: np.ndarray, pool: Pool, users: np.ndarray, relevant: sp.csr_matrix, merging: Merging
) -> tuple[Ranker | None, Verdict]:
    """
    Learn a ranker from rows with what came true, and say whether it helps; None where it does not.

    `users` are who the rows' users are: one who is there twice, in two cuts, is in one half with both.
    """
    is_relevant, merged = pool.is_relevant(relevant), merging.scores(pool)
    scores, half = np.zeros(len(pool.row)), _halves(users)[pool.row]
    for fold in (0, 1):
        inside = half == fold
        if not is_relevant[inside].any() or not is_relevant[~inside].any():
            return None, Verdict(is_kept=False, difference=None, says="not ranked: nothing to learn from")
        fitted = fit(drawn[~inside], pool.take(~inside), is_relevant[~inside])
        scores[inside] = fitted.trees.raw(drawn[inside])
    found = _difference(pool, order(pool, merged, scores), merged, users, relevant)
    interval = f"{found.low:+.4f} to {found.high:+.4f}, one error"
    told = f"{found.value:+.4f} nDCG@{PLACES} ({interval}) on users it has not seen"
    if not found.is_above_zero:
        return None, Verdict(is_kept=False, difference=found, says=f"the merged order stays: {told}")
    return fit(drawn, pool, is_relevant), Verdict(is_kept=True, difference=found, says=f"ranked: {told}")


def _halves(users: np.ndarray) -> np.ndarray:
    known, code = np.unique(users, return_inverse=True)
    return (np.random.default_rng(0).permutation(len(known)) % 2)[code]


def _difference(
    pool: Pool, ranked: np.ndarray, merged: np.ndarray, users: np.ndarray, relevant: sp.csr_matrix
) -> Figure:
    worth = [
        np.nan_to_num(ndcg(pool.best(scores, len(users), PLACES)[0].items, relevant, PLACES))
        for scores in (ranked, merged)
    ]
    found = worth[0] - worth[1]
    drawn = [float(np.average(found, weights=times)) for times in counts(users, RESAMPLES)]
    return figure(float(found.mean()), drawn, ONE_ERROR)
