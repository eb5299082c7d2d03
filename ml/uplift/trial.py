"""A trial: who was assigned by lot to a message or to none, what was known of them before, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ml.model.learners.linear import Design

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.model.encoder import Feature

    Floats = np.ndarray

MIN_SHARE = 1e-3
"""Of an arm: whoever was assigned with less says too much for too many others."""


@dataclass(frozen=True)
class Trial:
    """
    One treated arm and its control, a row per user.

    `features` say what the columns of `x` are (missing is NaN); all of it was known before the assignment.
    """

    features: tuple[Feature, ...]
    x: Floats
    is_treated: np.ndarray
    outcome: Floats
    cluster: np.ndarray
    """Codes 0, 1, …: users with the same were assigned as one, and act as one."""
    campaign: np.ndarray
    """Codes 0, 1, …: lots were drawn within each."""
    covariate: Floats
    """A score of before the assignment, for CUPED; 0 for all where there is none."""

    @classmethod
    def of(
        cls,
        features: Sequence[Feature],
        x: Floats,
        is_treated: np.ndarray,
        outcome: Floats,
        **more: np.ndarray | None,
    ) -> Trial:
        """Make a trial; `more` are cluster, campaign (of any values) and covariate, each of which may be missing."""
        size = len(outcome)
        return cls(
            tuple(features),
            np.asarray(x, float),
            np.asarray(is_treated, bool),
            np.asarray(outcome, float),
            cluster=_codes(more.get("cluster"), np.arange(size)),
            campaign=_codes(more.get("campaign"), np.zeros(size, int)),
            covariate=np.zeros(size) if more.get("covariate") is None else np.asarray(more["covariate"], float),
        )

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def is_binary(self) -> bool:
        return bool(np.isin(self.outcome, (0.0, 1.0)).all())

    @property
    def has_covariate(self) -> bool:
        return bool(np.ptp(self.covariate)) if len(self) else False

    @property
    def probability(self) -> Floats:
        """
        Share of the treated in the user's campaign.

        The share found and not the one planned: by it, a mean weighted with its inverse is the mean of the arm.
        """
        size = np.bincount(self.campaign)
        shares = np.bincount(self.campaign, self.is_treated) / np.maximum(size, 1)
        return np.clip(shares, MIN_SHARE, 1 - MIN_SHARE)[self.campaign]

    @property
    def weight(self) -> Floats:
        """Inverse of the probability of the user's arm: arms weighted so are alike also where campaigns had other shares."""
        chance = self.probability
        return 1 / np.where(self.is_treated, chance, 1 - chance)

    @property
    def sizes(self) -> dict[str, int]:
        """Users by arm."""
        return {"treated": int(self.is_treated.sum()), "control": int((~self.is_treated).sum())}

    def take(self, rows: np.ndarray) -> Self:
        """Return some of the rows."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "features"})

    def arm(self, *, treated: bool) -> Self:
        return self.take(self.is_treated == treated)

    def parts(self, count: int, seed: int) -> np.ndarray:
        """Part of each row, 0 to `count` - 1, by lot; a cluster is in one part, and parts are equal within campaign and arm."""
        lots = np.random.default_rng(seed)
        # The first row of a cluster stands for it; an arm's clusters are dealt out in turn, like cards.
        _, first = np.unique(self.cluster, return_index=True)
        shuffled = lots.permutation(first)
        order = shuffled[np.lexsort((self.is_treated[shuffled], self.campaign[shuffled]))]
        part = np.zeros(int(self.cluster.max()) + 1 if len(self) else 0, int)
        part[self.cluster[order]] = np.arange(len(order)) % count
        return part[self.cluster]

    def halves(self, seed: int) -> tuple[Self, Self]:
        """Return two halves, by lot."""
        part = self.parts(2, seed)
        return self.take(part == 0), self.take(part == 1)

    def design(self) -> Design:
        """Standardised columns; a gap is 0 and has a column of its own."""
        return Design.of_all(self.features, self.x)


def _codes(values: np.ndarray | None, otherwise: np.ndarray) -> np.ndarray:
    return otherwise if values is None else np.unique(values, return_inverse=True)[1]
