"""
What a ranking of users by their effect is worth, on users that it was not learnt from.

Uplift at a share: the effect among the users with the highest scores, a difference of the arms' means among them. Qini: the
area between what messages cause when they go to the highest scores first, and what they cause when they go to anybody, per
user of the trial; 0 is chance. It is the area over q of q (uplift(q) - effect), Yadlowsky's rank-weighted average effect with
the weights of Radcliffe's curve, so that it has the unit of the outcome and needs no perfect ranking, which nobody knows.

Ties: every tied row counts as the mean of its tie group, so that no figure depends on the order of rows.
Intervals: clusters are drawn with replacement; the ranking stays as it is.

Sources: Radcliffe, *Using Control Groups to Target on Predicted Lift* (2007); Yadlowsky, Fleming, Shah, Brunskill and Wager,
*Evaluating Treatment Prioritization Rules via Rank-Weighted Average Treatment Effects* (JASA 2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.training.evaluation import Figure, counts, figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.uplift.trial import Trial

    Floats = np.ndarray

SHARES = (0.1, 0.2, 0.3)
GRID = np.linspace(0.01, 1.0, 100)
"""Shares of the users at which the curve is taken: its first point holds users enough for both arms."""

RESAMPLES = 200


@dataclass(frozen=True)
class Worth:
    """What a ranking is worth."""

    qini: Figure
    at: Mapping[float, Figure]
    """Uplift among the highest scores, by share."""
    curve: Floats
    """Effect caused per user of the trial when the shares of `GRID` are sent a message, the highest scores first."""

    def to_json(self) -> dict[str, Any]:
        return {"qini": _told(self.qini), "uplift_at": {str(share): _told(found) for share, found in self.at.items()}}


class Ranked:
    """The rows of a trial in the order of a score, the highest first, added up within ties."""

    def __init__(self, trial: Trial, score: Floats) -> None:
        _, self._group = np.unique(-score, return_inverse=True)
        self._trial = trial
        treated = trial.is_treated
        self._summed = [
            np.ones(len(trial)),
            np.where(treated, trial.weight, 0.0),
            np.where(treated, trial.weight * trial.outcome, 0.0),
            np.where(treated, 0.0, trial.weight),
            np.where(treated, 0.0, trial.weight * trial.outcome),
        ]

    def uplift(self, shares: Floats, times: Floats | None = None) -> Floats:
        """Return the uplift among the highest `shares`; `times` is how often each row counts."""
        sums = [self._running(column if times is None else column * times) for column in self._summed]
        places = shares * sums[0][-1]
        treated, of_treated, control, of_control = (np.interp(places, sums[0], column) for column in sums[1:])
        means = [
            np.divide(of, arm, out=np.full(len(arm), np.nan), where=arm > 0)
            for of, arm in ((of_treated, treated), (of_control, control))
        ]
        found = means[0] - means[1]
        # Where an arm has nobody yet, nothing is known of an effect but the whole one.
        return np.where(np.isfinite(found), found, found[-1])

    def at(self, shares: tuple[float, ...] = SHARES) -> Floats:
        """Return the uplift among the highest scores, by share."""
        return self.uplift(np.array([*shares, 1.0]))[:-1]

    def qini(self, times: Floats | None = None) -> float:
        """Return the area between the curve of the score and that of chance, per user."""
        return _area(self.uplift(GRID, times))

    def _running(self, column: Floats) -> Floats:
        return np.concatenate([[0.0], np.cumsum(np.bincount(self._group, column))])


def _area(uplift: Floats) -> float:
    return float((GRID * (uplift - uplift[-1])).mean())


def worth(trial: Trial, score: Floats, rounds: int = RESAMPLES) -> Worth:
    """Return Qini and uplift at the shares, with intervals over draws of clusters; seeded."""
    ranked, places = Ranked(trial, score), np.searchsorted(GRID, np.array(SHARES) - 1e-9)
    whole = ranked.uplift(GRID)
    drawn = np.array([ranked.uplift(GRID, times) for times in draws(trial, rounds)])
    areas = (GRID * (drawn - drawn[:, -1:])).mean(axis=1)
    return Worth(
        figure(_area(whole), areas),
        {share: figure(float(whole[at]), drawn[:, at]) for share, at in zip(SHARES, places, strict=True)},
        GRID * whole,
    )


def draws(trial: Trial, rounds: int) -> list[Floats]:
    """Draw as many clusters as there are, with replacement: how often each row counts."""
    return [times.astype(float) for times in counts(trial.cluster, rounds)]


def _told(found: Figure) -> dict[str, Any]:
    return {"value": found.value, "interval": [found.low, found.high]}
