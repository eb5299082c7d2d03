"""
Two recipes on the same test rows: by how much their figures differ, and how much of that may be chance.

Users are drawn with replacement, with all their rows, and both recipes are judged within each draw, so luck that they share
cancels out (a paired cluster bootstrap: Davison and Hinkley, 1997, Bootstrap Methods and their Application, section 3.8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.training.evaluation import Figure, counts
from ml.training.gate.verdict import Criterion
from rekindle.errors import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.objectives import Figures
    from ml.training.evaluation import Judged
    from ml.training.gate.criteria import Criteria

    Weighted = Callable[[np.ndarray], float]
    """A figure of rows that count so many times."""


@dataclass(frozen=True)
class Pair:
    """A challenger and the champion's recipe, fitted on the same training days and judged on the same rows."""

    challenger: Judged
    champion: Judged

    def __post_init__(self) -> None:
        """Refuse other rows: who is judged on rows of their own may be lucky in them."""
        one, other = self.challenger, self.champion
        if not (np.array_equal(one.users, other.users) and np.array_equal(one.outcome, other.outcome)):
            raise CheckFailedError(
                "Challenger and champion were not judged on the same test rows.",
                todo="Judge both on the rows of the same sample and split.",
                safe="The champion stays as it was.",
                code="other_test_rows",
            )

    @property
    def is_same(self) -> bool:
        """Whether both say the same of every row."""
        one, other = self.challenger, self.champion
        return np.array_equal(one.raw, other.raw) and np.array_equal(one.prediction, other.prediction)

    def take(self, rows: np.ndarray) -> Pair:
        """Return some of the rows, for both."""
        return Pair(self.challenger.take(rows), self.champion.take(rows))


@dataclass(frozen=True)
class Difference:
    """By how much the challenger is better in a figure, and by how much in draws of users."""

    value: float
    drawn: np.ndarray

    def lower(self, level: float) -> float:
        """Return the one-sided lower limit at a chance of error."""
        return self._quantile(level)

    def figure(self, level: float = 0.05) -> Figure:
        """Return the value with its two-sided interval."""
        return Figure(self.value, self._quantile(level / 2), self._quantile(1 - level / 2))

    @property
    def deviation(self) -> float:
        """Return the standard deviation of the draws."""
        return float(self.drawn.std(ddof=1)) if len(self.drawn) > 1 else float("nan")

    def _quantile(self, at: float) -> float:
        """Of no draw that says anything, nothing is known: whatever is asked of it is not met."""
        return float(np.quantile(self.drawn, at)) if len(self.drawn) else float("nan")


def better(kind: str, difference: Difference, criteria: Criteria, *, of: str, than: str, on: str = "") -> Criterion:
    """Ask whether a figure is better beyond chance, one-sided: `of` what, `than` whose, and `on` which rows."""
    low, shown = difference.lower(criteria.better_level), difference.figure()
    passed = low > 0
    told = "is better" if passed else "is not surely better"
    why = (
        f"{of} {told} than {than} (by {difference.value:+.4f}, lower limit {low:+.4f} at a chance of error of "
        f"{criteria.better_level:g}){on}"
    )
    return Criterion(kind, passed, why, 0.0, difference.value, low, shown.high)


def ranking(figures: Figures, pair: Pair, rounds: int) -> Difference:
    """Say by how much the challenger ranks better, in the objective's primary figure."""
    metric = figures.ranking[figures.primary]
    one, other = (weighted(figures.primary, metric, j.outcome, j.raw) for j in (pair.challenger, pair.champion))
    return _difference(pair, lambda times: one(times) - other(times), rounds)


def deciding(figures: Figures, pair: Pair, rounds: int) -> Difference:
    """
    Say by how much the challenger is better in what recipes compete by.

    That is the proper score of the prediction, where the objective has one (less is better), and else the ranking.
    """
    if figures.proper is None:
        return ranking(figures, pair, rounds)
    metric = figures.level[figures.proper]
    one, other = (weighted(figures.proper, metric, j.outcome, j.prediction) for j in (pair.challenger, pair.champion))
    return _difference(pair, lambda times: other(times) - one(times), rounds)


def decided_by(figures: Figures) -> str:
    """Name the figure of `deciding`."""
    return figures.proper or figures.primary


def calibration(figures: Figures, pair: Pair, rounds: int) -> Difference:
    """
    Say by how much nearer to what came true the challenger's predictions are, of raw scores that are the same.

    In the proper score where the objective has one; the order of amounts says nothing of their level, so theirs is the distance
    of the sums, as a logarithm: twice and half are as far.
    """
    if figures.proper is not None:
        return deciding(figures, pair, rounds)
    one, other = (_off(j.outcome, j.prediction) for j in (pair.challenger, pair.champion))
    return _difference(pair, lambda times: other(times) - one(times), rounds)


def calibrated_by(figures: Figures) -> str:
    """Name the figure of `calibration`."""
    return figures.proper or "distance of the sums"


def says_the_same(pair: Pair) -> bool:
    """Whether both have the same raw scores, whatever they make of them."""
    return np.array_equal(pair.challenger.raw, pair.champion.raw)


def _off(outcome: np.ndarray, prediction: np.ndarray) -> Weighted:
    def figure(times: np.ndarray) -> float:
        predicted, actual = float(times @ prediction), float(times @ outcome)
        return abs(float(np.log(predicted / actual))) if predicted > 0 and actual > 0 else float("nan")

    return figure


def weighted(
    name: str, metric: Callable[[np.ndarray, np.ndarray], float], outcome: np.ndarray, score: np.ndarray
) -> Weighted:
    """Return a figure as a function of how often each row counts; what is slow in it is done once."""
    if name in FAST:
        return FAST[name](outcome, score)

    def repeated(times: np.ndarray) -> float:
        rows = np.repeat(np.arange(len(outcome)), times)
        return metric(outcome[rows], score[rows])

    return repeated


def _auc(outcome: np.ndarray, score: np.ndarray) -> Weighted:
    _, groups = np.unique(score, return_inverse=True)
    positive, count = outcome > 0, int(groups.max(initial=0)) + 1

    def figure(times: np.ndarray) -> float:
        above = np.bincount(groups, times * positive, count)
        below = np.bincount(groups, times * ~positive, count)
        wins = float((above * (np.cumsum(below) - below / 2)).sum())
        pairs = float(above.sum() * below.sum())
        return wins / pairs if pairs else float("nan")

    return figure


def _gini(outcome: np.ndarray, score: np.ndarray) -> Weighted:
    by_score, by_outcome = _area(outcome, score), _area(outcome, outcome)

    def figure(times: np.ndarray) -> float:
        perfect = by_outcome(times)
        return by_score(times) / perfect if perfect else float("nan")

    return figure


def _area(outcome: np.ndarray, score: np.ndarray) -> Weighted:
    """Return twice the area between gain curve and chance; within a tie group the curve is a line."""
    _, groups = np.unique(-score, return_inverse=True)
    size = int(groups.max(initial=0)) + 1

    def figure(times: np.ndarray) -> float:
        held, rows = np.bincount(groups, times * outcome, size), np.bincount(groups, times, size)
        before = np.cumsum(held) - held
        under, whole = float((rows * before + held * (rows + 1) / 2).sum()), float(rows.sum() * held.sum())
        return 2 * under / whole - 1 if whole else float("nan")

    return figure


def _mean(losses: np.ndarray) -> Weighted:
    return lambda times: float(times @ losses / times.sum())


def _log_loss(outcome: np.ndarray, probability: np.ndarray) -> Weighted:
    sure = np.clip(probability, 1e-15, 1 - 1e-15)
    return _mean(-np.where(outcome > 0, np.log(sure), np.log1p(-sure)))


FAST: Mapping[str, Callable[[np.ndarray, np.ndarray], Weighted]] = {"auc": _auc, "gini": _gini, "log_loss": _log_loss}
"""Figures that need not sort each draw anew. Any other is computed of the rows that were drawn."""


def _difference(pair: Pair, figure: Weighted, rounds: int) -> Difference:
    """Compute a difference of all rows and of draws of users; a draw that has none, with nobody who came, is left out."""
    once = np.ones(len(pair.challenger.outcome), dtype=np.int64)
    if pair.is_same:
        return Difference(0.0, np.zeros(rounds))
    drawn = np.array([figure(times) for times in counts(pair.challenger.users, rounds)])
    return Difference(figure(once), drawn[np.isfinite(drawn)])
