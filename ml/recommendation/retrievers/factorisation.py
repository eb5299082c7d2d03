"""
Users and items as factors whose product says who would have what: alternating least squares of `implicit`.

A user's factors are solved once more from what the user did of late: the items' factors are learnt from everything.

Source: Hu, Koren and Volinsky, *Collaborative Filtering for Implicit Feedback Datasets* (ICDM 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.retrievers.declaration import MEMORIES, Fitted, Retriever, silent

if TYPE_CHECKING:
    from ml.recommendation.interactions import Known

ROUNDS = 15


@dataclass(frozen=True)
class Factorisation(Fitted):
    """Factors of users and of items."""

    users: np.ndarray
    items: np.ndarray
    is_known: np.ndarray
    """Whether a user has a history."""
    seen: np.ndarray
    """Whether an item has interactions."""

    def scores(self, users: np.ndarray) -> np.ndarray:
        return silent(self.users[users] @ self.items.T, users=self.is_known[users], items=self.seen)


def _fit(known: Known, memory: float | None, factors: int, regularisation: float, confidence: float) -> Fitted:
    import threadpoolctl
    from implicit.cpu.als import AlternatingLeastSquares

    rows = known.interactions
    is_known, seen = rows.counts > 0, rows.popularity() > 0
    if not len(rows):
        return Factorisation(np.zeros((len(is_known), 1)), np.zeros((len(seen), 1)), is_known, seen)
    # Its own threads and those of BLAS get into each other's way, and sums in another order are other sums.
    with threadpoolctl.threadpool_limits(1):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=regularisation,
            alpha=confidence,
            iterations=ROUNDS,
            num_threads=1,
            random_state=0,
        )
        model.fit(rows.strength.astype(np.float32), show_progress=False)
        history = rows.history(memory).astype(np.float32)
        users = model.recalculate_user(np.arange(len(is_known)), history)
    return Factorisation(np.asarray(users, float), np.asarray(model.item_factors, float), is_known, seen)


RETRIEVER = Retriever(
    "factorisation",
    "factors of users and items (alternating least squares)",
    fit=_fit,
    hyper={
        "memory": MEMORIES,
        "factors": (32, 16, 64),
        "regularisation": (1.0, 0.1, 10.0, 30.0),
        "confidence": (1.0, 3.0),
    },
)
