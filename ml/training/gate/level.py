"""
What is asked of whatever is to score: that it ranks, and that its level holds.

The ranking against the naive rule is decided by the value, not by the interval of the difference: a deployment with a few
hundred users would never get a model past it, and a model that is truly no better than the rule does no more harm than the
rule. The level is decided by the interval: rare outcomes make it move by chance, so a model is out when it is off beyond doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.training.gate.verdict import Criterion

if TYPE_CHECKING:
    from ml.training.evaluation import Evaluation, Figure
    from ml.training.gate.criteria import Criteria

RANKING, RATIO = "ranking", "predicted_over_actual"


def ranks(evaluation: Evaluation) -> Criterion:
    """Ask whether it ranks better than the best naive rule."""
    name = evaluation.primary
    model, naive, difference = (part[name] for part in (evaluation.model, evaluation.naive, evaluation.difference))
    told = "beats" if evaluation.beats_naive else "loses to"
    doubt = "" if difference.low > 0 or difference.high < 0 else "; the difference may be chance"
    why = (
        f"{name} {model.value:.3f} {told} the naive rule's {naive.value:.3f} on {evaluation.row_count} test rows "
        f"(difference {difference.value:+.3f}, {interval(difference, '+.3f')}{doubt})"
    )
    return Criterion.of(RANKING, why, passed=evaluation.beats_naive, figure=difference, threshold=0.0)


def ranks_at_all(evaluation: Evaluation) -> Criterion:
    """Ask whether a naive rule, which need not beat itself, ranks better than lots do."""
    name, chance = evaluation.primary, evaluation.chance
    found = evaluation.model[name]
    passed = found.value > chance
    told = "is better than" if passed else "is no better than"
    why = f"{name} {found.value:.3f} {told} chance, {chance:g}, on {evaluation.row_count} test rows"
    return Criterion.of(RANKING, why, passed=passed, figure=found, threshold=chance)


def level(evaluation: Evaluation, criteria: Criteria) -> list[Criterion]:
    """Ask whether predictions say more than the base rate does, and whether they add up to about what came true."""
    return [*_over_base(evaluation), _ratio(evaluation, *criteria.predicted_over_actual)]


def of_level(evaluation: Evaluation) -> tuple[str, ...]:
    """Name the criteria of `level`."""
    return (*evaluation.over_base, RATIO)


def _over_base(evaluation: Evaluation) -> list[Criterion]:
    found = []
    for name, over in evaluation.over_base.items():
        passed = over.low <= 0
        told = "is below" if over.value < 0 else "is not surely above" if passed else "is above"
        value = evaluation.model[name].value
        why = f"{name} {value:.4f} {told} that of the base rate by {abs(over.value):.4f} ({interval(over, '+.4f')})"
        found.append(Criterion.of(name, why, passed=passed, figure=over, threshold=0.0))
    return found


def _ratio(evaluation: Evaluation, low: float, high: float) -> Criterion:
    ratio = evaluation.model[RATIO]
    passed = ratio.high >= low and ratio.low <= high
    told = "within" if passed else "outside"
    why = f"predicted/actual {ratio.value:.2f} ({interval(ratio, '.2f')}) {told} {low:g} to {high:g}"
    return Criterion.of(RATIO, why, passed=passed, figure=ratio, threshold=low if ratio.value < 1 else high)


def interval(figure: Figure, shown: str) -> str:
    return f"95 % interval {figure.low:{shown}} to {figure.high:{shown}}"
