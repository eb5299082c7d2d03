"""How `rekindle backfill` builds a history."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rekindle import contracts, history, orchestration, records
from rekindle.days import Days
from rekindle.deliveries import LandingZone
from rekindle.errors import RekindleError
from rekindle.settings import settings
from rekindle.tables import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from pyspark.sql import SparkSession
    from rich.progress import Progress

    from ml.products import Product

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


def build(days: Days, model: str | None, say: Say, bars: Progress, *, score: bool = True) -> Told:
    """Build raw, tiles, features and marts of a range, then score the days that have a champion, or all with `model`."""
    begun = time.monotonic()
    told = Told()
    zone = LandingZone()
    zone.refuse_unusable(days)
    told.absent = history.absent(zone, days)
    wanted = _wanted(days, model) if score else {}
    _build_range(days, history.feature_days(days, set(wanted)), zone, told, say, bars)
    if score:
        told.unscored = _left_out(days, wanted)
    stale = history.stale_partitions()
    todo = [day for day, products in wanted.items() if model or not history.is_scored(day, products, stale)]
    _score(todo, model, told, say, bars)
    told.seconds = time.monotonic() - begun
    return told


def rebuild_stale(say: Say, bars: Progress) -> Told:
    """Load what was delivered again, then rebuild what was built from it, table by table in build order."""
    begun = time.monotonic()
    told = Told()
    changed = history.redelivered()
    stale = history.stale_partitions()
    touched = [day for days in (*changed.values(), *stale.values()) for day in days]
    if touched:
        every = {day for table in history.FEATURES for day in records.builds(table, *ALWAYS)}
        span = Days.between(min(touched), max({*touched, *every}))
        features = Days(tuple(records.builds("features.user", *ALWAYS))) if every else None
        zone = LandingZone()
        zone.refuse_unusable(span)
        _build_range(span, features, zone, told, say, bars)
    scores = {day for table, days in history.stale_partitions().items() if table.startswith("scores.") for day in days}
    if scores:
        days = Days(tuple(scores))
        wanted = _wanted(days, None)
        told.unscored = _left_out(days, wanted)
        _score(list(wanted), None, told, say, bars)
    told.seconds = time.monotonic() - begun
    return told


def _score(days: list[date], model: str | None, told: Told, say: Say, bars: Progress) -> None:
    """Score days through Airflow, into history. Each is a process of its own, so that one that dies costs one day."""
    bar = bars.add_task("scoring days", total=len(days), visible=bool(days))
    for day in days:
        orchestration.run_days("daily_scores", Days.one(day), {"kind": "backfill", "model_version": model})
        say(f"  scored {day}")
        told.scored.append(day)
        bars.advance(bar)


def _build_range(  # noqa: PLR0917 - what a range is about
    days: Days, feature_days: Days | None, zone: LandingZone, told: Told, say: Say, bars: Progress
) -> None:
    from ml.products import PRODUCTS, labels_of
    from rekindle import dbt
    from rekindle.spark import session

    spark = session()
    run_id = records.start_run("history", days)
    sources = contracts.landing_sources()
    bar = bars.add_task("building history", total=len(sources) + len(history.FEATURES) + 1)

    def step(name: str, work: Callable[[], int | None]) -> None:
        begun = time.monotonic()
        with records.stage(run_id, days.last, name) as notes:
            notes.row_count = work()
        rows = "" if notes.row_count is None else f"  {notes.row_count:,} rows"
        say(f"  {name:<24}{time.monotonic() - begun:6.1f} s{rows}")
        bars.advance(bar)

    try:
        for source in sources:
            step(f"ingest {source}", lambda source=source: _ingest(spark, source, days, run_id, zone, told))
        for table in history.FEATURES:
            wanted = feature_days if table == history.FEATURES[-1] else days
            step(table, lambda table=table, wanted=wanted: _features(spark, table, wanted, run_id, told))
        missing = [unbuilt for mart in dbt.MARTS if (unbuilt := history.unbuilt(mart, days))]
        if missing:
            span = Days.between(min(m.first for m in missing), max(m.last for m in missing))
            labels = labels_of(PRODUCTS, settings())
            step("marts", lambda: _marts(spark, span, run_id, labels, told))
    except RekindleError as error:
        records.finish_run(run_id, "failed", str(error))
        raise
    records.finish_run(run_id, "done")


def _ingest(spark: SparkSession, source: str, days: Days, run_id: str, zone: LandingZone, told: Told) -> int:  # noqa: PLR0917 - what an ingestion is about
    done = import_module("spark_jobs.raw").main(spark, source, days, run_id, zone)
    fresh = len(days) - done.told["unchanged_days"] - done.told["absent_days"]
    if fresh:
        told.built[f"raw.{source}"] = fresh
    return done.loaded


def _features(spark: SparkSession, table: str, days: Days | None, run_id: str, told: Told) -> int | None:
    todo = history.unbuilt(table, days) if days else None
    if todo is None:
        return None
    told.built[table] = len(todo)
    return import_module(f"spark_jobs.{table}").main(spark, todo, run_id).row_count


def _marts(spark: SparkSession, days: Days, run_id: str, labels: list[dict[str, Any]], told: Told) -> None:
    from rekindle import dbt

    dbt.build(spark, days, run_id, labels)
    told.built["marts"] = len(days)


def _wanted(days: Days, model: str | None) -> dict[date, list[Product]]:
    """The products to score by day: all with a named version, else those with a champion in effect. No day without one."""
    from ml.products import PRODUCTS
    from spark_jobs.scores import why_skipped

    # Where nothing was promoted, asking the registry for each of a year's days would only repeat that.
    used = [product for product in PRODUCTS if model or records.promotions(product.name)]
    wanted = {day: [p for p in used if why_skipped(p, day, backfill=True, version=model) is None] for day in days}
    return {day: products for day, products in wanted.items() if products}


def _left_out(days: Days, wanted: Mapping[date, list[Product]]) -> dict[str, list[date]]:
    from ml.products import PRODUCTS

    left_out = {p.name: [day for day in days if p not in wanted.get(day, ())] for p in PRODUCTS}
    return {name: days for name, days in left_out.items() if days}


def _days(days: list[date]) -> str:
    return str(Days(tuple(days)))
