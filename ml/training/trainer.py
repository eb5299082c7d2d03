"""
Train a product: sample, split, fit, judge, register; and make it champion if the gate lets it pass.

Reads:  features.user, the product's population, marts.labels, and campaigns.assignment where campaigns teach an uplift
Writes: a version in the model registry, and, once the gate has passed, the promotion log and the alias
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml import registry
from ml.model import protected
from ml.model.protected import Protected
from ml.objectives import OBJECTIVES, pictures
from ml.training import admission, card, effect, fitting, gate, incumbent, leak_screen, outlooks, samples, tuned
from ml.training.fitting import Refitted
from ml.training.gate import Criterion
from ml.training.memory import Memory
from rekindle import records
from rekindle.progress import SILENT
from rekindle.report.card import CARD, render
from rekindle.settings import settings

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.products import Product, Registered
    from ml.registry import Version
    from ml.training.effect import Taught
    from ml.training.fitting import Fitted
    from ml.training.gate import Verdict
    from ml.training.samples import Sample, Split
    from rekindle.progress import Progress


MANUAL = "promotion is manual"


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
    kept_out: tuple[str, ...] = ()
    """Features of the sample that no model may read."""
    taught: Taught | None = None
    """What campaigns have taught; None of a product without an uplift, and of what did not pass."""

    @property
    def published(self) -> str | None:
        """What scores if it is champion: a model, or the naive rule in the place of one that lost."""
        if not self.verdict.passed:
            return None
        return "naive rule" if self.verdict.is_rule else "model"

    @property
    def waits(self) -> bool:
        """Whether it passed, and a person has to say whether it scores."""
        return waits(self.why_not_promoted)

    @property
    def last_label_day(self) -> date:
        """The last day whose label what scores has learnt, or is calibrated by."""
        return _last_label_day(self.split, self.refitted)

    def to_json(self) -> dict[str, Any]:
        return {
            "product": self.product,
            "day": self.day.isoformat(),
            "model": self.version.name,
            "version": self.version.version,
            "digest": self.version.digest,
            "gate": "passed" if self.verdict.passed else "failed",
            "published": self.published,
            "route": self.verdict.route,
            "criteria": [criterion.to_json() for criterion in self.verdict.criteria],
            "last_label_day": self.last_label_day.isoformat(),
            "last_label_age_days": (self.day - self.last_label_day).days,
            "why": self.verdict.why,
            "promoted": self.promoted,
            "why_not_promoted": self.why_not_promoted,
            "same_as": None if self.same_as is None else self.same_as.version,
            "refitted": self.refitted.to_json(),
            **({"uplift": self.taught.to_json()} if self.taught else {}),
            "kept_out": list(self.kept_out),
            "days": self.split.to_json(),
            **self.fitted.to_json(),
        }


def train(spark: SparkSession, product: Product, day: date, run_id: str, progress: Progress = SILENT) -> Training:
    """Train on what was known at the end of `day`. Where the model is out, the best naive rule scores in its place."""
    hyper = tuned.of_product(product)
    with progress.step("reading the sample"):
        samples.refuse_undelivered(spark, day)
        sample = samples.sample(spark, product, day, settings())
        # Of a version that comes into office, these are tagged and stay readable: see rekindle.warehouse.tags.
        records.record_snapshots(run_id, {table: read for table, read in sample.snapshots.items() if read is not None})
    split = samples.split(sample, settings())
    sample = fitting.settled(product, sample, split)
    with progress.step("fitting and choosing"):
        fitted = fitting.fit(product, sample, split, hyper)
        champion = incumbent.find(product, sample, split, fitted)
        screened = leak_screen.screen(
            *(product, sample, split, fitted, champion), asked=gate.criteria(), settings=settings()
        )
        fitted, verdict = admission.judged(product, sample, split, fitted, champion)
        verdict = verdict.unless(*screened).beside(*_about_messages(sample))
    with progress.step("fitting again on all days"):
        refitted, verdict = _refitted(product, sample, split, fitted, verdict)
    taught = None
    if product.has_uplift and verdict.passed:
        with progress.step("learning from campaigns whom a message moves"):
            taught = _taught(spark, product, sample, run_id)
        refitted = replace(refitted, scorer=replace(refitted.scorer, uplift=taught.uplift))
    with progress.step("registering"):
        beside = incumbent.beside(product.objective, champion, fitted.longest, fitted.primary)
        record = _record(
            *(product, sample, split), fitted=fitted, verdict=verdict, refitted=refitted, run_id=run_id, beside=beside
        )
        record = replace(record, **_of_campaigns(record, taught)) if taught else record
        version = same_as = registry.same(product, record)
        if version is None:
            tested = card.Tested.of(sample, split, fitted)
            found = card.card(product, sample, tested, scorer=refitted.scorer, champion=champion, settings=settings())
            record = replace(record, documents={**record.documents, **card_documents(found, verdict)})
            version = registry.register(product, record)
        why_not = succeeds(product, version, verdict, run_id)
    promoted = why_not is None
    return Training(
        *(product.name, day, version, verdict, promoted, fitted, split, refitted, same_as, why_not),
        *(sample.kept_out, taught),
    )


def _about_messages(sample: Sample) -> tuple[Criterion, ...]:
    """Keep beside what decided whether it was judged on users who were sent no message, or could not be."""
    return (Criterion("messages", passed=True, told=sample.about_messages),) if sample.about_messages else ()


def _refitted(
    product: Product, sample: Sample, split: Split, fitted: Fitted, verdict: Verdict
) -> tuple[Refitted, Verdict]:
    """Fit what passed again, on all that is known; what did not pass scores nothing."""
    if not verdict.passed:
        return Refitted(fitted.scorer, None, "it did not pass the gate"), verdict
    again = fitting.refit(product, sample, fitted.scorer, samples.refit_days(sample, split, settings()))
    admitted, criteria = admission.as_judged(product, sample, split, fitted, again)
    scorer = outlooks.for_scoring(product, sample, split, admitted.scorer, fitted.scorer)
    return replace(admitted, scorer=scorer), verdict.beside(*criteria)


def _taught(spark: SparkSession, product: Product, sample: Sample, run_id: str) -> Taught:
    """Learn from campaigns what a message changes, by what the sample knew."""
    assigned = effect.read(spark, product, sample)
    if assigned.snapshot is not None:
        records.record_snapshots(run_id, {effect.ASSIGNMENT: assigned.snapshot})
    return effect.taught(assigned, Protected.of(settings()))


def _of_campaigns(record: registry.Trained, taught: Taught) -> dict[str, Any]:
    """Add to what the registry keeps what campaigns have taught, for people and for programs."""
    return {
        "params": {**record.params, f"snapshot.{effect.ASSIGNMENT}": str(taught.snapshot), "uplift": taught.told},
        "documents": {**record.documents, "uplift.json": json.dumps(taught.to_json(), indent=1)},
        "learnt": f"{record.learnt} {taught.told}",
    }


def succeeds(product: Registered, version: Version, verdict: Verdict, run_id: str) -> str | None:
    """Make a version that passed champion; say why not where it is not, one of a later day is, or a person has to say so."""
    if not verdict.passed:
        return "it did not pass the gate"
    is_unreadable = verdict.route == gate.UNREADABLE
    where = " where the champion cannot be read" if is_unreadable else ""
    by_hand = f"{MANUAL}{where}: it waits for `rekindle promote {product.name} {version.version}`"
    return registry.succeed(
        product,
        version,
        run_id=run_id,
        reason=f"gate passed: {verdict.why}",
        unless=by_hand if is_unreadable or settings().promotion == "manual" else None,
    )


def waits(why_not_promoted: str | None) -> bool:
    """Whether this is why a version was not promoted: a person has to say so."""
    return why_not_promoted is not None and why_not_promoted.startswith(MANUAL)


def _record(
    product: Product,
    sample: Sample,
    split: Split,
    *,
    fitted: Fitted,
    verdict: Verdict,
    refitted: Refitted,
    run_id: str,
    beside: dict[str, Any],
) -> registry.Trained:
    """Gather what the registry keeps about a training."""
    primary = fitted.primary
    told = {"model": primary.model, "naive": primary.naive, "difference": primary.difference}
    documents = pictures.drawn(OBJECTIVES[product.objective], fitted.longest)
    last_label_day = _last_label_day(split, refitted)
    return registry.Trained(
        day=sample.day,
        run_id=run_id,
        scorer=refitted.scorer,
        learnt=_learnt(sample, split, refitted),
        champion=beside,
        judged=fitted.scorer,
        last_label_day=last_label_day,
        verdict=verdict,
        params={
            "day": sample.day.isoformat(),
            "rows": str(sample.whole.rows.num_rows),
            "user_share": f"{sample.user_share:.6f}",
            "features": str(sum(len(encoder.columns) for encoder in fitted.scorer.encoders)),
            **{f"snapshot.{table}": str(snapshot) for table, snapshot in sample.snapshots.items()},
            **{f"chosen.{forecast.label}": forecast.candidate for forecast in fitted.scorer.forecasts},
            **{f"learns_from.{one.label}": str(Memory.of(one)) for one in fitted.scorer.forecasts},
            **{f"hyper.{one.label}": json.dumps(dict(one.hyper)) for one in fitted.scorer.forecasts if one.hyper},
            **{f"to_beat.{contest.label}": contest.rule or "chance" for contest in fitted.contests},
            **{
                f"new_users.{contest.label}": contest.new_users.told for contest in fitted.contests if contest.new_users
            },
            **{f"season.{contest.label}": contest.season.told for contest in fitted.contests if contest.season},
            **{f"train_days.{label}": str(days) for label, days in split.train.items()},
            **{f"validation_days.{label}": str(days) for label, days in split.validation.items()},
            "test_days": str(split.test),
            "last_label_day": f"{last_label_day}, {(sample.day - last_label_day).days} days before",
            **({"kept_out": ", ".join(sample.kept_out)} if sample.kept_out else {}),
            **({"drawn": sample.about_strata} if sample.strata else {}),
            **({"route": verdict.route} if verdict.route else {}),
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


def card_documents(found: dict[str, Any], verdict: Verdict) -> dict[str, str]:
    """Write a version's card for people and for programs."""
    return {CARD: render(found, passed=verdict.passed, why=verdict.why), "card.json": json.dumps(found, indent=1)}


def _learnt(sample: Sample, split: Split, refitted: Refitted) -> str:
    """Say for people on which days the figures are, and from which days what scores has learnt."""
    days = "; ".join(f"{label}: {days}" for label, days in refitted.to_json()["days"].items())
    again = f"Then the same recipe was fitted again on all days with a known label ({days}): that scores."
    judged = f"Judged on the days {split.test}, which it had not seen, with what was known at the end of {sample.day}."
    kept_out = f" {protected.told(sample.kept_out)}" if sample.kept_out else ""
    drawn = f" {sample.about_strata}" if sample.strata else ""
    return f"{judged} {again if days else f'Not fitted again on later days: {refitted.why_not}.'}{kept_out}{drawn}"


def _last_label_day(split: Split, refitted: Refitted) -> date:
    """Find the last day whose label what scores has learnt, by its calibration perhaps."""
    if refitted.days:
        return max(days.last for days in refitted.days.everything.values())
    if refitted.calibrated_by:
        return refitted.calibrated_by.last
    return max(days.last for days in split.validation.values())
