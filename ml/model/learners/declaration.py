"""What a learner declares: how it is fitted, and in which kinds of part a model stores what it has learnt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from ml.model.encoder import Dense

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from ml.model.encoder import Encoded, Encoder
    from ml.model.part import Part, Predictor

    Stop: TypeAlias = "Examples | int"
    """When rounds end: by the validation rows, or after as many trees as are given."""

    # (encoders, loss, examples, stop), and hyper-parameters by name of a learner that declares some.
    Fit: TypeAlias = Callable[..., tuple[Part, ...]]

    Hyper: TypeAlias = Mapping[str, float]
    """Hyper-parameters by name, those that are not as declared."""


@dataclass(frozen=True)
class Examples:
    """Rows with what came true."""

    rows: Encoded
    outcome: np.ndarray
    weight: np.ndarray | None = None
    """How much each row counts, no more than 1; None is one and the same for all."""

    def of(self, outcome: np.ndarray) -> Examples:
        """Return the same rows with another outcome: what another part leaves over."""
        return replace(self, outcome=outcome)


@dataclass(frozen=True)
class Range:
    """A hyper-parameter: what it is unless somebody says otherwise, and within which ends it may lie."""

    default: float
    low: float
    high: float
    is_log: bool = False
    """Whether equal steps are equal ratios: 5 and 10 leaves differ as 20 and 40 do."""

    @property
    def is_whole(self) -> bool:
        return isinstance(self.default, int)


@dataclass(frozen=True)
class Learner:
    """
    What competes for a product, by its name.

    `fit` is given encoders of the training rows, the objective's loss, the training examples and when to stop, and by name the
    values of `hyper` that are not as declared; it returns parts whose raw scores add up. It learns from each row as much as its
    weight says: rows that were drawn by their outcome, and older ones, count less. Everything is seeded and
    single-valued: the same sample gives the same bytes. Heavy libraries are imported within it, because the workers import the
    file and only score.
    """

    name: str
    says: str
    """What it is, for people."""
    fit: Fit
    predictors: tuple[type[Predictor], ...]
    """The kinds of predictor that its parts have."""
    losses: tuple[str, ...] = ()
    """The losses, by LightGBM's names, that it can minimise; empty means any."""
    encoders: tuple[type[Encoder], ...] = (Dense,)
    """The kinds of encoder that its parts have."""
    hyper: Mapping[str, Range] = field(default_factory=dict, hash=False)
    """The hyper-parameters that a search may set, by name; empty of a learner that has none worth one."""
