"""Intervals of uplift cover what a message truly changes in .93 to .97 of 2,000 simulated trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.uplift.curves import GRID, worth
from ml.uplift.learners import arms_of, learner_named, pseudo_outcome
from ml.uplift.learning import average, line
from quality.figures import Figure, lots
from quality.trials import Simulated, simulated
from rekindle.experiments import ALPHA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.experiments import Estimate

TRIALS = 2_000
CURVES = 300
"""Of the trials: a curve's interval is drawn, which takes longer. Its coverage is known to within .025."""

COVERED = (0.93, 0.97)
COVERED_BY_CURVES = (0.92, 0.98)

FEWEST, MOST = 4_000, 12_000
"""Users of a trial."""

ENDS = (0.1, 0.9)
"""Quantiles of the scores at which the line's interval is looked at."""


@dataclass(frozen=True)
class Half:
    """A learner fitted on one half of a trial: the other half, its scores, and the effects that are true there."""

    of: Simulated
    rows: np.ndarray
    score: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return self.of.effect[self.rows]


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Draw trials that differ in size, shares and effect, and count how often intervals hold the truth."""
    drawn = lots("Rekindle's simulated trials of uplift")
    found: dict[str, list[bool]] = {}
    trials, curves = (max(round(count * size), 1) for count in (TRIALS, CURVES))
    for number in range(trials):
        users, effect = int(drawn.integers(FEWEST, MOST)), float(drawn.uniform(0, 0.03))
        one = simulated(drawn, users, effect, share=float(drawn.uniform(0.3, 0.8)))
        for name, holds in {**of_average(one), **of_line(one, with_curve=number < curves)}.items():
            found.setdefault(name, []).append(holds)
    for name, held in found.items():
        ends = COVERED_BY_CURVES if len(held) < trials else COVERED
        yield Figure(f"simulated trials whose interval covers {name}", float(np.mean(held)), *ends)
    yield Figure("simulated trials", trials, digits=0)


def of_average(one: Simulated) -> dict[str, bool]:
    """Whether intervals hold the mean effect."""
    found, truth = average(one.trial), float(one.effect.mean())
    return {
        "the true mean effect, with CUPED": _holds(found.effect, truth),
        "the true mean effect, without": _holds(found.plain, truth),
    }


def of_line(one: Simulated, *, with_curve: bool) -> dict[str, bool]:
    """Whether intervals of users with low and with high scores hold the line of the true effects, and those of a curve it."""
    part = one.trial.parts(2, seed=0)
    learnt, judged = (one.trial.take(part == half) for half in (0, 1))
    half = Half(one, part == 1, learner_named("t_logistic").fit(learnt).effect(judged.x))
    fitted = line(half.score, pseudo_outcome(judged, arms_of(learnt)), judged.cluster)
    true = line(half.score, half.truth, judged.cluster)
    at = np.quantile(half.score, ENDS)
    (_, low, high), (truth, _, _) = fitted.at(at), true.at(at)
    holds = {
        f"the true effect of users with {words} scores": bool(low[i] <= truth[i] <= high[i])
        for i, words in enumerate(("low", "high"))
    }
    return holds | (of_curve(half) if with_curve else {})


def of_curve(half: Half) -> dict[str, bool]:
    """Whether drawn intervals hold the true uplift among the highest 30 %, and the true Qini."""
    told = worth(half.of.trial.take(half.rows), half.score)
    ranked = half.truth[np.argsort(-half.score, kind="stable")]
    means = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    true = means[np.maximum((GRID * len(ranked)).astype(int) - 1, 0)]
    at_30, qini = told.at[0.3], told.qini
    return {
        "the true uplift among the highest 30 %": at_30.low <= true[29] <= at_30.high,
        "the true Qini": qini.low <= float((GRID * (true - true[-1])).mean()) <= qini.high,
    }


def _holds(found: Estimate, truth: float) -> bool:
    low, high = found.interval(ALPHA)
    return low <= truth <= high
