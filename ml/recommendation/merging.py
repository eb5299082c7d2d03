"""
One list out of several: reciprocal rank fusion, each retriever with a weight.

Ranks, not scores: a cosine and a number of users have no common scale. Weights are chosen on validation users: from the best
of the best one, the best two and so on together, one weight is set after the other. A single retriever is one of the choices, so
none is worse there than the best single one, and a retriever that does not help weighs nothing. On users who did not choose it a
merging may still be worse, by luck.

Source: Cormack, Clarke and Büttcher, *Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods* (SIGIR
2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.metrics import codes
from ml.recommendation.retrievers.declaration import NOTHING, Lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import scipy.sparse as sp

CONSTANTS = (60.0, 10.0)
"""What is added to each rank. Cormack's is 60; with 10 the first places of a list count for more."""

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
SWEEPS = 3
PLACES = 10
"""What is chosen by: nDCG at so many places."""


@dataclass(frozen=True)
class Pool:
    """What any retriever found, a row per user and item, in that order."""

    names: tuple[str, ...]
    row: np.ndarray
    """The position of the user among those who were asked for."""
    item: np.ndarray
    ranks: np.ndarray
    """Rows by retrievers, from 1; infinite where a retriever does not have it."""
    scores: np.ndarray
    """None where a retriever does not have it."""

    @classmethod
    def of(cls, lists: Mapping[str, Lists], item_count: int) -> Pool:
        """Put lists for the same users together."""
        width = max(item_count, 1)
        places = {name: found.items != NOTHING for name, found in lists.items()}
        found_codes = {
            name: (np.arange(len(found.items))[:, None] * width + found.items)[places[name]]
            for name, found in lists.items()
        }
        every = np.unique(np.concatenate([np.zeros(0, int), *found_codes.values()]))
        ranks, scores = np.full((len(every), len(lists)), np.inf), np.full((len(every), len(lists)), np.nan)
        for column, (name, found) in enumerate(lists.items()):
            at = np.searchsorted(every, found_codes[name])
            ranks[at, column] = np.nonzero(places[name])[1] + 1
            scores[at, column] = found.scores[places[name]]
        return cls(tuple(lists), every // width, every % width, ranks, scores)

    def take(self, rows: np.ndarray) -> Pool:
        """Return some of the rows."""
        return Pool(self.names, self.row[rows], self.item[rows], self.ranks[rows], self.scores[rows])

    def is_relevant(self, relevant: sp.csr_matrix) -> np.ndarray:
        """Return for each row whether the item was relevant to the user."""
        width = max(relevant.shape[1], 1)
        return np.isin(self.row * width + self.item, codes(relevant))

    @classmethod
    def stacked(cls, pools: Sequence[Pool], user_counts: Sequence[int]) -> Pool:
        """Put the pools of different users one after the other."""
        before = np.cumsum([0, *user_counts[:-1]])
        return cls(
            pools[0].names,
            np.concatenate([pool.row + first for pool, first in zip(pools, before, strict=True)]),
            *(np.concatenate([getattr(pool, name) for pool in pools]) for name in ("item", "ranks", "scores")),
        )

    def best(self, scores: np.ndarray, user_count: int, k: int) -> tuple[Lists, np.ndarray]:
        """Return lists by some scores, and the rows that stand in them; minus infinity is in none, ties go by the item."""
        order = np.lexsort((self.item, -scores, self.row))
        order = order[np.isfinite(scores[order])]
        row = self.row[order]
        place = np.arange(len(order)) - np.searchsorted(row, row)
        order, row, place = order[place < k], row[place < k], place[place < k]
        items, found = np.full((user_count, k), NOTHING), np.full((user_count, k), -np.inf)
        items[row, place], found[row, place] = self.item[order], scores[order]
        return Lists(items, found), order


@dataclass(frozen=True)
class Merging:
    """Weights of retrievers by name, and what is added to ranks."""

    weights: Mapping[str, float]
    constant: float = CONSTANTS[0]

    def scores(self, pool: Pool) -> np.ndarray:
        """Return the score of each row; minus infinity where only retrievers found it that weigh nothing."""
        weights = np.array([self.weights.get(name, 0.0) for name in pool.names])
        found = (1.0 / (self.constant + pool.ranks)) @ weights
        return np.where(found > 0, found, -np.inf)

    def parts(self, pool: Pool) -> np.ndarray:
        """Return rows by retrievers: what each adds to the score."""
        return np.array([self.weights.get(name, 0.0) for name in pool.names]) / (self.constant + pool.ranks)


def choose(pool: Pool, relevant: sp.csr_matrix) -> tuple[Merging, float]:
    """Return the weights that are best for users of whom it is known what was relevant, and their nDCG."""
    judges = {constant: _Judge(pool, relevant, constant) for constant in CONSTANTS}
    alone = np.eye(len(pool.names))
    worths = [judges[CONSTANTS[0]].worth(one) for one in alone]
    order = np.argsort(-np.array(worths), kind="stable")
    best, constant, reached = alone[order[0]], CONSTANTS[0], worths[order[0]]
    for tried, judge in judges.items():
        starts = [alone[order[:size]].sum(axis=0) for size in range(1, len(order) + 1)]
        found, value = judge.climb(max(starts, key=judge.worth), order)
        if value > reached:
            best, constant, reached = found, tried, value
    weights = {name: float(weight) for name, weight in zip(pool.names, best, strict=True) if weight}
    return Merging(weights, constant), reached


def best_alone(pool: Pool, relevant: sp.csr_matrix) -> str:
    """Return the retriever that alone is best for users of whom it is known what was relevant; the first of equals."""
    judge = _Judge(pool, relevant, CONSTANTS[0])
    return pool.names[int(np.argmax([judge.worth(one) for one in np.eye(len(pool.names))]))]


class _Judge:
    """nDCG by weights, fast: each user's part of the pool is a line of one array."""

    def __init__(self, pool: Pool, relevant: sp.csr_matrix, constant: float) -> None:
        users = relevant.shape[0]
        place = np.arange(len(pool.row)) - np.searchsorted(pool.row, pool.row)
        shape = users, max(int(place.max(initial=-1)) + 1, PLACES)
        self._parts = np.zeros((len(pool.names), *shape))
        self._parts[:, pool.row, place] = 1.0 / (constant + pool.ranks.T)
        self._is_relevant = np.zeros(shape, bool)
        self._is_relevant[pool.row, place] = pool.is_relevant(relevant)
        self._gain = 1.0 / np.log2(np.arange(2, PLACES + 2))
        self._ideal = np.cumsum(self._gain)[np.clip(np.diff(relevant.indptr), 1, PLACES) - 1]

    def worth(self, weights: np.ndarray) -> float:
        scores = np.tensordot(weights, self._parts, axes=1)
        first = np.argsort(-scores, axis=1, kind="stable")[:, :PLACES]
        found = np.take_along_axis(self._is_relevant & (scores > 0), first, axis=1)
        return float((found @ self._gain / self._ideal).mean())

    def climb(self, weights: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
        """Set one weight after the other, as long as that is better."""
        best, reached = weights, self.worth(weights)
        for _ in range(SWEEPS):
            before = reached
            for at in order:
                for weight in WEIGHTS:
                    tried = best.copy()
                    tried[at] = weight
                    if tried.any() and (found := self.worth(tried)) > reached:
                        best, reached = tried, found
            if reached == before:
                break
        return best, reached
