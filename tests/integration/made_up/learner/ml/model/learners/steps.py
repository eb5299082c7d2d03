"""Steps: the share that came true, by tenths of the one feature that says most. Made up, for a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.declaration import Learner
from ml.model.part import Additive, Part

if TYPE_CHECKING:
    from ml.model.encoder import Encoders
    from ml.model.learners.declaration import Examples, Stop

TENTHS = np.linspace(0, 1, 11)[1:-1]


@dataclass(frozen=True)
class Steps(Additive):
    """Log-odds of each step of a column, beside those of everybody."""

    kind: ClassVar[str] = "steps"
    file: ClassVar[str | None] = None
    index: int
    baseline: float
    edges: tuple[float, ...]
    added: tuple[float, ...]

    def contributions(self, encoded: np.ndarray) -> np.ndarray:
        told = np.zeros((len(encoded), encoded.shape[1] + 1))
        told[:, self.index] = np.array(self.added)[np.searchsorted(self.edges, np.nan_to_num(encoded[:, self.index]))]
        told[:, -1] = self.baseline
        return told

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "edges": list(self.edges), "added": list(self.added)}

    def to_bytes(self) -> None:
        return None

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Steps:  # noqa: ARG003 - predictors share it
        return cls(plain["index"], plain["baseline"], tuple(plain["edges"]), tuple(plain["added"]))


def _of(column: np.ndarray, index: int, outcome: np.ndarray) -> tuple[float, Steps]:
    """Return how much the steps of a column differ, and the steps."""
    edges = np.unique(np.nanquantile(column, TENTHS))
    step = np.searchsorted(edges, np.nan_to_num(column))
    size = len(edges) + 1
    # One more of each kind: a step that training never saw, or saw one kind of, is not certain.
    odds = np.log((np.bincount(step, outcome, size) + 1) / (np.bincount(step, 1 - outcome, size) + 1))
    baseline = float(odds[step].mean())
    return float(odds[step].std()), Steps(index, baseline, tuple(edges.tolist()), tuple((odds - baseline).tolist()))


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    dense = encoders.of(Dense)
    found = [_of(column, i, train.outcome) for i, column in enumerate(train.rows.by(dense).T)]
    return (Part(dense, max(found, key=lambda one: one[0])[1]),)


LEARNER = Learner("steps", "steps of the feature that says most", fit=_fit, predictors=(Steps,), losses=("binary",))
