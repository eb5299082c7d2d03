"""
EASE: each item from all others by one ridge regression, in closed form.

It inverts a matrix of items by items, so its time grows with the third power of the items and its memory with the second.

Source: Steck, *Embarrassingly Shallow Autoencoders for Sparse Data* (WWW 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.retrievers.declaration import MEMORIES, Fitted, Retriever, silent
from rekindle.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ml.recommendation.interactions import Known

MAX_ITEMS = 10_000
"""The matrix has 0.8 GB then, its inverse as much, and it takes minutes."""


@dataclass(frozen=True)
class Ease(Fitted):
    """What a user did, and the weights of items for each other."""

    history: sp.csr_matrix
    weights: np.ndarray
    seen: np.ndarray
    """Whether an item has interactions."""

    def scores(self, users: np.ndarray) -> np.ndarray:
        history = self.history[users]
        return silent(history @ self.weights, users=np.diff(history.indptr) > 0, items=self.seen)


def weights(matrix: sp.csr_matrix, ridge: float) -> np.ndarray:
    """Return items by items the weights that predict a column from the others; the diagonal is zero."""
    gram = (matrix.T @ matrix).toarray()
    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += ridge
    inverse = np.linalg.inv(gram)
    found = -inverse / inverse[diagonal]
    found[diagonal] = 0.0
    return found


def _fit(known: Known, memory: float | None, ridge: float) -> Fitted:
    if why := _refuses(known):
        raise InputError(
            f"EASE does not learn from these: {why}.",
            todo="Leave it out, or hand over fewer items.",
            safe="Nothing was learnt.",
        )
    rows = known.interactions
    return Ease(rows.history(memory), weights(rows.strength, ridge), rows.popularity() > 0)


def _refuses(known: Known) -> str | None:
    count = len(known.items.ids)
    return None if count <= MAX_ITEMS else f"{count:,} items, and it inverts a matrix of no more than {MAX_ITEMS:,}"


RETRIEVER = Retriever(
    "ease",
    "each item from all others by ridge regression (EASE)",
    fit=_fit,
    hyper={"memory": MEMORIES, "ridge": (300.0, 100.0, 1000.0)},
    refuses=_refuses,
)
