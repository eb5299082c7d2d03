"""
A part of a model: an encoder, and what a learner made of the rows that it encoded.

It owns all that it needs to score a row and says of each source of the row what it adds. So parts of any kind stand beside
each other: what they add is summed by source, and nobody asks how a source was encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from ml.model.encoder import Dense, doubles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml.model.encoder import Encoded, Encoder, Rows

K = TypeVar("K")


class Predictor(Protocol):
    """
    What a learner has learnt: numbers only, read from JSON and at most one file of its own. Nothing of it is code.

    `contributions` returns one column for each of the encoder's, and a last one, the baseline (the raw score of the average
    training user); a row's sum is its raw score.
    """

    kind: ClassVar[str]
    """How a stored model names it."""
    file: ClassVar[str | None]
    """The name of its file, in which `{part}` is filled in; see `ml.model.artifact.NATIVE_FILE` for those that are let in."""

    @property
    def trees(self) -> int:
        """How many trees, or rounds, it holds: what the validation days decided, and a refit keeps."""
        ...

    def raw(self, encoded: Any) -> np.ndarray: ...

    def contributions(self, encoded: Any) -> np.ndarray: ...

    def to_json(self) -> dict[str, Any]: ...

    def to_bytes(self) -> bytes | None:
        """Return what does not fit into JSON: the content of its file."""
        ...

    @classmethod
    def from_stored(cls, plain: dict[str, Any], content: bytes | None) -> Self: ...


class Additive:
    """A predictor whose raw score is the sum of its contributions, and that no number of rounds was chosen for."""

    @property
    def trees(self) -> int:
        return 0

    def raw(self, encoded: Any) -> np.ndarray:
        return self.contributions(encoded).sum(axis=1)

    def contributions(self, encoded: Any) -> np.ndarray:
        """Return a column for each of the encoder's, and the baseline."""
        raise NotImplementedError


@dataclass(frozen=True)
class Contributions:
    """What the raw scores of some rows are made of: raw = baseline + all sources."""

    encoder: Encoder
    by_column: np.ndarray
    """A column for each of the encoder's, and the baseline."""

    @property
    def raw(self) -> np.ndarray:
        return self.by_column.sum(axis=1)

    def times(self, scale: np.ndarray | float) -> Contributions:
        """Multiply all of a row, by a number each or by one for all."""
        return Contributions(self.encoder, self.by_column * np.reshape(scale, (-1, 1)))

    def above(self, by: np.ndarray) -> Contributions:
        """Raise the baseline of each row."""
        raised = self.by_column.copy()
        raised[:, -1] += by
        return Contributions(self.encoder, raised)

    @property
    def baseline(self) -> np.ndarray:
        return self.by_column[:, -1]

    @property
    def by_source(self) -> dict[str, np.ndarray]:
        """Sum the columns that people would call one feature."""
        return _added(zip(self.encoder.columns, self.by_column.T[:-1], strict=True))


ACTIVE_DAYS = "active_days_ever"
"""The column of features.user that says how much of a user's behaviour is known."""


@dataclass(frozen=True)
class Handover:
    """
    By how much a part that speaks of new users counts for a row: fully for who was never active, less by each active day.

    Each takes an equal share away, so that no single day moves a prediction by more than this share of what the part says,
    beside what the other parts learn from the day.
    """

    days: int
    """After so many active days the part is silent, and behaviour alone speaks."""

    def weight(self, rows: Rows) -> np.ndarray:
        """Return a weight from 1 to 0 for each row. Of whom it is not known how active they were, behaviour speaks."""
        return 1 - np.minimum(np.nan_to_num(active_days(rows), nan=np.inf) / self.days, 1.0)


def active_days(rows: Rows) -> np.ndarray:
    """Return how many days each user has been active on, ever; NaN where that is not known."""
    return doubles(rows.column(ACTIVE_DAYS))


@dataclass(frozen=True)
class Part:
    """An encoder, and the predictor that reads what it makes of rows."""

    encoder: Encoder
    predictor: Predictor
    handover: Handover | None = None
    """None of a part that counts fully for every row."""
    messaged_at: int | None = None
    """
    The column of the predictor's that said in training who was sent a message on the days to come. No encoder makes it: it is 0,
    whatever a row holds. None of a predictor without one.
    """

    def raw(self, rows: Encoded) -> np.ndarray:
        raw = self.predictor.raw(self._read(rows))
        return self.handover.weight(rows.rows) * raw if self.handover else raw

    def contributions(self, rows: Encoded) -> Contributions:
        """Say what each source adds to the raw scores."""
        by_column = self.predictor.contributions(self._read(rows))
        if self.messaged_at is not None:
            # To be sent no message is no reason: it holds of everybody who is scored.
            by_column[:, -1] += by_column[:, self.messaged_at]
            by_column = np.delete(by_column, self.messaged_at, axis=1)
        said = Contributions(self.encoder, by_column)
        return said.times(self.handover.weight(rows.rows)) if self.handover else said

    def unmessaged(self, messaged: str) -> Part:
        """Return the part that never reads the column of who was sent a message, for it takes nobody to have been."""
        if not isinstance(self.encoder, Dense) or messaged not in dict(self.encoder.inputs):
            return self
        columns = self.encoder.columns
        at = columns.index(messaged) if messaged in columns else None
        return replace(self, encoder=self.encoder.without(messaged), messaged_at=at)

    def _read(self, rows: Encoded) -> Any:
        encoded = rows.by(self.encoder)
        return encoded if self.messaged_at is None else np.insert(encoded, self.messaged_at, 0.0, axis=1)


@dataclass(frozen=True)
class Whole:
    """What the raw scores of a model are made of: the sums of what its parts say."""

    raw: np.ndarray
    baseline: np.ndarray
    by_source: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, parts: Sequence[Contributions]) -> Whole:
        """Add up parts of one encoder column by column, then encoders source by source."""
        by_encoder = _added((part.encoder, part.by_column) for part in parts)
        summed = [Contributions(encoder, by_column) for encoder, by_column in by_encoder.items()]
        by_source = _added(said for part in summed for said in part.by_source.items())
        return cls(total([part.raw for part in summed]), total([part.baseline for part in summed]), by_source)


def total(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Add up one or more arrays."""
    return sum(arrays[1:], arrays[0])


def _added(pairs: Iterable[tuple[K, np.ndarray]]) -> dict[K, np.ndarray]:
    """Add up what belongs to the same key, in the order in which keys come."""
    sums: dict[K, np.ndarray] = {}
    for key, amounts in pairs:
        sums[key] = sums[key] + amounts if key in sums else amounts
    return sums
