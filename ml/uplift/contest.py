"""
Learners beside each other, over repeated halves of a trial: learnt on one half, measured on the other.

Halves overlap, so that the spread of their figures is smaller than what another trial would show: the variance of the mean is
(1 / halves + measured / learnt) times that of a figure. Differences are taken within halves, so that luck that both
share cancels out. That is still large: most learners differ by less than their error, and the table says so.

Source: Nadeau and Bengio, *Inference for the Generalization Error* (Machine Learning 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from ml.uplift.curves import Ranked
from ml.uplift.learners import LEARNERS, linear_model
from rekindle.experiments import ALPHA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ml.uplift.trial import Trial

    Floats = np.ndarray
    Scoring = Callable[[Trial, Trial], Floats]
    """Learn on the first, return scores of the second."""

SPLITS = 10
FIGURES = ("uplift_10", "uplift_20", "uplift_30", "qini")
BY = "uplift_30"
"""What learners are ordered and compared by."""

CONSTANT = "constant"


@dataclass(frozen=True)
class Mean:
    """A mean over halves with its corrected error."""

    value: float
    error: float
    freedom: int

    @classmethod
    def of(cls, values: Floats) -> Mean:
        """Return the mean of figures of halves: as many are measured on as are learnt from."""
        count = len(values)
        return cls(float(values.mean()), float(np.sqrt((1 / count + 1) * values.var(ddof=1))), count - 1)

    @property
    def interval(self) -> tuple[float, float]:
        reach = float(stats.t.isf(ALPHA / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    @property
    def is_zero(self) -> bool:
        """Whether it cannot be told from zero."""
        low, high = self.interval
        return low <= 0 <= high

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "error": self.error}


@dataclass(frozen=True)
class Entry:
    """A learner, or a rule that learns nothing."""

    name: str
    says: str
    figures: Mapping[str, Mean]
    from_best: Mean
    """Best of the table less this, in `BY`."""
    over_constant: Mean
    """This less the constant effect, which is as good as lots."""

    @property
    def told(self) -> str:
        """How it stands, in words."""
        if self.name == CONSTANT:
            return "as good as lots"
        return "differs from lots by less than its error" if self.over_constant.is_zero else (
            "better than lots" if self.over_constant.value > 0 else "worse than lots"
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "is": self.says,
            **{name: mean.to_json() for name, mean in self.figures.items()},
            "best_less_this": self.from_best.to_json(),
            "cannot_be_told_from_best": self.from_best.is_zero,
            "this_less_constant": self.over_constant.to_json(),
            "says": self.told,
        }


@dataclass(frozen=True)
class Contest:
    """The table, the best first, and what can be said of the best."""

    splits: int
    entries: tuple[Entry, ...]

    @property
    def told(self) -> str:
        """Whether the best can be told from the others, in words."""
        best, *others = self.entries
        same = [entry.name for entry in others if entry.from_best.is_zero]
        if not same:
            return f"{best.name} is better than all others."
        return f"Differ from {best.name} by less than their error: {', '.join(same)}."

    def to_json(self) -> dict[str, Any]:
        return {"halves": self.splits, "learners": [entry.to_json() for entry in self.entries], "says": self.told}


def contest(trial: Trial, rules: Mapping[str, Floats], splits: int = SPLITS) -> Iterator[Contest | int]:
    """
    Yield the number of halves that are done, and at last the contest.

    `rules` are scores that are known beforehand, by name: they learn nothing, and rank the same rows.
    """
    scoring = _scoring()
    measured: dict[str, list[Floats]] = {name: [] for name in (*scoring, *rules)}
    rows = np.arange(len(trial))
    for split in range(splits):
        part = trial.parts(2, seed=split)
        learning, judging = (trial.take(part == half) for half in (0, 1))
        for name, (_, scores) in scoring.items():
            measured[name].append(_measured(judging, scores(learning, judging)))
        for name, rule in rules.items():
            measured[name].append(_measured(judging, rule[rows[part == 1]]))
        yield split + 1
    says = {name: text for name, (text, _) in scoring.items()} | dict.fromkeys(
        rules, "the column alone, the highest first"
    )
    yield Contest(splits, _entries({name: np.array(values) for name, values in measured.items()}, says))


def _scoring() -> dict[str, tuple[str, Scoring]]:
    of_effect = {learner.name: (learner.says, _by_effect(learner.fit)) for learner in LEARNERS}
    return of_effect | {
        "response": ("who responds most when treated, which is not who is moved", _by_response),
    }


def _by_effect(fit: Callable[[Trial], Any]) -> Scoring:
    return lambda learning, judging: fit(learning).effect(judging.x)


def _by_response(learning: Trial, judging: Trial) -> Floats:
    treated = learning.arm(treated=True)
    return linear_model(treated, treated.design()).expected(judging.x)


def _measured(trial: Trial, score: Floats) -> Floats:
    """In the order of FIGURES."""
    ranked = Ranked(trial, score)
    return np.array([*ranked.at(), ranked.qini()])


def _entries(measured: Mapping[str, Floats], says: Mapping[str, str]) -> tuple[Entry, ...]:
    at = FIGURES.index(BY)
    order: Sequence[str] = sorted(measured, key=lambda name: -measured[name][:, at].mean())
    best, constant = measured[order[0]][:, at], measured[CONSTANT][:, at]
    return tuple(
        Entry(
            name,
            says[name],
            {figure: Mean.of(measured[name][:, place]) for place, figure in enumerate(FIGURES)},
            Mean.of(best - measured[name][:, at]),
            Mean.of(measured[name][:, at] - constant),
        )
        for name in order
    )
