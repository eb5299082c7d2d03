"""
The gate: whether a model, or in its place the best naive rule, may become champion.

A model passes when, on the test days and rows that the naive rule was judged on, it ranks better and its level holds.
The ranking is decided by the value, not by the interval of the difference: a deployment with a few hundred users would
never get a model past it, and a model that is truly no better than the rule does no more harm than the rule. The level is
decided by the interval: rare outcomes make it move by chance, so a model is out when it is off beyond doubt.

Where a model is out, the best rule stands for it. It need not beat itself, but a ranking by lot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.training.evaluation import Evaluation, Figure

LEVEL = (0.5, 2.0)
"""
Predicted over actual: beyond these a sum that somebody plans with is wrong by half.

Nearer to 1 lies what a season does to an honest model: 0.83 and 0.94 were measured on a shop before Christmas.
"""


@dataclass(frozen=True)
class Criterion:
    """One question of the gate and its answer."""

    name: str
    passed: bool
    told: str


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and why in one sentence that names every criterion, first the one that decided."""

    passed: bool
    why: str
    criteria: tuple[Criterion, ...] = ()
    is_rule: bool = False
    """Whether it is about a naive rule in the place of a model."""


def judge(evaluation: Evaluation) -> Verdict:
    """Compare a model with the naive rule on the same rows, and its level with what came true."""
    return _verdict([_ranking(evaluation), *_level(evaluation)])


def judge_rule(evaluation: Evaluation, rule: str, lost: str) -> Verdict:
    """Say whether the best naive rule may score in the place of a model that `lost`."""
    found = _verdict([_chance(evaluation), *_level(evaluation)])
    told = f"the naive rule {rule} scores in its place" if found.passed else f"nor does the naive rule {rule}"
    return Verdict(found.passed, f"the model did not pass: {lost}; {told}: {found.why}", found.criteria, is_rule=True)


def _verdict(criteria: list[Criterion]) -> Verdict:
    decided = next((criterion for criterion in criteria if not criterion.passed), criteria[0])
    others = [criterion for criterion in criteria if criterion is not decided]
    why = "; ".join(criterion.told for criterion in (decided, *others))
    return Verdict(decided.passed, why, (decided, *others))


def _ranking(evaluation: Evaluation) -> Criterion:
    name = evaluation.primary
    model, naive, difference = (part[name] for part in (evaluation.model, evaluation.naive, evaluation.difference))
    told = "beats" if evaluation.beats_naive else "loses to"
    doubt = "" if difference.low > 0 or difference.high < 0 else "; the difference may be chance"
    why = (
        f"{name} {model.value:.3f} {told} the naive rule's {naive.value:.3f} on {evaluation.row_count} test rows "
        f"(difference {difference.value:+.3f}, {_interval(difference, '+.3f')}{doubt})"
    )
    return Criterion("ranking", evaluation.beats_naive, why)


def _chance(evaluation: Evaluation) -> Criterion:
    name, chance = evaluation.primary, evaluation.chance
    found = evaluation.model[name]
    passed = found.value > chance
    told = "is better than" if passed else "is no better than"
    why = f"{name} {found.value:.3f} {told} chance, {chance:g}, on {evaluation.row_count} test rows"
    return Criterion("ranking", passed, why)


def _level(evaluation: Evaluation) -> list[Criterion]:
    found = []
    for name, over in evaluation.over_base.items():
        passed = over.low <= 0
        told = "is below" if over.value < 0 else "is not surely above" if passed else "is above"
        value = evaluation.model[name].value
        why = f"{name} {value:.4f} {told} that of the base rate by {abs(over.value):.4f} ({_interval(over, '+.4f')})"
        found.append(Criterion(name, passed, why))
    ratio = evaluation.model["predicted_over_actual"]
    low, high = LEVEL
    passed = ratio.high >= low and ratio.low <= high
    told = "within" if passed else "outside"
    why = f"predicted/actual {ratio.value:.2f} ({_interval(ratio, '.2f')}) {told} {low:g} to {high:g}"
    return [*found, Criterion("predicted_over_actual", passed, why)]


def _interval(figure: Figure, shown: str) -> str:
    return f"95 % interval {figure.low:{shown}} to {figure.high:{shown}}"
