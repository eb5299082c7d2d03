"""
What each column adds to what boosted trees say: exact Shapley values, for about the time of two predictions.

LightGBM's own are exact (TreeSHAP: Lundberg and others 2020, From local explanations to global understanding with explainable AI
for trees) and walk all paths of each tree for each row: forty to fifty predictions' worth. What a tree says of a row depends on
nothing but the answers to its comparisons, and rows share these: 50,000 users answered a tree of fifteen leaves in 344 ways. So
rows are numbered by their answers, and LightGBM is asked once for each number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import lightgbm

NUMBERS = 1 << 16
"""Beyond so many, rows are numbered anew by what there is of them."""


@dataclass(frozen=True)
class Shapley:
    """Trees of LightGBM, with the comparisons that each makes."""

    booster: lightgbm.Booster
    thresholds: Mapping[int, np.ndarray]
    """Of all trees together, by column, in order."""
    trees: tuple[Mapping[int, np.ndarray], ...]
    """Of each tree, by column: how the answers to its comparisons are numbered, by place among `thresholds`."""

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> Shapley:
        """Read a model whose columns are all numbers: none of its comparisons is of a set."""
        compared = [_compared(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
        columns = sorted({column for tree in compared for column in tree})
        thresholds = {column: np.unique([at for tree in compared for at in tree.get(column, ())]) for column in columns}
        trees = tuple(
            {column: _answers(tree[column], thresholds[column]) for column in sorted(tree)} for tree in compared
        )
        return cls(booster, thresholds, trees)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Return a column for each of the rows', and the baseline; of a row the same, whatever rows stand beside it."""
        places = {column: _places(rows[:, column], at) for column, at in self.thresholds.items()}
        by_column = np.zeros((rows.shape[1] + 1, len(rows)))
        for tree, answers in enumerate(self.trees):
            first, of_row = _alike({column: number[places[column]] for column, number in answers.items()}, len(rows))
            told = np.asarray(
                self.booster.predict(
                    rows[first], pred_contrib=True, start_iteration=tree, num_iteration=1, num_threads=1
                )
            )
            for column in answers:
                by_column[column] += told[of_row, column]
            by_column[-1] += told[0, -1]
        # Row by row in memory: a sum over columns has to be the same of one row as of many.
        return np.ascontiguousarray(by_column.T)


def _compared(node: Mapping[str, Any]) -> dict[int, list[float]]:
    """Return what a tree compares each column with."""
    found: dict[int, list[float]] = {}
    for column, threshold in _comparisons(node):
        found.setdefault(column, []).append(threshold)
    return found


def _comparisons(node: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    if "split_feature" in node:
        yield node["split_feature"], node["threshold"]
        yield from _comparisons(node["left_child"])
        yield from _comparisons(node["right_child"])


def _places(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Say how many thresholds lie below each value; of a missing one, which every comparison may send elsewhere, one more."""
    return np.where(np.isnan(values), len(thresholds) + 1, np.searchsorted(thresholds, values))


def _answers(compared: list[float], thresholds: np.ndarray) -> np.ndarray:
    """Number the answers of a tree to a column's value at each of its places."""
    own = np.unique(compared)
    return np.append(np.searchsorted(own, np.append(thresholds, np.inf)), len(own) + 1)


def _alike(answers: Mapping[int, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one of each kind of rows that answer alike, and which kind each row is of."""
    number, numbers = np.zeros(count, np.int64), 1
    for answer in answers.values():
        size = int(answer.max()) + 1
        if numbers * size > NUMBERS:
            there, number = np.unique(number, return_inverse=True)
            numbers = len(there)
        number += answer * numbers
        numbers *= size
    one = np.full(numbers, -1)
    one[number] = np.arange(count)
    there = np.flatnonzero(one >= 0)
    first = one[there]
    one[there] = np.arange(len(there))
    return first, one[number]
