"""
How a model treats groups that are known: whether what it promises comes true for them, and how many of them it selects.

Groups are those of `ml.training.segments`, and those by attributes of a protected kind, which no model need read for a group of
them to be served worse. An interval is over draws of users; of many groups some lie beside theirs by chance. A group of few is
not named, for its name may be that of one person, such as a birthday: all such are one, `other`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.model.encoder import lookup
from ml.training import evaluation, segments
from ml.training.backtest import MIN_POSITIVES, TEXTED
from ml.training.fitting import MIN_ROWS
from ml.training.segments import LEAST_USERS, OTHER, count_users

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
        for name, says, all_cut, all_names in _dimensions(rows, protected)
        for cut, names in [folded(judged.users, all_cut, all_names)]
        if len(names) > 1
    ]


def folded(users: np.ndarray, cut: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, Sequence[str]]:
    """
    Put groups of few rows, or of few users, together as `other`; where these are still few users, the next smallest, too.

    Without that, who knows how many users there are would know of those few by what is missing.
    """
    rows = {name: int((cut == name).sum()) for name in names}
    enough = [n for n in names if rows[n] >= MIN_ROWS and count_users(users[cut == n]) >= LEAST_USERS and n != OTHER]
    kept = sorted(enough, key=lambda name: -rows[name])
    while kept and 0 < count_users(users[~np.isin(cut, kept)]) < LEAST_USERS:
        kept.pop()
    told = np.where(np.isin(cut, kept), cut, OTHER)
    return told, [name for name in (*(n for n in names if n in kept), OTHER) if (told == name).any()]


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
    told: dict[str, Any] = {"group": name, "rows": len(outcome)}
    if len(outcome) < MIN_ROWS or positives < MIN_POSITIVES:
        # How many of few came back is what came true for each, or nearly: it is not told.
        return {**told, "insufficient_data": True}
    return {
        **told,
        "insufficient_data": False,
        "positives": positives,
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
