"""
What is popular among users of the same country, age band or other attribute: the answer to those who did nothing yet.

Each attribute is a cohort of its own, whose shares are drawn towards those of everybody, the more the smaller it is. Who has no
attribute gets what everybody likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ml.recommendation.retrievers.declaration import WINDOW_DAYS, Fitted, Retriever

if TYPE_CHECKING:
    from ml.recommendation.interactions import Known


@dataclass(frozen=True)
class CohortPopularity(Fitted):
    """Shares of items by cohort, and the cohorts of each user."""

    cohort: np.ndarray
    """Users by attributes: which row of `shares`; the last row is everybody."""
    shares: np.ndarray
    names: tuple[tuple[str, str], ...]
    """Of each row but the last: the attribute, and its value."""

    def scores(self, users: np.ndarray) -> np.ndarray:
        found = self.shares[self.cohort[users]].mean(axis=1)
        return np.where(found > 0, found, -np.inf)


def _fit(known: Known, window_days: float | None, shrinkage: float) -> Fitted:
    pairs = known.interactions.pairs(window_days)
    overall = np.asarray(pairs.sum(axis=0), float).ravel()
    overall /= max(overall.sum(), 1.0)
    shares: list[np.ndarray] = []
    cohorts: list[np.ndarray] = []
    called: list[tuple[str, str]] = []
    for attribute, texts in known.users.attributes.items():
        names, code = np.unique(texts, return_inverse=True)
        member = sp.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=(len(names), len(code)))
        counts = (member @ pairs).toarray()
        # Those of whom the attribute is not known are no cohort.
        counts[names == ""] = 0.0
        cohorts.append(code + _rows(shares))
        called += [(attribute, str(name)) for name in names]
        shares.append((counts + shrinkage * overall) / (counts.sum(axis=1, keepdims=True) + shrinkage))
    everybody = np.full(len(known.users.ids), _rows(shares))
    return CohortPopularity(
        np.column_stack(cohorts) if cohorts else everybody[:, None],
        np.vstack([*shares, overall[None, :]]),
        tuple(called),
    )


def _rows(parts: list[np.ndarray]) -> int:
    return sum(map(len, parts))


RETRIEVER = Retriever(
    "cohort_popularity",
    "what is popular among users of the same country, age band or other attribute",
    fit=_fit,
    hyper={"window_days": (WINDOW_DAYS, None), "shrinkage": (1000.0, 100.0, 10_000.0)},
    is_personal=False,
)
