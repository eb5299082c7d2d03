"""
Whether another calibration of the same raw scores may score, and whether the level of a champion still holds.

A business that fades or grows leaves the level of its champion behind long before the order of its users changes, and a level
needs no training: two parameters, or one, are fitted to labels that have become known since, and judged on later ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml.training.gate import paired
from ml.training.gate.level import RATIO, interval, level
from ml.training.gate.verdict import Criterion, Verdict

if TYPE_CHECKING:
    from ml.objectives import Figures
    from ml.training.evaluation import Evaluation
    from ml.training.gate.criteria import Criteria
    from ml.training.gate.paired import Pair

HOLDS, CLOSER, SAME = "level_holds", "closer", "same_scores"


def holds(evaluation: Evaluation, about: str, criteria: Criteria) -> Criterion:
    """Ask whether a champion's predictions add up to what came true since; it is off where it is by more than chance and much."""
    low, high = criteria.announced_over_actual
    ratio = evaluation.model[RATIO]
    is_off = not low <= ratio.value <= high and not ratio.low <= 1 <= ratio.high
    told = "is off" if is_off else "holds"
    why = f"the champion's level {told} on {about}: predicted/actual {ratio.value:.2f} ({interval(ratio, '.2f')})"
    return Criterion.of(HOLDS, why, passed=not is_off, figure=ratio, threshold=low if ratio.value < 1 else high)


def judge_recalibration(figures: Figures, evaluation: Evaluation, pair: Pair, criteria: Criteria) -> Verdict:
    """
    Let in another calibration where it is nearer to what came true, beyond chance, and its level holds.

    Both of `pair` are judged on days that neither was fitted on; `raw` is what they say before any calibration.
    """
    common = [_same_scores(pair), *level(evaluation, criteria)]
    return Verdict.of([_closer(figures, pair, criteria), *common], "recalibration")


def about(verdict: Verdict, label: str) -> Verdict:
    """Say of each criterion which target it is about: a version may have several."""
    told = tuple(replace(one, told=f"{label}: {one.told}") for one in verdict.criteria)
    return replace(verdict, criteria=told, why="; ".join(one.told for one in told))


def _closer(figures: Figures, pair: Pair, criteria: Criteria) -> Criterion:
    found = paired.calibration(figures, pair, criteria.resamples)
    new = f"{paired.calibrated_by(figures)} of the new calibration"
    later = f" on {len(pair.champion.outcome)} rows of later days"
    return paired.better(CLOSER, found, criteria, of=new, than="the champion's", on=later)


def _same_scores(pair: Pair) -> Criterion:
    passed = paired.says_the_same(pair)
    return Criterion(SAME, passed, f"the raw scores are {'the same' if passed else 'others'}")
