"""How `rekindle backfill` builds a history."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rekindle import records
from rekindle.days import Days
from rekindle.landing.zone import LandingZone
from rekindle.progress import estimate
from rekindle.settings import settings
from rekindle.warehouse import builds, contracts, lineage
from rekindle.workflow import due, running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.products import Product
    from rekindle.progress import Progress
    from rekindle.records import Stage
    from rekindle.warehouse.builds import State

    Say = Callable[[str], None]


@dataclass
class Told:
    """What a backfill did."""

    built: dict[str, int] = field(default_factory=dict)
    """Days by table that were built; what was there already is not among them."""
    scored: list[date] = field(default_factory=list)
    unscored: dict[str, list[date]] = field(default_factory=dict)
    """Days by product on which it had no champion, or no source yet."""
    absent: dict[str, list[date]] = field(default_factory=dict)
    """Days by source on which a delivery was expected and did not come."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "built": self.built,
            "scored": self.scored,
            "unscored": self.unscored,
            "absent": self.absent,
            "seconds": round(self.seconds, 1),
        }

    @property
    def text(self) -> str:
        """For people."""
        built = (
            ", ".join(f"{table} {days} days" for table, days in self.built.items()) or "nothing was missing or stale"
        )
        lines = [f"Built in {self.seconds:.0f} s: {built}."]
        for source, days in self.absent.items():
            lines.append(f"No delivery of {source}: {_days(days)}. `rekindle backfill --stale` adds what still comes.")
        if self.scored:
            lines.append(f"Scored, into history only: {_days(self.scored)}.")
        for product, days in self.unscored.items():
            lines.append(
                f"Not scored for {product} (no champion in effect, or no delivery of its source yet): {_days(days)}."
            )
        return "\n".join(lines)


def build(days: Days, model: str | None, say: Say, progress: Progress, *, score: bool = True) -> Told:
    """Build raw, tiles, features and marts of a range, then score the days that have a champion, or all with `model`."""
    begun = time.monotonic()
    told = Told()
    zone = LandingZone()
    with progress.step("Looking at the deliveries"):
        zone.refuse_unusable(days)
        told.absent = due.absent(zone, days)
        wanted = _wanted(days, model) if score else {}
    found = _build_range(days, lambda: due.wanted(days, wanted), zone, told, say, progress)
    if score:
        told.unscored = _left_out(days, wanted)
    todo = [day for day, products in wanted.items() if model or not due.is_scored(day, products, found.stale)]
    _score(todo, model, told, say, progress)
    if todo:
        _after_scores(due.stale_partitions(), told, say, progress)
    told.seconds = time.monotonic() - begun
    return told


def rebuild_stale(say: Say, progress: Progress) -> Told:
    """Load what was delivered again, then rebuild what was built from it, table by table in build order."""
    begun = time.monotonic()
    told = Told()
    zone = LandingZone()
    with progress.step("Looking at the deliveries"):
        changed = due.redelivered(zone)
    stale = due.stale_partitions()
    touched = [day for days in (*changed.values(), *stale.values()) for day in days]
    if touched:
        every = {day for days in due.built_days().values() for day in days}
        span = Days.between(min(touched), max({*touched, *every}))
        zone.refuse_unusable(span)
        stale = _build_range(span, lambda: due.wanted_again(span), zone, told, say, progress).stale
    made = (*lineage.graph().written_by("score"), *lineage.graph().written_by("recommend"))
    scores = {day for table in made for day in stale.get(table, ())}
    if scores:
        days = Days(tuple(scores))
        wanted = _wanted(days, None)
        told.unscored = _left_out(days, wanted)
        _score(list(wanted), None, told, say, progress)
    # Nothing has come to be stale since: what is made of stale scores was stale with them.
    _after_scores(stale, told, say, progress)
    told.seconds = time.monotonic() - begun
    return told


def _score(days: list[date], model: str | None, told: Told, say: Say, progress: Progress) -> None:
    """Score days through Airflow, into history, by one process: what it loads, and dbt parses, it needs once."""

    def hear(stage: Stage) -> None:
        if stage.stage == "publish" and stage.status == "done":
            say(f"  scored {stage.day}")
            told.scored.append(stage.day)

    if days:
        how = {"kind": "backfill", "model_version": model}
        running.run_days("daily_scores", Days(tuple(days)), how, hear, progress=progress)


def _build_range(  # noqa: PLR0917 - what a range is about
    days: Days, wanted: Callable[[], Mapping[str, Days]], zone: LandingZone, told: Told, say: Say, progress: Progress
) -> State:
    """
    Load what was delivered, then build what of the `wanted` days is absent or stale, step by step as the tables' graph says.

    Returns what was found after loading: what is stale there, and is not built here, is what the scores are made of.
    """
    from rekindle.warehouse.spark import session

    spark = session()
    graph = lineage.graph()
    with records.own_run("history", days) as run_id:
        loading = [
            _Part(f"ingest {source}", days, partial(_ingest, spark, source, days, run_id, zone, told))
            for source in contracts.landing_sources()
        ]
        _do("Loading deliveries", loading, run_id, say, progress)
        found = builds.state(graph, wanted())
        building = []
        for step in graph.steps({}):
            todo = [days for table in step.tables if (days := found.todo(table))]
            if todo and step.kind == "marts":
                # Without holes: every day completes labels and brings activity.
                span = Days.between(min(d.first for d in todo), max(d.last for d in todo))
                building.append(
                    _Part(f"marts.{step.name}", span, partial(_marts, spark, step.name, span, run_id, told))
                )
            elif todo and step.kind != "ingest":
                building.append(_Part(step.name, todo[0], partial(_table, spark, step.name, todo[0], run_id, told)))
        _do("Building tables", building, run_id, say, progress)
    return found


@dataclass(frozen=True)
class _Part:
    """A part of a history: what it is recorded as, its days, and the work, which returns the rows that it wrote."""

    name: str
    days: Days
    work: Callable[[], int | None]

    @property
    def expected(self) -> float | None:
        """The seconds that it should take, by what it took before."""
        return estimate(len(self.days), records.durations(self.name))


def _do(title: str, parts: Sequence[_Part], run_id: str, say: Say, progress: Progress) -> None:
    """Do some parts, one after the other, and record each as a stage of the run."""
    expected = [part.expected for part in parts]
    with progress.step(title, total=len(parts), alike=False) as whole:
        for at, part in enumerate(parts):
            known = [seconds for seconds in expected[at + 1 :] if seconds is not None]
            whole.later = sum(known) if len(known) == len(parts) - at - 1 else None
            with (
                records.stage(run_id, part.days.last, part.name) as notes,
                progress.step(part.name, expected=expected[at]) as step,
            ):
                notes.row_count, notes.detail = part.work(), {"days": len(part.days)}
            rows = "" if notes.row_count is None else f"  {notes.row_count:,} rows"
            say(f"  {part.name:<24}{step.seconds:6.1f} s{rows}")
            whole.advance()


def _ingest(spark: SparkSession, source: str, days: Days, run_id: str, zone: LandingZone, told: Told) -> int:  # noqa: PLR0917 - what an ingestion is about
    done = import_module("spark_jobs.ingest.raw").main(spark, days, run_id, source=source, zone=zone)
    fresh = len(days) - done.told["unchanged_days"] - done.told["absent_days"]
    if fresh:
        told.built[f"raw.{source}"] = fresh
    return done.row_count


def _table(spark: SparkSession, table: str, days: Days, run_id: str, told: Told) -> int:
    told.built[table] = len(days)
    return import_module(f"spark_jobs.{table}").main(spark, days, run_id).row_count


def _marts(spark: SparkSession, group: str, days: Days, run_id: str, told: Told) -> None:
    from ml.products import PRODUCTS, labels_of, outcomes_of
    from rekindle.warehouse import marts

    labels, outcomes = labels_of(PRODUCTS, settings()), outcomes_of(PRODUCTS, settings())
    marts.build(spark, group, days, run_id, labels, outcomes)
    told.built[f"marts.{group}"] = len(days)


def _after_scores(stale: Mapping[str, list[date]], told: Told, say: Say, progress: Progress) -> None:
    """Build the marts again that were made of scores which are others now: what came true of them, days later."""
    from ml.products import makers
    from rekindle.warehouse.spark import session

    graph = lineage.graph()
    before = {step.id for step in graph.steps({})}
    for step in graph.steps(makers()):
        todo = tuple(day for table in step.tables for day in stale.get(table, ()))
        if step.kind != "marts" or step.id in before or not todo:
            continue
        days = Days.between(min(todo), max(todo))
        with records.own_run("history", days) as run_id:
            part = _Part(f"marts.{step.name}", days, partial(_marts, session(), step.name, days, run_id, told))
            _do("Building what is made of scores", [part], run_id, say, progress)


def _wanted(days: Days, model: str | None) -> dict[date, list[Product]]:
    """
    The products to score by day: all with a named version, else those with a champion in effect. No day without one.

    What is scored without a model is scored beside what a model scores, and makes no day wanted by itself.
    """
    from ml.products import PRODUCTS
    from ml.registry import why_skipped

    # Where nothing was promoted, asking the registry for each of a year's days would only repeat that.
    used = [p for p in PRODUCTS if model or not p.is_trained or records.promotions(p.name)]
    if not any(product.is_trained for product in used):
        return {}
    wanted = {day: [p for p in used if why_skipped(p, day, backfill=True, version=model) is None] for day in days}
    return {day: products for day, products in wanted.items() if any(p.is_trained for p in products)}


def _left_out(days: Days, wanted: Mapping[date, list[Product]]) -> dict[str, list[date]]:
    from ml.products import PRODUCTS

    left_out = {p.name: [day for day in days if p not in wanted.get(day, ())] for p in PRODUCTS}
    return {name: days for name, days in left_out.items() if days}


def _days(days: list[date]) -> str:
    return str(Days(tuple(days)))
