"""
Recalibrate a product's champion on the latest ripe labels, without training; make it champion if the gate lets it pass.

Reads:  features.user, the product's population, marts.labels, the champion
Writes: a version in the model registry, and, once the gate has passed, the promotion log and the alias; a warning where the level
        of the champion does not hold
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from ml import registry
from ml.model.scorer import Scorer
from ml.training import card, gate, recalibration, samples, trainer
from ml.training.incumbent import Incumbent
from ml.training.recalibration import WEEKS
from rekindle import records
from rekindle.errors import InputError
from rekindle.progress import SILENT
from rekindle.records import CheckResult
from rekindle.settings import settings

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.products import Product
    from ml.registry import Version
    from ml.training.recalibration import Recalibrated
    from ml.training.samples import Sample
    from rekindle.progress import Progress
    from rekindle.settings import Settings


@dataclass(frozen=True)
class Recalibration:
    """What came of looking at a champion's calibration."""

    product: str
    day: date
    champion: Version
    found: Recalibrated
    version: Version | None
    """The version with another calibration; None where none was let in."""
    why_not_promoted: str | None

    @property
    def promoted(self) -> bool:
        return self.version is not None and self.why_not_promoted is None

    @property
    def waits(self) -> bool:
        """Whether there is a version that a person has to promote."""
        return trainer.waits(self.why_not_promoted)

    @property
    def is_off(self) -> bool:
        """Whether the champion's level does not hold, and nothing that was let in mends it."""
        return self.found.is_off and self.version is None

    @property
    def told(self) -> str:
        """Say in a sentence what became of it, and in another what is off."""
        levels = "".join(f" {one.level.told.capitalize()}." for one in self.found.attempts if one.level)
        if self.version is None:
            return f"Version {self.champion.version} of {self.product} keeps its calibration: {self.found.verdict.why}.{levels}"
        became = "is champion" if self.promoted else f"did not become champion, for {self.why_not_promoted}"
        return (
            f"Version {self.version.version} of {self.product}, version {self.champion.version} calibrated anew, {became}: "
            f"{self.found.verdict.why}.{levels}"
        )

    def to_json(self) -> dict[str, Any]:
        verdict = self.found.verdict
        return {
            "product": self.product,
            "day": self.day.isoformat(),
            "champion": self.champion.version,
            "version": self.version and self.version.version,
            "digest": self.version and self.version.digest,
            "route": verdict.route,
            "gate": "passed" if verdict.passed else "failed",
            "why": verdict.why,
            "promoted": self.promoted,
            "why_not_promoted": self.why_not_promoted,
            "level_holds": not self.found.is_off,
            "intervals_learnt": list(self.found.intervals),
            "targets": {attempt.label: attempt.to_json() for attempt in self.found.attempts},
        }


def recalibrate(
    spark: SparkSession, product: Product, day: date, run_id: str, progress: Progress = SILENT
) -> Recalibration:
    """Look at the champion by what was known at the end of `day`. Raises InputError where nobody is in office."""
    champion = registry.champion(product)
    scorer = Scorer.from_files(registry.files_of(champion))
    with progress.step("reading the latest labels"):
        samples.refuse_undelivered(spark, day)
        conf = settings()
        sample = samples.sample(
            *(spark, product, day, conf.model_copy(update={"training_weeks": weeks_of(product, conf)})), to_learn=False
        )
        records.record_snapshots(run_id, {table: read for table, read in sample.snapshots.items() if read is not None})
    _refuse_other_targets(product, champion, scorer, sample)
    root = registry.version(product, champion.judged.recalibrates or champion.version)
    with progress.step("calibrating and judging"):
        found = recalibration.recalibrate(
            product, sample, scorer, champion.trained_day, lateness_days=conf.lateness_days, criteria=gate.criteria()
        )
    records.record_checks(run_id, day, f"{product.table}{records.CALIBRATION}", _checks(product, champion, found))
    if not found.verdict.passed:
        return Recalibration(product.name, day, champion, found, None, None)
    with progress.step("registering"):
        record = _record(sample, found, champion, root, run_id)
        record = replace(record, documents={**record.documents, **card_of(product, sample, found, champion, scorer)})
        version = registry.register(product, record)
        why_not = trainer.succeeds(product, version, found.verdict, run_id)
    return Recalibration(product.name, day, champion, found, version, why_not)


def weeks_of(product: Product, settings: Settings) -> int:
    """Count the weekly days that a sample needs: those calibrated by, those judged on, and the reach of a label around them."""
    longest = max(target.to_day for target in product.targets(settings)) + settings.lateness_days
    return 2 * WEEKS + 2 * ceil(longest / 7)


def _refuse_other_targets(product: Product, champion: Version, scorer: Scorer, sample: Sample) -> None:
    if [forecast.label for forecast in scorer.forecasts] != [target.label for target in sample.targets]:
        raise InputError(
            f"Version {champion.version} of {champion.name} predicts something else than {product.name} does now: the horizons "
            "were others.",
            todo=f"Train it: rekindle train {product.name} --day D.",
            safe="The champion stays as it was.",
            code="other_targets",
        )


def _intervals(found: Recalibrated) -> str:
    """Say of which horizons the intervals are new; nothing of a model without any."""
    if found.scorer.outlook is None:
        return ""
    if not found.intervals:
        return " The intervals are as they were: too few rows are left to learn them again."
    horizons = " and ".join(found.intervals)
    return (
        f" The intervals of {horizons} are learnt again, on days that have become known since and calibrated nothing."
    )


def _checks(product: Product, champion: Version, found: Recalibrated) -> list[CheckResult]:
    """What is recorded of a champion's level: a check of its own, which warns where nothing mends it and never stops."""
    whose = {"product": product.name, "version": champion.version}
    return [
        CheckResult(
            f"level of {one.label}",
            "warn",
            "not_judged" if one.level is None else "passed" if one.level.passed or one.is_let_in else "failed",
            None,
            {**(one.level.to_json() if one.level else {}), **whose},
        )
        for one in found.attempts
    ]


def card_of(product: Product, sample: Sample, found: Recalibrated, champion: Version, scorer: Scorer) -> dict[str, str]:
    """Write the card of another calibration: groups are told by the last target that was let in, on the days that judged it."""
    tested = found.let_in[-1].tested
    if tested is None:
        return {}
    office = Incumbent(champion, None, None, is_rule=False, stored=scorer)
    told = card.card(product, sample, tested, scorer=found.scorer, champion=office, settings=settings())
    return trainer.card_documents(told, found.verdict)


def _record(sample: Sample, found: Recalibrated, champion: Version, root: Version, run_id: str) -> registry.Trained:
    """Gather what the registry keeps of another calibration."""
    let_in, verdict = found.let_in, found.verdict
    used = {attempt.label: (attempt.days.fitted, attempt.days.judged, attempt.days.served) for attempt in let_in}
    days = "; ".join(
        f"{label}: calibrated by {fitted[0]} to {fitted[-1]}, judged on {judged[0]} to {judged[-1]}, then calibrated by "
        f"{served[0]} to {served[-1]}"
        for label, (fitted, judged, served) in used.items()
    )
    figures = recalibration.figures_of(let_in)
    return registry.Trained(
        day=sample.day,
        run_id=run_id,
        scorer=found.scorer,
        learnt=f"The raw scores are those of version {root.version}. {days}.{_intervals(found)}",
        champion=recalibration.beside(let_in, champion.version, champion.trained_day),
        judged=found.judged,
        last_label_day=max(served[-1] for _, _, served in used.values()),
        verdict=verdict,
        recalibrates=root.version,
        params={
            "day": sample.day.isoformat(),
            "rows": str(sample.rows.num_rows),
            "user_share": f"{sample.user_share:.6f}",
            "route": str(verdict.route),
            "recalibrates": root.version,
            **{f"snapshot.{table}": str(snapshot) for table, snapshot in sample.snapshots.items()},
            **{f"judged_days.{label}": f"{judged[0]} to {judged[-1]}" for label, (_, judged, _) in used.items()},
            **{f"calibrated_days.{label}": f"{served[0]} to {served[-1]}" for label, (_, _, served) in used.items()},
        },
        metrics={
            f"{horizon}.model.{name}": figure["value"]
            for horizon, result in figures.items()
            for name, figure in result["model"].items()
        },
        figures=figures,
        sample_digest=sample.digest,
        documents={
            "recalibration.json": json.dumps(
                {
                    **{one.label: one.to_json() for one in found.attempts},
                    **({"intervals_learnt": list(found.intervals)} if found.scorer.outlook else {}),
                },
                indent=1,
            )
        },
        tags={"recalibrates": root.version, "scores_by": "model"},
    )
