"""
Segments of users that figures are shown by: what a marketer would ask, "and how good is it for those?".

A segment is a value of a dimension on the row's own day. A dimension that a product's rows have no column for is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model.encoder import doubles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_LEVELS = 12
"""Of a text, the most frequent: a page with a hundred countries is read by nobody."""

RECENCY_DAYS = (0, 7, 15, 31, 91, 365)
"""Edges of bands; who was active within a week has not lapsed and is in the population of amounts only."""

TENURE_DAYS = (0, 31, 91, 366)

OTHER, MISSING, NOTHING = "other", "unknown", "nothing"

LEAST_USERS = 10
"""Of fewer no page says anything by itself: who knows one of them would learn of the others."""


def count_users(users: np.ndarray) -> int:
    """Count different users, of whom there may be many rows."""
    return len(np.unique(users))


@dataclass(frozen=True)
class Dimension:
    """One way to cut the rows."""

    name: str
    says: str
    column: str
    cut: Callable[[pa.ChunkedArray], tuple[np.ndarray, Sequence[str]]]
    """The segment of each row, and all there are in the order in which they are shown."""


def dimensions_of(rows: pa.Table) -> list[tuple[Dimension, np.ndarray, Sequence[str]]]:
    """Cut the rows by each dimension that they have a column for."""
    return [(one, *one.cut(rows[one.column])) for one in DIMENSIONS if one.column in rows.column_names]


def _bands(edges: Sequence[int], missing: str) -> Callable[[pa.ChunkedArray], tuple[np.ndarray, Sequence[str]]]:
    """Cut whole numbers at edges: from each to the one before the next, the last without an end unless all lie below it."""
    names = [f"{low} to {high - 1}" for low, high in pairwise(edges)] + [f"{edges[-1]} or more"]

    def cut(column: pa.ChunkedArray) -> tuple[np.ndarray, Sequence[str]]:
        values = doubles(column)
        there = ~np.isnan(values)
        found = np.full(len(values), missing, dtype=object)
        found[there] = np.array(names, dtype=object)[np.searchsorted(edges[1:], values[there], side="right")]
        return found, [name for name in (*names, missing) if (found == name).any()]

    return cut


def by_count(texts: pa.Array | pa.ChunkedArray) -> list[str]:
    """List the different texts there are, the most frequent first."""
    counted = pc.value_counts(texts.drop_null()).to_pylist()
    return [c["values"] for c in sorted(counted, key=lambda c: (-c["counts"], c["values"]))]


def levels(column: pa.ChunkedArray) -> tuple[np.ndarray, Sequence[str]]:
    """Cut a text by its most frequent values."""
    often = by_count(column)[:MOST_LEVELS]
    texts = np.array([MISSING if text is None else text for text in column.to_pylist()], dtype=object)
    found = np.where(np.isin(texts.astype(str), [*often, MISSING]), texts, OTHER)
    # A business may itself deliver `unknown`, or `other`: that is the same segment, and stands there once.
    return found, [name for name in dict.fromkeys((*often, OTHER, MISSING)) if (found == name).any()]


def _spending(column: pa.ChunkedArray) -> tuple[np.ndarray, Sequence[str]]:
    """Cut amounts into nothing, and thirds of those who spent."""
    values = np.nan_to_num(doubles(column))
    spent = values > 0
    found = np.full(len(values), NOTHING, dtype=object)
    if not spent.any():
        return found, [NOTHING]
    limits = np.quantile(values[spent], (1 / 3, 2 / 3))
    names = [f"up to {limits[0]:.2f}", f"up to {limits[1]:.2f}", f"above {limits[1]:.2f}"]
    found[spent] = np.array(names, dtype=object)[np.searchsorted(limits, values[spent])]
    return found, [name for name in (NOTHING, *dict.fromkeys(names)) if (found == name).any()]


DIMENSIONS = (
    Dimension("recency", "days since the last activity", "recency_days", _bands(RECENCY_DAYS, "none within 365")),
    Dimension("tenure", "days since the registration", "tenure_days", _bands(TENURE_DAYS, MISSING)),
    Dimension("channel", "channel of acquisition", "channel", levels),
    Dimension("country", "country", "country", levels),
    Dimension("spending", "spent within 365 days", "sale_amount_365d", _spending),
)
