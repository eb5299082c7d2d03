"""
What a model decides by: how much each feature adds on test rows, and what it adds by value.

Both are made of the contributions that reasons are made of, so a page of effects says what single reasons add up to. An effect
is the mean contribution of the rows that have a value, beside the tenth and the ninetieth percentile of them: of a model that
adds up columns the two lie together, of trees they part where other features bend the effect. Nothing is set to a value that no
row has, as partial dependence would (Apley and Zhu 2020 on why that misleads where features go together). A text is named only
where the model has a flag for it and some users have it: an address or a birthday that was delivered as an attribute is of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model.encoder import Dense, doubles
from ml.model.reasons import number
from ml.training.segments import LEAST_USERS, OTHER, by_count, count_users

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ml.model.scorer import Scorer

FEATURES = 10
"""So many features are shown: the rest is told together."""

BINS = 10
"""A number is cut into so many parts of like many rows; of fewer values each is its own."""

LEVELS = 6
"""Of a text, the most frequent."""

ENDS = (0.1, 0.9)
"""Quantiles of the contributions of a point's rows."""


@dataclass(frozen=True)
class Point:
    """What a feature adds to the raw scores of the rows with some value of it."""

    value: str
    rows: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Effect:
    """A feature, how much it adds to a row on average, whatever the sign, and what it adds by value."""

    source: str
    size: float
    share: float
    """Of the sizes of all features."""
    is_text: bool
    points: tuple[Point, ...]
    missing: Point | None

    def to_json(self) -> dict[str, Any]:
        missing = self.missing and vars(self.missing)
        return {**vars(self), "points": [vars(point) for point in self.points], "missing": missing}


def of_features(scorer: Scorer, rows: pa.Table) -> list[Effect]:
    """Return the effects of the features that count most, the largest first."""
    by_source = scorer.made_of(rows).by_source
    users = rows["user_id"].to_numpy()
    sizes = {source: float(np.abs(amounts).mean()) for source, amounts in by_source.items()}
    whole = sum(sizes.values()) or 1.0
    first = sorted(sizes, key=lambda source: -sizes[source])[:FEATURES]
    return [
        _effect(source, _parts(scorer, source, rows, users), _Adds(users, by_source[source]), whole)
        for source in first
        if sizes[source] > 0
    ]


@dataclass(frozen=True)
class _Parts:
    """Rows parted by their values of a feature: the number of each row's part, -1 without a value, and the parts' names."""

    is_text: bool
    codes: np.ndarray
    names: Mapping[int, str]


@dataclass(frozen=True)
class _Adds:
    """What a feature adds to some rows, and whose they are."""

    users: np.ndarray
    amounts: np.ndarray

    def point(self, value: str, rows: np.ndarray) -> Point | None:
        """Make a point of some rows; of few users none is made."""
        if count_users(self.users[rows]) < LEAST_USERS:
            return None
        amounts = self.amounts[rows]
        low, high = np.quantile(amounts, ENDS)
        return Point(value, len(amounts), float(amounts.mean()), float(low), float(high))


def _effect(source: str, parts: _Parts, adds: _Adds, whole: float) -> Effect:
    size = float(np.abs(adds.amounts).mean())
    points = [adds.point(name, parts.codes == code) for code, name in parts.names.items()]
    return Effect(
        source=source,
        size=size,
        share=size / whole,
        is_text=parts.is_text,
        points=tuple(point for point in points if point),
        missing=adds.point("not known", parts.codes < 0),
    )


def _parts(scorer: Scorer, source: str, rows: pa.Table, users: np.ndarray) -> _Parts:
    values = scorer.values(rows, source)
    if not pa.types.is_string(values.type):
        return _Parts(False, *by_number(values))
    return _Parts(True, *numbered(values, _may_be_named(values, users, _flags(scorer, source))[:LEVELS]))


def _flags(scorer: Scorer, source: str) -> set[str]:
    """Name the levels of a text that a model tells from others."""
    dense = [encoder for encoder in scorer.encoders if isinstance(encoder, Dense)]
    features = [feature for encoder in dense for feature in encoder.features if feature.source == source]
    return {feature.level for feature in features if feature.level is not None}


def _may_be_named(values: pa.Array | pa.ChunkedArray, users: np.ndarray, flags: Collection[str]) -> list[str]:
    """List the texts with a flag that enough users have, the most frequent first."""
    codes, names = numbered(values, [text for text in by_count(values) if text in flags])
    return [name for code, name in names.items() if name in flags and count_users(users[codes == code]) >= LEAST_USERS]


def by_text(values: pa.Array | pa.ChunkedArray, levels: int) -> tuple[np.ndarray, Mapping[int, str]]:
    """Number the most frequent texts and what is rarer; -1 where there is none."""
    return numbered(values, by_count(values)[:levels])


def numbered(values: pa.Array | pa.ChunkedArray, named: Sequence[str]) -> tuple[np.ndarray, Mapping[int, str]]:
    """Number some texts in order and what is none of them; -1 where there is none."""
    places = pc.index_in(values, value_set=pa.array(named, pa.string()))
    numbers = pc.if_else(pc.is_valid(values), pc.fill_null(places, len(named)), -1)
    codes = numbers.to_numpy(zero_copy_only=False) if isinstance(numbers, pa.Array) else numbers.to_numpy()
    return codes, dict(enumerate(named)) | ({len(named): OTHER} if (codes == len(named)).any() else {})


def by_number(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, Mapping[int, str]]:
    """Number parts of like many rows, in order, each named by its mean; -1 where there is no number."""
    numbers = doubles(values)
    there = ~np.isnan(numbers)
    edges = edges_of(numbers[there])
    codes = np.where(there, np.searchsorted(edges, numbers, side="right"), -1)
    return codes, dict(_means(numbers, codes, len(edges) + 1))


def edges_of(numbers: np.ndarray) -> np.ndarray:
    """Return where parts of like many rows begin, but the first."""
    if not len(numbers):
        return np.zeros(0)
    unique = np.unique(numbers)
    if len(unique) <= BINS:
        return unique[1:]
    edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS))
    return edges[edges > unique[0]]


def _means(numbers: np.ndarray, codes: np.ndarray, parts: int) -> Iterator[tuple[int, str]]:
    for code in range(parts):
        its = numbers[codes == code]
        if len(its):
            yield code, number(float(its.mean()))
