"""
Items that the same users had: cosine of items, drawn towards zero where few users stand behind it.

Source: Sarwar, Karypis, Konstan and Riedl, *Item-based Collaborative Filtering Recommendation Algorithms* (WWW 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
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
    both = (matrix.T @ matrix).tocoo()
    norm = np.sqrt(both.tocsr().diagonal())
    apart = both.row != both.col
    row, column = both.row[apart], both.col[apart]
    value = both.data[apart] / (norm[row] * norm[column] + shrinkage)
    if neighbours is not None:
        order = np.lexsort((column, -value, row))
        first = np.searchsorted(row[order], row[order])
        kept = order[np.arange(len(order)) - first < neighbours]
        row, column, value = row[kept], column[kept], value[kept]
    return sp.csr_matrix((value, (row, column)), shape=both.shape)


def _fit(known: Known, memory: float | None, shrinkage: float, neighbours: int | None) -> Fitted:
    rows = known.interactions
    return ItemItem(rows.history(memory), likeness(rows.strength, shrinkage, neighbours))


RETRIEVER = Retriever(
    "item_item",
    "items that the same users had (cosine)",
    fit=_fit,
    hyper={"memory": MEMORIES, "shrinkage": (10.0, 0.0, 50.0), "neighbours": (200, 50, None)},
)
