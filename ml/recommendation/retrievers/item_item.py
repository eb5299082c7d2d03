"""
Items that the same users had: cosine of items, drawn towards zero where few users stand behind it.

Source: Sarwar, Karypis, Konstan and Riedl, *Item-based Collaborative Filtering Recommendation Algorithms* (WWW 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ml.recommendation.retrievers.declaration import MEMORIES, Fitted, Retriever

if TYPE_CHECKING:
    from ml.recommendation.interactions import Known


@dataclass(frozen=True)
class ItemItem(Fitted):
    """What a user did, and how alike items are."""

    history: sp.csr_matrix
    alike: sp.csr_matrix

    def scores(self, users: np.ndarray) -> np.ndarray:
        found = (self.history[users] @ self.alike).toarray()
        return np.where(found > 0, found, -np.inf)


def likeness(matrix: sp.csr_matrix, shrinkage: float, neighbours: int | None) -> sp.csr_matrix:
    """Return items by items: the cosine with shrinkage, of each item with its nearest `neighbours` only; none with itself."""
    both = (matrix.T @ matrix).tocsr()
    both.sort_indices()
    norm = np.sqrt(both.diagonal())
    row, column = np.repeat(np.arange(len(norm)), np.diff(both.indptr)), both.indices
    value = np.where(row == column, 0.0, both.data / (norm[row] * norm[column] + shrinkage))
    if neighbours is not None:
        for first, after in pairwise(both.indptr):
            # Ties by the item's position, or equal input could give other neighbours.
            value[first + np.argsort(-value[first:after], kind="stable")[neighbours:]] = 0.0
    found = sp.csr_matrix((value, both.indices, both.indptr), shape=both.shape)
    found.eliminate_zeros()
    return found


def _fit(known: Known, memory: float | None, shrinkage: float, neighbours: int | None) -> Fitted:
    rows = known.interactions
    return ItemItem(rows.history(memory), likeness(rows.strength, shrinkage, neighbours))


RETRIEVER = Retriever(
    "item_item",
    "items that the same users had (cosine)",
    fit=_fit,
    hyper={"memory": MEMORIES, "shrinkage": (10.0, 0.0, 50.0), "neighbours": (200, 50, None)},
)
