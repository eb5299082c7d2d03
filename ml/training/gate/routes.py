"""
The routes by which a version comes through the gate; what is asked on each, in words and numbers.

Judged are recipes, not artifacts: the challenger's and the champion's are fitted on the same training days, before the same test
days, so neither has seen them and neither is older. Where no model is in office (none yet, or a naive rule), a model has to beat
the best naive rule, as `level` says. Where one is, another recipe has to be better beyond chance, or simpler and not worse; the
same recipe on newer days only has to be not worse. Where no candidate beats the best naive rule, that stands for it: it need not
beat itself, but a ranking by lot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.objectives import OBJECTIVES
from ml.training.gate import paired, segments
from ml.training.gate.criteria import Criteria, value_for
from ml.training.gate.criteria import criteria as of_file
from ml.training.gate.level import interval, level, ranks, ranks_at_all
from ml.training.gate.verdict import Criterion, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from ml.objectives import Figures
    from ml.training.evaluation import Evaluation
    from ml.training.gate.paired import Pair

BETTER, NON_INFERIOR = "better", "non_inferior"


def judge(evaluation: Evaluation, criteria: Criteria | None = None) -> Verdict:
    """Let in the first model where it beats the best naive rule on the same rows, and its level holds."""
    return Verdict.of([ranks(evaluation), *level(evaluation, criteria or of_file())], "first")


def judge_rule(evaluation: Evaluation, rule: str, lost: str, criteria: Criteria | None = None) -> Verdict:
    """Say whether the best naive rule may score in the place of a model that `lost`."""
    found = Verdict.of([ranks_at_all(evaluation), *level(evaluation, criteria or of_file())], "rule")
    told = f"the naive rule {rule} scores in its place" if found.passed else f"nor does the naive rule {rule}"
    return found.after(f"the model did not pass: {lost}; {told}")


@dataclass(frozen=True)
class Challenge:
    """A challenger beside the recipe of the champion, which is a model."""

    objective: str
    pair: Pair
    is_same_recipe: bool
    """Whether both are of the same learners and share of the history: then it is newer days that are judged."""
    is_simpler: bool
    segments: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The segment of each row, by dimension."""

    @property
    def figures(self) -> Figures:
        return OBJECTIVES[self.objective].figures


def judge_challenger(evaluation: Evaluation, challenge: Challenge, criteria: Criteria | None = None) -> Verdict:
    """Let in what is better than the champion's recipe, simpler and not worse, or the same and not worse."""
    asked = criteria or of_file()
    common = [ranks(evaluation), *level(evaluation, asked)]
    holds = all(criterion.passed for criterion in common)
    common.append(segments.no_worse(challenge.figures, challenge.pair, challenge.segments, asked))
    if challenge.is_same_recipe:
        return Verdict.of([non_inferior(challenge, asked, is_refresh=True, holds=holds), *common], "refresh")
    better = is_better(challenge, asked)
    if better.passed or not challenge.is_simpler:
        return Verdict.of([better, *common], "better")
    return Verdict.of([non_inferior(challenge, asked), *common], "simpler").beside(better)


def is_better(challenge: Challenge, criteria: Criteria) -> Criterion:
    """Ask whether a challenger is better than the champion's recipe beyond chance, one-sided."""
    figures = challenge.figures
    found = paired.deciding(figures, challenge.pair, criteria.resamples)
    return paired.better(BETTER, found, criteria, of=paired.decided_by(figures), than="the champion's recipe")


def non_inferior(
    challenge: Challenge, criteria: Criteria, *, is_refresh: bool = False, holds: bool = False
) -> Criterion:
    """
    Ask whether a challenger ranks worse than the champion's recipe by no more than the margin.

    With too few rows the interval is wider than any margin: a refresh whose level `holds` then goes by the value, for the
    alternative is a champion that has learnt from older days only.
    """
    figures = challenge.figures
    margin = value_for(figures.primary, criteria.margin, "margin")
    found = paired.ranking(figures, challenge.pair, criteria.resamples).figure()
    is_told = not found.high - found.low > criteria.wide_times * margin
    passed, doubt = found.low >= -margin, ""
    if is_refresh and not is_told:
        passed, doubt = found.value >= -margin and holds, "; too few rows to tell"
    told = "is not worse" if passed else "may be worse"
    why = (
        f"{figures.primary} {told} than that of the champion's recipe by more than {margin:g} "
        f"(difference {found.value:+.4f}, {interval(found, '+.4f')}{doubt})"
    )
    return Criterion.of(NON_INFERIOR, why, passed=passed, figure=found, threshold=-margin)
