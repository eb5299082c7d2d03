"""
The champion as who is to be beaten: its recipe, fitted on the training days of the challenger and judged on the same rows.

As it stands it has learnt from other days, perhaps from the test days: beside it, a challenger would be judged for its days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ml import registry
from ml.model.learners import LEARNERS, why_not_hyper
from ml.model.scorer import Scorer
from ml.training import evaluation, fitting
from ml.training.memory import Memory
from rekindle.errors import RekindleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.products import Product
    from ml.registry import Version
    from ml.training.evaluation import Evaluation, Judged
    from ml.training.fitting import Fitted
    from ml.training.samples import Sample, Split


@dataclass(frozen=True)
class Incumbent:
    """A champion, and what became of its recipe on the split of a training."""

    version: Version
    scorer: Scorer | None
    """Its recipe, fitted on the training days; None where that cannot be done."""
    judged: Judged | None
    """On the test rows, of the longest horizon."""
    is_rule: bool
    why_not: str = ""
    stored: Scorer | None = None
    """The champion as it stands; None where it cannot be read."""

    @property
    def is_unreadable(self) -> bool:
        """Whether a gate let it pass and it cannot be read now: an alias without a verdict, set by hand, is nobody's."""
        return self.stored is None and self.version.gate is not None

    @property
    def model(self) -> Scorer | None:
        """The recipe where it is a model's: a naive rule in office keeps no model out."""
        return None if self.is_rule else self.scorer


def find(product: Product, sample: Sample, split: Split, fitted: Fitted) -> Incumbent | None:
    """Fit the recipe of a product's champion like the challenger; None where nobody is in office."""
    champion = registry.find_champion(product)
    if champion is None:
        return None
    try:
        stored = Scorer.from_files(registry.files_of(champion))
    except RekindleError as error:
        return Incumbent(champion, None, None, is_rule=False, why_not=error.what)
    rules = {rule.name for target in sample.targets for rule in target.rules}
    is_rule = set(made_by(stored)) <= rules
    scorer, why = None, why_not_again(stored, sample, rules)
    if not why and (scorer := fitting.fit_recipe(product, sample, split, stored)) is None:
        why = "on the training days it ranks the wrong way round"
    judged = list(fitting.judge(scorer, sample, split, fitted.to_beat).values())[-1] if scorer else None
    return Incumbent(champion, scorer, judged, is_rule=is_rule, why_not=why, stored=stored)


def made_by(scorer: Scorer) -> tuple[str, ...]:
    """Name the candidate, or naive rule, behind each target of a model."""
    return tuple(forecast.candidate for forecast in scorer.forecasts)


class Recipe(NamedTuple):
    """How one target is learnt."""

    candidate: str
    memory: Memory
    handover_days: int | None
    hyper: tuple[tuple[str, float], ...]


def recipe_of(scorer: Scorer) -> tuple[Recipe, ...]:
    """
    Say of each target which candidate learns it, from how much of the past, how it begins and with what hyper-parameters.

    How many trees there are, how raw scores are bent into predictions, and how their level follows the year, is found anew by the
    validation days: another number is the same recipe on newer days. The rest are choices: who makes another has to be better,
    not only no worse.
    """
    return tuple(
        Recipe(one.candidate, Memory.of(one), one.handover_days, tuple(sorted(one.hyper.items())))
        for one in scorer.forecasts
    )


def complexity(candidates: Sequence[str], scorer: Scorer) -> tuple[int, ...]:
    """Say how complex a recipe is, by target: products list candidates from the simplest on, and a rule is simpler still."""
    found = []
    for forecast in scorer.forecasts:
        is_rule = forecast.candidate not in LEARNERS
        place = candidates.index(forecast.candidate) if forecast.candidate in candidates else len(candidates)
        found.append(-1 if is_rule else place)
    return tuple(found)


def beside(objective: str, found: Incumbent | None, challenger: Judged, figures: Evaluation) -> dict[str, Any]:
    """Lay out both for people: figures on the same rows and their differences, or why there are none."""
    if found is None:
        return {"why_not": "there was none"}
    if found.judged is None:
        return {
            "why_not": f"the recipe of version {found.version.version} cannot be judged on these rows. {found.why_not}"
        }
    # The champion in the place of the naive rule: both are judged within each draw of users.
    against = evaluation.Judged(**{**vars(challenger), "naive": found.judged.raw})
    told = {
        "this": figures.model,
        "champion": evaluation.evaluate(objective, found.judged).model,
        "difference": evaluation.evaluate(objective, against).difference,
    }
    return {
        "version": found.version.version,
        "trained_day": found.version.trained_day.isoformat(),
        **{name: {key: vars(figure) for key, figure in some.items()} for name, some in told.items()},
    }


def why_not_again(stored: Scorer, sample: Sample, rules: set[str]) -> str:
    """Say why a recipe cannot be fitted here; empty where it can."""
    if [forecast.label for forecast in stored.forecasts] != [target.label for target in sample.targets]:
        return "It predicts something else: the horizons were others"
    gone = sorted({*made_by(stored)} - rules - LEARNERS.keys())
    if gone:
        return f"No learner {' or '.join(gone)} is here any more"
    others = (why_not_hyper(one.candidate, one.hyper) for one in stored.forecasts if one.hyper)
    return next((why for why in others if why), "")
