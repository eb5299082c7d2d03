"""
What is popular in the categories that a user has most of.

An item's share of its category is smoothed, so that an item without interactions is there, behind the others of its category:
the only retriever by which a new item enters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ml.recommendation.retrievers.declaration import MEMORIES, WINDOW_DAYS, Fitted, Retriever

if TYPE_CHECKING:
    from ml.recommendation.interactions import Known


@dataclass(frozen=True)
class CategoryPopularity(Fitted):
    """A user's share of each category, and an item's share within it."""

    shares: sp.csr_matrix
    within: sp.csr_matrix

    def scores(self, users: np.ndarray) -> np.ndarray:
        found = (self.shares[users] @ self.within.T).toarray()
        return np.where(found > 0, found, -np.inf)


def affinity(known: Known, memory: float | None) -> sp.csr_matrix:
    """Return the share that each category has of what a user did; an item of several counts for each in part."""
    return _rows_to_one(known.interactions.history(memory) @ _rows_to_one(known.items.categories))


def _fit(known: Known, memory: float | None, window_days: float | None, prior: float) -> Fitted:
    weight = sp.diags(known.interactions.popularity(window_days) + prior)
    within = _rows_to_one((weight @ known.items.categories).T.tocsr()).T.tocsr()
    return CategoryPopularity(affinity(known, memory), within)


def _rows_to_one(matrix: sp.csr_matrix) -> sp.csr_matrix:
    sums = np.asarray(matrix.sum(axis=1), float).ravel()
    return (sp.diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)) @ matrix).tocsr()


def _refuses(known: Known) -> str | None:
    return None if known.items.categories.nnz else "no item has a category"


RETRIEVER = Retriever(
    "category_popularity",
    "what is popular in the categories that a user has most of",
    fit=_fit,
    hyper={"memory": MEMORIES, "window_days": (WINDOW_DAYS, None), "prior": (1.0, 0.1)},
    refuses=_refuses,
)
