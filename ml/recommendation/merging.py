"""
One list out of several: reciprocal rank fusion, each retriever with a weight.

Ranks, not scores: a cosine and a number of users have no common scale. Weights are chosen on validation users, beginning with the
best single retriever, and one is raised only where that is better. So no choice is worse there than the best single one, and a
retriever that does not help weighs nothing.

Source: Cormack, Clarke and Büttcher, *Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods* (SIGIR
2009); choosing by steps: Caruana, Niculescu-Mizil, Crew and Ksikes, *Ensemble Selection from Libraries of Models* (ICML 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.metrics import ndcg
from ml.recommendation.retrievers.declaration import NOTHING, Lists

if TYPE_CHECKING:
    from collections.abc import Mapping

    import scipy.sparse as sp

CONSTANTS = (60.0, 10.0)
"""What is added to each rank. Cormack's is 60; with 10 the first places of a list count for more."""

STEPS = 20
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
        codes = {
            name: (np.arange(len(found.items))[:, None] * width + found.items)[places[name]]
            for name, found in lists.items()
        }
        every = np.unique(np.concatenate([np.zeros(0, int), *codes.values()]))
        ranks, scores = np.full((len(every), len(lists)), np.inf), np.full((len(every), len(lists)), np.nan)
        for column, (name, found) in enumerate(lists.items()):
            at = np.searchsorted(every, codes[name])
            ranks[at, column] = np.nonzero(places[name])[1] + 1
            scores[at, column] = found.scores[places[name]]
        return cls(tuple(lists), every // width, every % width, ranks, scores)

    def take(self, rows: np.ndarray) -> Pool:
        """Return some of the rows."""
        return Pool(self.names, self.row[rows], self.item[rows], self.ranks[rows], self.scores[rows])

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


def choose(pool: Pool, relevant: sp.csr_matrix) -> tuple[Merging, float]:
    """Return the weights that are best for users of whom it is known what was relevant, and their nDCG."""

    def worth(merging: Merging) -> float:
        lists, _ = pool.best(merging.scores(pool), relevant.shape[0], PLACES)
        return float(np.nan_to_num(ndcg(lists.items, relevant, PLACES)).mean())

    singles = [Merging({name: 1.0}) for name in pool.names]
    worths = [worth(one) for one in singles]
    start, known = singles[int(np.argmax(worths))], max(worths)
    best, reached = start, known
    for constant in CONSTANTS:
        now, here = Merging(start.weights, constant), known
        for _ in range(STEPS):
            raised = [
                Merging({**now.weights, name: now.weights.get(name, 0.0) + 1.0}, constant) for name in pool.names
            ]
            found = [worth(one) for one in raised]
            if max(found) <= here:
                break
            now, here = raised[int(np.argmax(found))], max(found)
        if here > reached:
            best, reached = now, here
    return best, reached
