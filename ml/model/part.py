"""
A part of a model: an encoder, and what a learner made of the rows that it encoded.

It owns all that it needs to score a row and says of each source of the row what it adds. So parts of any kind stand beside
each other: what they add is summed by source, and nobody asks how a source was encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from ml.model.encoder import Encoded, Encoder

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

    @property
    def baseline(self) -> np.ndarray:
        return self.by_column[:, -1]

    @property
    def by_source(self) -> dict[str, np.ndarray]:
        """Sum the columns that people would call one feature."""
        return _added(zip(self.encoder.columns, self.by_column.T[:-1], strict=True))


@dataclass(frozen=True)
class Part:
    """An encoder, and the predictor that reads what it makes of rows."""

    encoder: Encoder
    predictor: Predictor

    def raw(self, rows: Encoded) -> np.ndarray:
        return self.predictor.raw(rows.by(self.encoder))

    def contributions(self, rows: Encoded, factor: float = 1.0) -> Contributions:
        """Say what each source adds to the raw scores, times a factor."""
        return Contributions(self.encoder, factor * self.predictor.contributions(rows.by(self.encoder)))


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
