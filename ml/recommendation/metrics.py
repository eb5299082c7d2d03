"""
How good lists are, with intervals over draws of users.

nDCG and recall are means over the users who had something in the test that could be answered. Coverage is a figure of all lists
together. Novelty is the mean self-information of what is answered: minus log2 of the share of users who had the item before, so
each bit halves how many had it. One user is added to both, or an item that nobody had would be infinitely new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.recommendation.retrievers.declaration import NOTHING
from ml.training.evaluation import Figure, counts, figure

if TYPE_CHECKING:
    import scipy.sparse as sp

RESAMPLES = 200


def hits(items: np.ndarray, relevant: sp.csr_matrix) -> np.ndarray:
    """Return users by places: whether what stands there is relevant to the user of that row."""
    width = max(relevant.shape[1], 1)
    rows = np.arange(len(items))[:, None]
    return np.isin(rows * width + items, codes(relevant)) & (items != NOTHING)


def codes(relevant: sp.csr_matrix) -> np.ndarray:
    """Return a number for each pair: its row times the number of columns, plus its column."""
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    return rows * max(relevant.shape[1], 1) + relevant.indices


def ndcg(items: np.ndarray, relevant: sp.csr_matrix, k: int) -> np.ndarray:
    """Return nDCG@k of each user; relevant is yes or no, and the best possible list has no more than `k` places."""
    found = hits(items[:, :k], relevant)
    gain = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gain)])[np.minimum(np.diff(relevant.indptr), k)]
    return _ratio(found @ gain[: found.shape[1]], ideal)


def recall(items: np.ndarray, relevant: sp.csr_matrix, k: int) -> np.ndarray:
    """Return for each user the share of what is relevant that is among the first `k`."""
    return _ratio(hits(items[:, :k], relevant).sum(axis=1), np.diff(relevant.indptr))


def novelty(items: np.ndarray, users_of: np.ndarray, user_count: int, k: int) -> np.ndarray:
    """Return for each user the mean self-information of the first `k`, in bits; none of an empty list."""
    first = items[:, :k]
    bits = -np.log2((users_of + 1) / (user_count + 1))
    there = first != NOTHING
    told = np.where(there, bits[np.where(there, first, 0)] if len(bits) else 0.0, 0.0)
    return _ratio(told.sum(axis=1), there.sum(axis=1))


def coverage(items: np.ndarray, item_count: int, k: int) -> float:
    """Return the share of all items that stand among the first `k` of anybody."""
    first = items[:, :k]
    return len(np.unique(first[first != NOTHING])) / item_count if item_count else float("nan")


def mean_figure(values: np.ndarray) -> Figure:
    """Return the mean over users with its interval; users without a value do not count."""
    found = values[np.isfinite(values)]
    if not len(found):
        return Figure(float("nan"), float("nan"), float("nan"))
    drawn = [float(np.average(found, weights=times)) for times in counts(np.arange(len(found)), RESAMPLES)]
    return figure(float(found.mean()), drawn)


def coverage_figure(items: np.ndarray, item_count: int, k: int) -> Figure:
    """
    Return coverage with its interval.

    A draw with replacement misses a third of the users and with them what only they were shown, so all draws lie too low; they
    are moved until their mean is the value, and tell by how much it varies.
    """
    value = coverage(items, item_count, k)
    drawn = np.array([coverage(items[times > 0], item_count, k) for times in counts(np.arange(len(items)), RESAMPLES)])
    return figure(value, drawn - drawn.mean() + value)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
