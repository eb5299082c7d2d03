"""
What a model decides by: how much each feature adds on test rows, and what it adds by value.

Both are made of the contributions that reasons are made of, so a page of effects says what single reasons add up to. An effect
is the mean contribution of the rows that have a value, beside the tenth and the ninetieth percentile of them: of a model that
adds up columns the two lie together, of trees they part where other features bend the effect. Nothing is set to a value that no
row has, as partial dependence would (Apley and Zhu 2020 on why that misleads where features go together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.model.encoder import doubles
from ml.model.reasons import number
from ml.training.segments import by_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.model.scorer import Scorer

FEATURES = 10
"""So many features are shown: the rest is told together."""

BINS = 10
"""A number is cut into so many parts of like many rows; of fewer values each is its own."""

LEVELS = 6
"""Of a text, the most frequent."""

LEAST_ROWS = 10
"""No point is made of fewer rows."""

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
    sizes = {source: float(np.abs(amounts).mean()) for source, amounts in by_source.items()}
    whole = sum(sizes.values()) or 1.0
    first = sorted(sizes, key=lambda source: -sizes[source])[:FEATURES]
    return [
        _effect(source, scorer.values(rows, source), by_source[source], sizes[source], whole)
        for source in first
        if sizes[source] > 0
    ]


def _effect(source: str, values: pa.Array | pa.ChunkedArray, amounts: np.ndarray, size: float, whole: float) -> Effect:
    is_text = pa.types.is_string(values.type)
    codes, names = by_text(values, LEVELS) if is_text else by_number(values)
    points = [_point(name, amounts[codes == code]) for code, name in names.items()]
    return Effect(
        source=source,
        size=size,
        share=size / whole,
        is_text=is_text,
        points=tuple(point for point in points if point),
        missing=_point("not known", amounts[codes < 0]),
    )


def _point(value: str, amounts: np.ndarray) -> Point | None:
    if len(amounts) < LEAST_ROWS:
        return None
    low, high = np.quantile(amounts, ENDS)
    return Point(value, len(amounts), float(amounts.mean()), float(low), float(high))


def by_text(values: pa.Array | pa.ChunkedArray, levels: int) -> tuple[np.ndarray, Mapping[int, str]]:
    """Number the most frequent texts and what is rarer; -1 where there is none."""
    different = by_count(values)
    often = different[:levels]
    places = pc.index_in(values, value_set=pa.array(often, pa.string()))
    codes = pc.if_else(pc.is_valid(values), pc.fill_null(places, len(often)), -1)
    names = dict(enumerate(often)) | ({len(often): "other"} if len(different) > len(often) else {})
    return codes.to_numpy(zero_copy_only=False) if isinstance(codes, pa.Array) else codes.to_numpy(), names


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
