"""
Train a product: sample, split, fit, judge, register; and make it champion if the gate lets it pass.

Reads:  features.user, the product's population, marts.labels
Writes: a version in the model registry, and, once the gate has passed, the promotion log and the alias
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml import registry
from ml.model.scorer import Scorer
from ml.objectives import OBJECTIVES, pictures
from ml.training import evaluation, fitting, gate, samples
from ml.training.fitting import Refitted
from ml.training.gate import Verdict
from rekindle import records
from rekindle.errors import RekindleError
from rekindle.progress import SILENT
from rekindle.settings import settings

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.products import Product
    from ml.registry import Version
    from ml.training.fitting import Fitted
    from ml.training.samples import Sample, Split
    from rekindle.progress import Progress


@dataclass(frozen=True)
class Training:
    """What came of a training."""

    product: str
    day: date
    version: Version
    verdict: Verdict
    promoted: bool
    fitted: Fitted
    split: Split
    refitted: Refitted
    same_as: Version | None
    """The version that was there already, of the same rows."""
    why_not_promoted: str | None

    @property
    def published(self) -> str | None:
        """What scores if it is champion: a model, or the naive rule in the place of one that lost."""
        if not self.verdict.passed:
            return None
        return "naive rule" if self.verdict.is_rule else "model"

    def to_json(self) -> dict[str, Any]:
        return {
            "product": self.product,
            "day": self.day.isoformat(),
            "model": self.version.name,
            "version": self.version.version,
            "digest": self.version.digest,
            "gate": "passed" if self.verdict.passed else "failed",
            "published": self.published,
            "criteria": [vars(criterion) for criterion in self.verdict.criteria],
            "why": self.verdict.why,
            "promoted": self.promoted,
            "why_not_promoted": self.why_not_promoted,
            "same_as": None if self.same_as is None else self.same_as.version,
            "refitted": self.refitted.to_json(),
            "days": self.split.to_json(),
            **self.fitted.to_json(),
        }


def train(spark: SparkSession, product: Product, day: date, run_id: str, progress: Progress = SILENT) -> Training:
    """Train on what was known at the end of `day`. Where the model is out, the best naive rule scores in its place."""
    with progress.step("reading the sample"):
        samples.refuse_undelivered(spark, day)
        sample = samples.sample(spark, product, day, settings())
        # Of a version that comes into office, these are tagged and stay readable: see rekindle.warehouse.tags.
        records.record_snapshots(run_id, {table: read for table, read in sample.snapshots.items() if read is not None})
    split = samples.split(sample, settings())
    with progress.step("fitting and choosing"):
        fitted = fitting.fit(product, sample, split)
        fitted, verdict = _judged(product, sample, split, fitted)
    with progress.step("fitting again on all days"):
        refitted = _refitted(product, sample, split, fitted, verdict)
    with progress.step("registering"):
        record = _record(product, sample, split, fitted=fitted, verdict=verdict, refitted=refitted, run_id=run_id)
        same_as = registry.same(product, record)
        version = same_as or registry.register(product, record)
        why_not = succeeds(product, version, verdict, run_id)
    return Training(product.name, day, version, verdict, why_not is None, fitted, split, refitted, same_as, why_not)


def _refitted(product: Product, sample: Sample, split: Split, fitted: Fitted, verdict: Verdict) -> Refitted:
    """Fit what passed again, on all that is known; what did not pass scores nothing."""
    if not verdict.passed:
        return Refitted(fitted.scorer, None, "it did not pass the gate")
    return fitting.refit(product, sample, fitted.scorer, samples.refit_days(sample, split, settings()))


def _judged(product: Product, sample: Sample, split: Split, fitted: Fitted) -> tuple[Fitted, Verdict]:
    """Let the gate judge the model; where it is out, the best naive rule, which then is what was trained."""
    verdict = gate.judge(fitted.primary) if fitted.has_model else Verdict(passed=False, why=fitted.why_no_model)
    if verdict.passed or fitted.rule is None:
        return fitted, verdict
    rule = fitting.as_rule(product, sample, split, fitted)
    names = " and ".join(dict.fromkeys(forecast.candidate for forecast in rule.scorer.forecasts))
    of_rule = gate.judge_rule(rule.primary, names, verdict.why)
    return (rule, of_rule) if of_rule.passed or not fitted.has_model else (fitted, verdict)


def succeeds(product: Product, version: Version, verdict: Verdict, run_id: str) -> str | None:
    """Make a version that passed champion; say why not where it is not, or one of a later day holds the office."""
    # Of an attempt that was killed between the log and the alias.
    registry.finish_begun(product)
    champion = registry.find_champion(product)
    if champion and champion.version == version.version:
        return None
    if not verdict.passed:
        return "it did not pass the gate"
    # One that has the alias but no verdict, set by hand in MLflow, keeps nobody from office.
    if champion and champion.gate and champion.trained_day > version.trained_day:
        return (
            f"version {champion.version}, the champion, was trained as of {champion.trained_day}, a later day than "
            f"{version.trained_day}"
        )
    registry.promote(product, version.version, run_id=run_id, reason=f"gate passed: {verdict.why}")
    return None


def _record(
    product: Product,
    sample: Sample,
    split: Split,
    *,
    fitted: Fitted,
    verdict: Verdict,
    refitted: Refitted,
    run_id: str,
) -> registry.Trained:
    """Gather what the registry keeps about a training."""
    primary = fitted.primary
    told = {"model": primary.model, "naive": primary.naive, "difference": primary.difference}
    documents = pictures.drawn(OBJECTIVES[product.objective], fitted.longest)
    return registry.Trained(
        day=sample.day,
        run_id=run_id,
        scorer=refitted.scorer,
        learnt=_learnt(sample, split, refitted),
        champion=_beside_champion(product, sample, split, fitted),
        verdict=verdict,
        params={
            "day": sample.day.isoformat(),
            "rows": str(sample.rows.num_rows),
            "user_share": f"{sample.user_share:.6f}",
            "features": str(sum(len(encoder.columns) for encoder in fitted.scorer.encoders)),
            **{f"snapshot.{table}": str(snapshot) for table, snapshot in sample.snapshots.items()},
            **{f"chosen.{forecast.label}": forecast.candidate for forecast in fitted.scorer.forecasts},
            **{f"to_beat.{contest.label}": contest.rule or "chance" for contest in fitted.contests},
            **{f"train_days.{label}": str(days) for label, days in split.train.items()},
            **{f"validation_days.{label}": str(days) for label, days in split.validation.items()},
            "test_days": str(split.test),
            **{f"refitted_days.{label}": days for label, days in refitted.to_json()["days"].items()},
            **({"not_refitted": refitted.why_not} if refitted.why_not else {}),
        },
        metrics={
            f"{horizon}.{part}.{name}": figure.value
            for horizon, result in fitted.evaluations.items()
            for part in told
            for name, figure in getattr(result, part).items()
        },
        figures=fitted.to_json()["evaluations"],
        sample_digest=sample.digest,
        documents={
            **{f"pictures/{name}": text for name, text in documents.items()},
            "training.json": json.dumps(
                {"days": split.to_json(), **fitted.to_json(), "refitted": refitted.to_json()}, indent=1
            ),
        },
        tags={
            "test_days": str(split.test),
            "scores_by": "naive rule" if verdict.is_rule else "model",
            **{f"{part}.{primary.primary}": f"{figures[primary.primary].value:.6f}" for part, figures in told.items()},
        },
    )


def _learnt(sample: Sample, split: Split, refitted: Refitted) -> str:
    """Say for people on which days the figures are, and from which days what scores has learnt."""
    days = "; ".join(f"{label}: {days}" for label, days in refitted.to_json()["days"].items())
    again = f"Then the same recipe was fitted again on all days with a known label ({days}): that scores."
    judged = f"Judged on the days {split.test}, which it had not seen, with what was known at the end of {sample.day}."
    return f"{judged} {again if days else f'Not fitted again on later days: {refitted.why_not}.'}"


def _beside_champion(product: Product, sample: Sample, split: Split, fitted: Fitted) -> dict[str, Any]:
    """Judge the champion on the test rows, or say why that cannot be done."""
    champion = registry.find_champion(product)
    if champion is None:
        return {"why_not": "there was none"}
    try:
        scorer = Scorer.from_files(registry.files_of(champion))
        scorer.check_signature(sample.rows.schema)
    except RekindleError as error:
        return {"why_not": f"version {champion.version} cannot be judged on these rows. {error.what}"}
    if [forecast.label for forecast in scorer.forecasts] != [target.label for target in sample.targets]:
        return {"why_not": f"version {champion.version} predicts something else: the horizons were others"}
    its = list(fitting.judge(scorer, sample, split, [None] * len(sample.targets)).values())[-1]
    beside = {
        "this": fitted.primary.model,
        "champion": evaluation.evaluate(product.objective, its).model,
        # The champion in the place of the naive rule: both are judged within each draw of users.
        "difference": evaluation.evaluate(product.objective, replace(fitted.longest, naive=its.raw)).difference,
    }
    return {
        "version": champion.version,
        "trained_day": champion.trained_day.isoformat(),
        "may_have_seen": champion.trained_day >= split.test.first,
        **{name: {key: vars(figure) for key, figure in figures.items()} for name, figures in beside.items()},
    }
