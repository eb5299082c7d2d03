"""The learners' table of an experiment: whether it can be told whom an arm moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from ml.uplift import Trial
    from ml.uplift.checks import Balance
    from ml.uplift.contest import Contest, Mean
    from rekindle.experiments import SampleRatio
    from rekindle.experiments.table import Units
    from rekindle.progress import Progress

HEADINGS = ("learner", "at 10 %", "at 20 %", "at 30 %", "Qini", "best less this, 30 %", "says")


@dataclass(frozen=True)
class OfArm:
    """An arm beside the control: whether both are alike, and the contests by outcome; None where units are too few."""

    arm: str
    balance: Balance
    contests: Mapping[str, Contest | None]

    @property
    def is_believed(self) -> bool:
        return self.balance.verdict != "alarm"


def compared(units: Units, ratio: SampleRatio, halves: int, progress: Progress) -> list[OfArm]:
    """Let learners compete for each arm and outcome; not at all without features, nor where the arms' sizes are alarming."""
    if units.features is None or ratio.verdict == "alarm":
        return []
    arms = units.arms[1:]
    with progress.step("learners, over halves of the units", total=len(arms) * len(units.outcomes) * halves) as step:
        return [_of_arm(units, arm, halves, step.advance) for arm in arms]


def _of_arm(units: Units, arm: str, halves: int, advance: Any) -> OfArm:
    from ml.uplift.checks import balance

    inside = np.isin(units.arm, (units.control, arm))
    trials = _trials(units, arm, inside)
    found = balance(next(iter(trials.values())))
    is_alarm = found.verdict == "alarm"
    contests = {
        name: None
        if is_alarm
        else _contest(trial, {rule: of[inside] for rule, of in units.rules.items()}, halves, advance)
        for name, trial in trials.items()
    }
    return OfArm(arm, found, contests)


def _trials(units: Units, arm: str, inside: np.ndarray) -> dict[str, Trial]:
    """The arm and the control, by outcome."""
    import pyarrow as pa

    from ml.model.encoder import Dense
    from ml.uplift import Trial

    assert units.features is not None  # noqa: S101 - without them there is nothing to learn from
    rows = units.features.filter(pa.array(inside))
    encoder = Dense.fit(rows)
    x, treated = encoder.encode(rows), units.arm[inside] == arm
    cluster = None if units.cluster is None else units.cluster[inside]
    return {
        name: Trial.of(encoder.features, x, treated, values[inside], cluster=cluster)
        for name, values in units.outcomes.items()
    }


def _contest(trial: Trial, rules: Mapping[str, np.ndarray], halves: int, advance: Any) -> Contest | None:
    from ml.uplift.contest import Contest, contest
    from ml.uplift.learning import is_enough

    if not all(map(is_enough, trial.halves(0))):
        return None
    found = None
    for found in contest(trial, rules, halves):
        if not isinstance(found, Contest):
            advance()
    return found if isinstance(found, Contest) else None


# For programs


def told(learnt: Sequence[OfArm]) -> dict[str, Any]:
    """Return it as JSON has it; nothing where no learners were asked for."""
    if not learnt:
        return {}
    return {"learners": {one.arm: _of_arm_told(one) for one in learnt}}


def _of_arm_told(one: OfArm) -> dict[str, Any]:
    return {
        "balance": one.balance.to_json(),
        "outcomes": {name: contest and contest.to_json() for name, contest in one.contests.items()},
    }


# For people


def text(learnt: Sequence[OfArm]) -> Iterator[RenderableType]:
    """Yield what is shown."""
    for one in learnt:
        largest = next(iter(one.balance.differences.items()), ("nothing", 0.0))
        yield ""
        yield (
            f"{one.arm}, what was known before: largest standardised difference {largest[1]:+.3f} ({largest[0]}),"
            f" p = {one.balance.p_value:.4f}"
        )
        if not one.is_believed:
            yield "The arms differ in what was known before more than lots make them. Read no effect from it."
            continue
        for outcome, contest in one.contests.items():
            yield ""
            yield from _outcome(one.arm, outcome, contest)


def _outcome(arm: str, outcome: str, contest: Contest | None) -> Iterator[RenderableType]:
    if contest is None:
        yield f"{outcome}, {arm}: too few units, or too few of them came, to tell learners apart."
        return
    from rich.table import Table
    from rich.text import Text

    yield f"{outcome}, {arm}: uplift among the highest scores, mean of {contest.splits} halves ± its error (Nadeau and Bengio)"
    table = Table(box=None, pad_edge=False)
    for name in HEADINGS:
        table.add_column(name, justify="left" if name in {"learner", "says"} else "right")
    for entry in contest.entries:
        figures = map(_mean, (*entry.figures.values(), entry.from_best))
        table.add_row(Text(entry.name), *figures, entry.told)
    yield table
    yield contest.told


def _mean(mean: Mean) -> str:
    digits = 4 if abs(mean.value) < 1 else 3
    return f"{mean.value:.{digits}f} ± {mean.error:.{digits}f}"
