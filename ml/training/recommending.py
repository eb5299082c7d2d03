"""
Train recommendations: choose by cuts of the training part, judge on the last days, register, and make champion what passes.

Reads:  features.user_item_day, raw.users, raw.items, raw.blocked_items
Writes: a version in the model registry, and, once the gate has passed, the promotion log and the alias

Judged are, on the same users: what has been learnt; where that does not win, the retriever that alone was best for validation
users; and where that does not win either, the naive rule takes the place, and all that it shows is called a fallback.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import behaviour, registry
from ml.products import RECOMMENDATION
from ml.recommendation.evaluation import DEPTH, PLACES, figures_of
from ml.recommendation.metrics import mean_figure, ndcg
from ml.recommendation.recipe import Recipe
from ml.recommendation.recommender import MIN_USERS, POPULARITY, learn, relearn, relevant_to
from ml.recommendation.retrievers import RETRIEVERS
from ml.recommendation.splits import ByTime
from ml.training import gate
from ml.training.evaluation import counts
from ml.training.gate.paired import Difference, better
from ml.training.gate.verdict import Criterion, Verdict
from ml.training.trainer import succeeds, waits
from rekindle import records
from rekindle.errors import CheckFailedError, InputError
from rekindle.progress import SILENT
from rekindle.report.recommendation_card import render
from rekindle.settings import settings
from rekindle.warehouse.tables import snapshot_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.recommendation import Known
    from ml.recommendation.recommender import Recommender
    from ml.recommendation.retrievers import Retriever
    from ml.registry import Version
    from ml.training.evaluation import Figure
    from ml.training.gate import Criteria
    from rekindle.progress import Progress

FIGURE = f"ndcg_{PLACES}"
ANSWER = "answer"
"""What users get, among what is judged."""


@dataclass(frozen=True)
class Judged:
    """What scores if it passes, what the gate said of it, and how good all that was tried is on the same users."""

    recipe: Recipe
    verdict: Verdict
    figures: Mapping[str, Mapping[str, Figure]]
    """Of each retriever, `merged`, `ranked` and `answer`: its figures, of users who had done something before."""
    difference: Figure
    """Of the answer minus popularity."""
    users: int
    pairs: int
    """So many pairs of a user and an item came true."""
    item_count: int
    fallback_of_all: Figure
    """Share of what all users of the test days are shown that is filled up."""
    learnt: Recommender
    beside: Mapping[str, Any]
    """The champion's recipe on the same users, or why there is none."""

    @property
    def told(self) -> dict[str, Any]:
        """For programs, and for the card."""
        chosen = self.learnt.chosen
        return {
            "users": self.users,
            "pairs": self.pairs,
            "items": self.item_count,
            "figures": {by: _plain(figures) for by, figures in self.figures.items()},
            "fallback_of_all": vars(self.fallback_of_all),
            "retrievers": {name: dict(values) for name, values in chosen.hyper.items()},
            "weights": dict(chosen.merging.weights),
            "constant": chosen.merging.constant,
            "best_single": chosen.single,
            "ranker": chosen.verdict.says,
            "validation_users": chosen.validation_users,
            "refused": dict(self.learnt.refused),
            "rules": list(map(str, self.learnt.filtering.states)),
        }


@dataclass(frozen=True)
class Training:
    """What came of a training."""

    day: date
    version: Version
    verdict: Verdict
    judged: Judged
    same_as: Version | None
    why_not_promoted: str | None

    @property
    def promoted(self) -> bool:
        return self.why_not_promoted is None

    @property
    def waits(self) -> bool:
        """Whether it passed, and a person has to say whether it is used."""
        return waits(self.why_not_promoted)

    def to_json(self) -> dict[str, Any]:
        return {
            "product": RECOMMENDATION.name,
            "day": self.day.isoformat(),
            "model": self.version.name,
            "version": self.version.version,
            "digest": self.version.digest,
            "gate": "passed" if self.verdict.passed else "failed",
            "route": self.verdict.route,
            "is_rule": self.verdict.is_rule,
            "why": self.verdict.why,
            "criteria": [criterion.to_json() for criterion in self.verdict.criteria],
            "promoted": self.promoted,
            "why_not_promoted": self.why_not_promoted,
            "same_as": self.same_as and self.same_as.version,
            **self.judged.told,
        }


def train(spark: SparkSession, day: date, run_id: str, progress: Progress = SILENT) -> Training:
    """Train on what was known at the end of `day`."""
    conf, test_days = settings(), RECOMMENDATION.test_days
    with progress.step("reading what users did"):
        snapshots = {name: at for name in behaviour.TABLES if (at := snapshot_id(spark, name)) is not None}
        records.record_snapshots(run_id, snapshots)
        found = behaviour.read(spark, day, conf, items_until=day - timedelta(test_days))
    split = ByTime(behaviour.day_number(day) - test_days + 1, float(test_days))
    in_office, why_none = _champion()
    with progress.step("choosing and judging"):
        judged = judge(
            *(found.known, split, gate.criteria()),
            leaves_out_seen=not conf.recommend_again,
            retrievers=RETRIEVERS if conf.recommend_search else without_search(RETRIEVERS),
            champion=in_office,
            why_no_champion=why_none,
        )
    with progress.step("registering"):
        record = _record(day, run_id, judged, found.digest, snapshots)
        same_as = registry.same(RECOMMENDATION, record)
        version = same_as or registry.register(RECOMMENDATION, record)
        why_not = succeeds(RECOMMENDATION, version, judged.verdict, run_id)
    return Training(day, version, judged.verdict, judged, same_as, why_not)


def without_search(retrievers: Mapping[str, Retriever]) -> dict[str, Retriever]:
    """Return retrievers each of whose settings has one value: the first."""
    return {
        name: replace(one, hyper={setting: values[:1] for setting, values in one.hyper.items()})
        for name, one in retrievers.items()
    }


def judge(
    known: Known,
    split: ByTime,
    criteria: Criteria,
    *,
    leaves_out_seen: bool,
    retrievers: Mapping[str, Retriever] = RETRIEVERS,
    champion: Recipe | None = None,
    why_no_champion: str = "there was none",
) -> Judged:
    """
    Learn before the test days, and judge on them, on users who had done something before.

    Raises CheckFailedError `too_few_rows` where they are too few to tell anything.
    """
    train_rows, test_rows = split.cut(known.interactions)
    before = known.take(train_rows)
    learnt = learn(before, split.inside(), leaves_out_seen=leaves_out_seen, retrievers=retrievers)
    all_users, all_relevant = relevant_to(learnt.filtering, known.take(test_rows))
    is_known = before.interactions.counts[all_users] > 0
    users, relevant = all_users[is_known], all_relevant[is_known]
    if len(users) < MIN_USERS:
        raise CheckFailedError(
            f"Of the {split.days:g} last days, {len(users)} users who had done something before had an item that could have "
            f"been recommended: of fewer than {MIN_USERS} nothing can be said.",
            todo="Train as of a later day, or deliver more history, with item_id on orders or events.",
            safe="Nothing was registered; the champion stays as it was.",
            code="too_few_rows",
        )
    stages = learnt.stages(users, DEPTH)
    worth = {by: np.nan_to_num(ndcg(found.items, relevant, PLACES)) for by, found in stages.items()}
    others = {} if champion is None else {"champion": _worth_of(champion, before, users, relevant, leaves_out_seen)}
    recipe, verdict = _decided(
        learnt, worth | others, criteria, is_rule_in_office=champion is not None and champion.is_rule
    )
    return Judged(
        recipe,
        verdict if champion or why_no_champion == NONE_YET else verdict.beside_unreadable(why_no_champion),
        {by: figures_of(found, relevant, before) for by, found in stages.items()},
        mean_figure(worth[ANSWER] - worth[POPULARITY]),
        len(users),
        int(relevant.nnz),
        len(known.items.ids),
        figures_of(learnt.stages(all_users, PLACES)[ANSWER], all_relevant, before)[f"fallback_{PLACES}"],
        learnt,
        _beside(worth | others, why_no_champion),
    )


NONE_YET = "there was none"


def _worth_of(recipe: Recipe, before: Known, users: np.ndarray, relevant: Any, leaves_out_seen: bool) -> np.ndarray:
    """The champion's recipe, learnt from the same rows, on the same users."""
    learnt = relearn(before, recipe.chosen, leaves_out_seen=leaves_out_seen)
    return np.nan_to_num(ndcg(learnt.answer(users, PLACES).items, relevant, PLACES))


def _decided(
    learnt: Recommender, worth: Mapping[str, np.ndarray], criteria: Criteria, *, is_rule_in_office: bool
) -> tuple[Recipe, Verdict]:
    """
    Say what is used: all of it, the best retriever alone, or the naive rule.

    Where a model is in office it goes on unless the new one is surely better: its retrievers learn anew each day anyway.
    """
    chosen = learnt.chosen
    single = chosen.single

    def beats(name: str, of: str, by: str, other: str, than: str) -> Criterion:
        return better(name, _difference(worth[by], worth[other], criteria.resamples), criteria, of=of, than=than)

    popular = "what was popular in the last 30 days"
    of_all = [
        beats(POPULARITY, "what was learnt", ANSWER, POPULARITY, popular),
        beats("single", "what was learnt", ANSWER, single, f"the best retriever alone, {single}"),
    ]
    is_model_in_office = "champion" in worth and not is_rule_in_office
    if is_model_in_office:
        of_all.append(
            beats("champion", "what was learnt", ANSWER, "champion", "the champion's recipe on the same rows")
        )
    verdict = Verdict.of(of_all, "better" if is_model_in_office else "first")
    if verdict.passed or is_model_in_office:
        return Recipe(chosen), verdict
    lost = f"what was learnt lost: {verdict.why}"
    alone = beats(POPULARITY, f"{single} alone", single, POPULARITY, popular)
    if single != POPULARITY and alone.passed:
        return Recipe(chosen.alone(single)), Verdict.of([alone], "simpler").beside(*of_all).after(lost)
    takes_place = Criterion("rule", passed=True, told="popularity of the last 30 days takes its place, as a fallback")
    rule = Verdict.of([takes_place], "rule").beside(*of_all, alone).after(lost)
    return Recipe(chosen.alone(POPULARITY), is_rule=True), rule


def _difference(one: np.ndarray, other: np.ndarray, rounds: int) -> Difference:
    """By how much one is better on the mean of users, and in draws of them with replacement."""
    found = one - other
    drawn = [float(np.average(found, weights=times)) for times in counts(np.arange(len(found)), rounds)]
    return Difference(float(found.mean()), np.array(drawn))


def _champion() -> tuple[Recipe | None, str]:
    """The recipe in office, or why there is none to compare with."""
    in_office = registry.find_champion(RECOMMENDATION)
    if in_office is None:
        return None, NONE_YET
    try:
        return Recipe.from_files(registry.files_of(in_office)), NONE_YET
    except InputError as error:
        return None, f"the champion cannot be read: {error.what}"


def _beside(worth: Mapping[str, np.ndarray], why_none: str) -> Mapping[str, Any]:
    if "champion" not in worth:
        return {"why_not": why_none}
    told = {"this": worth[ANSWER], "champion": worth["champion"], "difference": worth[ANSWER] - worth["champion"]}
    return {
        "version": "in office",
        "about": "That is the recipe in office, learnt from the same training rows and judged on the same users.",
        **{name: _plain({FIGURE: mean_figure(values)}) for name, values in told.items()},
    }


def _record(day: date, run_id: str, judged: Judged, digest: str, snapshots: Mapping[str, int]) -> registry.Trained:
    """Gather what the registry keeps about a training."""
    told, test_days = judged.told, RECOMMENDATION.test_days
    evaluation = {
        "rows": judged.users * judged.item_count,
        "users": judged.users,
        "rate": judged.pairs / max(judged.users * judged.item_count, 1),
        "model": told["figures"][ANSWER],
        "naive": told["figures"][POPULARITY],
        "difference": _plain({FIGURE: judged.difference}),
    }
    learnt = (
        f"Learnt from what was known {test_days} days before {day}, and judged on these days, on users who had done something "
        "before. A row is a user and an item. What is registered is the recipe: each day its retrievers learn from all that is "
        "known then."
    )
    card = {
        "title": RECOMMENDATION.title,
        "day": day.isoformat(),
        "use": list(RECOMMENDATION.use),
        "limits": list(RECOMMENDATION.limits),
        "test_days": test_days,
        "says": {name: one.says for name, one in RETRIEVERS.items()},
        "gate": judged.verdict.why,
        **told,
    }
    return registry.Trained(
        day=day,
        run_id=run_id,
        scorer=judged.recipe,
        learnt=learnt,
        champion=judged.beside,
        last_label_day=day,
        verdict=judged.verdict,
        params={
            "day": day.isoformat(),
            "test_days": str(test_days),
            "items": str(judged.item_count),
            "best_single": judged.learnt.chosen.single,
            "weights": json.dumps(told["weights"]),
            "ranker": told["ranker"],
            "rules": "; ".join(told["rules"]),
            "route": str(judged.verdict.route),
            **{f"snapshot.{table}": str(at) for table, at in snapshots.items()},
            **{f"refused.{name}": why for name, why in told["refused"].items()},
        },
        metrics={
            f"{by}.{name}": figure.value
            for by, figures in judged.figures.items()
            for name, figure in figures.items()
            if np.isfinite(figure.value)
        },
        figures={f"1_{test_days}": evaluation},
        sample_digest=digest,
        documents={
            "training.json": json.dumps(told, indent=1),
            "card.json": json.dumps(card, indent=1),
            "card.html": render(card, passed=judged.verdict.passed and not judged.verdict.is_rule),
        },
        tags={
            "scores_by": "naive rule" if judged.verdict.is_rule else "model",
            f"model.{FIGURE}": f"{judged.figures[ANSWER][FIGURE].value:.6f}",
            f"naive.{FIGURE}": f"{judged.figures[POPULARITY][FIGURE].value:.6f}",
        },
    )


def _plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, float]]:
    return {name: vars(figure).copy() for name, figure in figures.items() if np.isfinite(figure.value)}
