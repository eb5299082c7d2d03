"""
How `rekindle run --shadow` runs a day: all that a daily run does, on branches and in a transaction that is undone.

The jobs are those of the daily DAG, in its order; Airflow takes no part, so that no asset has an event. What they write of tables
is on branches that are dropped (rekindle.warehouse.shadow), what they record and publish is rolled back
(rekindle.postgres.undone). What differs from what is published is counted before that.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import RekindleError
from rekindle.landing.zone import LandingZone, no_delivery
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage, shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date, datetime

    from pyspark.sql import SparkSession

    from rekindle.postgres import Connection
    from rekindle.progress import Progress
    from rekindle.publishing.comparing import Change
    from rekindle.warehouse.contracts import Contract
    from rekindle.warehouse.lineage import Step

    Say = Callable[[str], None]

PUBLISH = "publish"


@dataclass(frozen=True)
class TableChange:
    """How many rows of the day a table of the warehouse has, and would have."""

    table: str
    rows_now: int
    rows_then: int


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed in the shadow. One that a person may accept did not end it."""

    table: str
    rule: str
    severity: str
    failed_rows: int | None
    can_be_accepted: bool
    moved: float | None = None
    """By how much of the days before, where it can be accepted."""


@dataclass
class Told:
    """What a shadow of a day has found."""

    day: date
    tables: list[TableChange] = field(default_factory=list)
    published: list[Change] = field(default_factory=list)
    checks: list[FailedCheck] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why a step failed, by step: a daily run would have, too."""
    not_built: dict[str, list[str]] = field(default_factory=dict)
    """By step that was left out, the steps that it would have come after."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a product was not scored, by step: one that is not in use yet."""
    seconds: float = 0.0

    @property
    def is_fit(self) -> bool:
        """Whether a daily run would publish the day without a word from anybody."""
        return not self.failed and not any(check.severity == "stop" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "shadow": True, "is_fit": self.is_fit, "seconds": round(self.seconds, 1)}


def run(day: date, *, at: datetime | None, say: Say, progress: Progress) -> Told:
    """
    Build, score and publish a day in a shadow, and tell what would change. Nothing is left of it.

    A step that fails ends what is made of it, as in a daily run; a check that a person may accept (rows that move) is told and
    ends nothing. Permission goes by Postgres' time unless `at` is given.
    """
    from ml.products import makers
    from rekindle.warehouse.spark import session

    spark, run_id, begun, told = session(), records.new_run_id(), time.monotonic(), Told(day)
    graph = lineage.graph()
    steps = graph.steps(makers())
    with postgres.run_lock(day), shadow.casting(spark, run_id, graph.order) as mine, postgres.undone():
        records.start_run("shadow", Days.one(day), run_id=run_id)
        _accept_moves(day)
        zone = LandingZone()
        with progress.step(f"A shadow of {day}", total=len(steps) + 1) as whole:
            for step in steps:
                _try(step, told, partial(_do, spark, step, day, run_id, zone), say)
                whole.advance()
            told.tables = [TableChange(name, *rows) for name, rows in shadow.rows_of(spark, mine, day).items()]
            # The last: until the transaction is undone, nobody else can publish.
            _try(_publish_step(steps), told, partial(_publish, spark, day, run_id, at, told), say)
            told.checks = list(_failed_checks(run_id))
    told.seconds = time.monotonic() - begun
    return told


def _accept_moves(day: date) -> None:
    """Accept, in the transaction that is undone, all that a person may: by how much the day moves is what is asked for."""
    for table, contract in _judged().items():
        for condition in soft_conditions(contract):
            records.append_acceptance(table, condition, day, math.inf, "a shadow", "nothing is released")


def _judged() -> dict[str, Contract]:
    """The tables that are judged by a contract, and what is published of them, by the same."""
    from rekindle.publishing import publications

    found = {name: contracts.load(name) for name in contracts.tables()}
    return found | {p.target: p.contract for p in publications.declared() if p.contract}


def soft_conditions(contract: Contract) -> list[str]:
    """Name what of a contract a person may accept."""
    from rekindle.warehouse.checks.days import rules_of

    return [rule.condition for rule in rules_of(contract) if rule.is_soft and rule.severity == "stop"]


class _Skipped(Exception):  # noqa: N818 - no error: a product that is not in use yet
    """Says why a step has nothing to do."""


def _try(step: Step, told: Told, work: Callable[[], int | None], say: Say) -> None:
    """Do a step, unless one that it cannot do without has failed; what our errors say is told."""
    if missing := [e for e in step.after if e in {*told.failed, *told.not_built} and e not in step.tolerates]:
        told.not_built[step.id] = missing
        return
    begun = time.monotonic()
    try:
        row_count = work()
        ended = "" if row_count is None else f"  {row_count:,} rows"
    except _Skipped as skipped:
        told.skipped[step.id] = str(skipped)
        ended = "  skipped"
    except RekindleError as error:
        told.failed[step.id] = error.what
        ended = "  FAILED"
    say(f"  {step.id:<32}{time.monotonic() - begun:6.1f} s{ended}")


def _do(spark: SparkSession, step: Step, day: date, run_id: str, zone: LandingZone) -> int | None:
    """Do what a task of the daily run does; returns the rows that it wrote, where it counts them."""
    days = Days.one(day)
    match step.kind:
        case "ingest":
            if step.name in zone.holding_up(day):
                raise no_delivery(zone, day, [step.name])
            return (
                import_module("spark_jobs.ingest.raw").main(spark, days, run_id, source=step.name, zone=zone).row_count
            )
        case "build":
            return import_module(f"spark_jobs.{step.name}").main(spark, days, run_id).row_count
        case "marts":
            from ml.products import PRODUCTS, labels_of, outcomes_of
            from rekindle.warehouse import marts

            labels, outcomes = labels_of(PRODUCTS, settings()), outcomes_of(PRODUCTS, settings())
            marts.build(spark, step.name, days, run_id, labels, outcomes)
            return None
        case "score":
            return _score(spark, step.name, days, run_id)
        case "recommend":
            return _recommend(spark, days, run_id)


def _score(spark: SparkSession, name: str, days: Days, run_id: str) -> int:
    from ml import registry
    from ml.products import product_named

    product = product_named(name)
    if why := registry.why_skipped(product, days.last):
        raise _Skipped(why)
    return import_module("spark_jobs.scores").main(spark, days, run_id, product=product).row_count


def _recommend(spark: SparkSession, days: Days, run_id: str) -> int:
    from ml import registry
    from ml.products import RECOMMENDATION

    if why := registry.why_skipped(RECOMMENDATION, days.last):
        raise _Skipped(why)
    return import_module("spark_jobs.recommendations").main(spark, days, run_id).row_count


def _publish_step(steps: tuple[Step, ...]) -> Step:
    """Publishing, as a step after those that make what is published."""
    from rekindle.publishing import publications
    from rekindle.warehouse.lineage import Step

    published = {p.contract.table for p in publications.declared() if p.contract}
    return Step("score", PUBLISH, (), tuple(step.id for step in steps if published & set(step.tables)))


def _publish(spark: SparkSession, day: date, run_id: str, at: datetime | None, told: Told) -> int:
    """Publish in the transaction that is undone, and count what has changed by it."""
    from rekindle import publishing
    from rekindle.publishing import comparing

    def remember(connection: Connection) -> list[comparing.Remembered]:
        # Nobody else publishes from here on: what is remembered is what the shadow finds.
        publishing.take_turn(connection)
        return comparing.remember(connection, day)

    remembered = postgres.transact(remember)
    done = import_module("spark_jobs.publish").main(spark, Days.one(day), run_id, at=at)
    told.published = postgres.transact(lambda connection: comparing.changes(connection, remembered, day))
    return done.row_count


def _failed_checks(run_id: str) -> Iterator[FailedCheck]:
    for one in records.checks(run_id=run_id):
        if one.outcome == "failed":
            moved = one.detail.get("moved", {}).get(str(one.day))
            yield FailedCheck(one.table_name, one.rule, one.severity, one.failed_rows, records.is_soft(one), moved)
