"""
How a model treats groups that are known: whether what it promises comes true for them, and how many of them it selects.

Groups are those of `ml.training.segments`, and those by attributes of a protected kind, which no model need read for a group of
them to be served worse. An interval is over draws of users; of many groups some lie beside theirs by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.model.encoder import lookup
from ml.training import evaluation, segments
from ml.training.backtest import MIN_POSITIVES, TEXTED
from ml.training.fitting import MIN_ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ml.training.evaluation import Figure, Judged

SELECTED = TEXTED
"""Who is among so large a share of the rows, best first, is selected."""


def of_rows(rows: pa.Table, judged: Judged, protected: Collection[str]) -> list[dict[str, Any]]:
    """Return a dimension each with its groups; `protected` names keys of maps that are dimensions, too."""
    selected = np.zeros(len(judged.raw), bool)
    selected[np.argsort(-judged.raw, kind="stable")[: round(SELECTED * len(selected))]] = True
    return [
        {"dimension": name, "says": says, "groups": _by_group(judged, selected, cut, names)}
        for name, says, cut, names in _dimensions(rows, protected)
        if len(names) > 1
    ]


def _dimensions(rows: pa.Table, protected: Collection[str]) -> Iterator[tuple[str, str, np.ndarray, Sequence[str]]]:
    for source in protected:
        column, _, key = source.partition(":")
        values = rows[column]
        if key:
            values = lookup(values, key)
        if pa.types.is_string(values.type):
            yield source, key or column, *segments.levels(values)
    for one, cut, names in segments.dimensions_of(rows):
        yield one.name, one.says, cut, names


def _by_group(judged: Judged, selected: np.ndarray, cut: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    codes = np.full(len(cut), len(names))
    for code, name in enumerate(names):
        codes[cut == name] = code
    ratios = _ratios(judged, codes, len(names))
    return [_group(judged, selected, codes == code, name, ratios[code]) for code, name in enumerate(names)]


def _group(judged: Judged, selected: np.ndarray, inside: np.ndarray, name: str, ratio: Figure) -> dict[str, Any]:
    outcome = judged.outcome[inside]
    positives = int((outcome > 0).sum())
    told: dict[str, Any] = {"group": name, "rows": len(outcome), "positives": positives}
    if len(outcome) < MIN_ROWS or positives < MIN_POSITIVES:
        return {**told, "insufficient_data": True}
    return {
        **told,
        "insufficient_data": False,
        "actual": float(outcome.mean()),
        "predicted": float(judged.prediction[inside].mean()),
        "predicted_over_actual": vars(ratio),
        "selected": float(selected[inside].mean()),
        "selected_of_positives": float(selected[inside][outcome > 0].mean()),
    }


def _ratios(judged: Judged, codes: np.ndarray, size: int) -> list[Figure]:
    """Return predicted / actual of each group with its interval."""

    def of(weights: np.ndarray) -> np.ndarray:
        predicted, actual = (
            np.bincount(codes, weights * values, size + 1)[:size] for values in (judged.prediction, judged.outcome)
        )
        return predicted / actual

    # A draw may hold nobody of a group: it is then no part of its interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        values = of(np.ones(len(codes)))
        drawn = np.array([of(weights) for weights in evaluation.counts(judged.users)])
        return [evaluation.figure(float(value), column) for value, column in zip(values, drawn.T, strict=True)]
