"""
Tables: all reading and writing of warehouse tables.

Reading is by partition. Writing is branch, write, audit, release: an attempt writes to its own Iceberg branch, the
contract is run on it, and only a snapshot that was audited becomes visible. What fails leaves main as it was. A shadow
(rekindle.warehouse.shadow) does the same on its own branches, and releases nothing.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from rekindle import postgres, records
from rekindle.errors import CheckFailedError
from rekindle.points import durable
from rekindle.warehouse import builds, checks, contracts, lineage, shadow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.builds import Inputs, Known

CATALOG = "lake"
"""Name of the Iceberg catalog in conf/spark-defaults.conf."""


@dataclass(frozen=True)
class Release:
    """What became visible: the audited snapshot, how many rows the days hold now, and what the audit found."""

    table: str
    snapshot_id: int
    row_count: int
    results: tuple[records.CheckResult, ...]

    @property
    def warnings(self) -> list[records.CheckResult]:
        return [r for r in self.results if r.severity == "warn" and r.outcome == "failed"]


def day_in(days: Days) -> Column:
    """Condition on the partition: a range where the days are one, else the list, so that Iceberg prunes either."""
    from pyspark.sql import functions as F

    if (days.last - days.first).days + 1 == len(days):
        return F.col("day").between(F.lit(days.first), F.lit(days.last))
    return F.col("day").isin(list(days))


def read_days(spark: SparkSession, table: str, days: Days) -> DataFrame:
    """Rows of the days' partitions."""
    return spark.table(shadow.of(table)).where(day_in(days))


def read_between(spark: SparkSession, table: str, first: date | None, last: date) -> DataFrame:
    """Rows of the partitions from `first` (from the beginning where None) to `last`, both included."""
    from pyspark.sql import functions as F

    rows = spark.table(shadow.of(table)).where(F.col("day") <= F.lit(last))
    return rows if first is None else rows.where(F.col("day") >= F.lit(first))


def snapshot_id(spark: SparkSession, table: str, ref: str = "main") -> int | None:
    """The snapshot that a branch shows; None for a table that was never written."""
    return _snapshots(spark, table).get(ref)


def snapshot_says(spark: SparkSession, table: str, snapshot: int) -> Mapping[str, str]:
    """What a snapshot says of itself; nothing where it has expired."""
    found = spark.sql(f"SELECT summary FROM {CATALOG}.{table}.snapshots WHERE snapshot_id = {snapshot}").collect()
    return found[0]["summary"] if found else {}


def _snapshots(spark: SparkSession, table: str) -> dict[str, int]:
    """The snapshot of each branch and tag."""
    refs = spark.table(f"{CATALOG}.{table}.refs").select("name", "snapshot_id")
    return {row["name"]: row["snapshot_id"] for row in refs.collect()}


@contextmanager
def attempt(spark: SparkSession, table: str) -> Iterator[tuple[str, postgres.Lock]]:
    """
    An Iceberg branch of its own for one attempt to change a table, and the table's lock, which it holds.

    A fixed name could release somebody else's rows; so could a second writer between audit and release.
    """
    if mine := shadow.cast():
        with postgres.table_lock(table) as lock, _attempt_in_shadow(spark, table, mine.branch):
            yield mine.branch, lock
        return
    branch = f"run_{uuid.uuid4().hex}"
    with postgres.table_lock(table) as lock:
        with durable("branch", table):
            spark.sql(f"ALTER TABLE {table} CREATE BRANCH {branch}")
        try:
            yield branch, lock
        finally:
            with durable("drop of a branch", table):
                spark.sql(f"ALTER TABLE {table} DROP BRANCH IF EXISTS {branch}")


@contextmanager
def _attempt_in_shadow(spark: SparkSession, table: str, branch: str) -> Iterator[None]:
    """Let an attempt change the shadow's branch of a table, which stays; one that fails leaves the branch as it was."""
    before = _snapshots(spark, table).get(branch)
    spark.sql(f"ALTER TABLE {table} CREATE BRANCH IF NOT EXISTS {branch}")
    try:
        yield
    except BaseException:
        back = f"DROP BRANCH IF EXISTS {branch}"
        if before is not None:
            back = f"CREATE OR REPLACE BRANCH {branch} AS OF VERSION {before}"
        spark.sql(f"ALTER TABLE {table} {back}")
        raise


def release(spark: SparkSession, table: str, branch: str, audited: int | None) -> None:
    """
    Make the audited snapshot of a branch visible, of a shadow's to itself alone.

    Refuses where the branch has moved since the audit.
    """
    heads = _snapshots(spark, table)
    if heads.get(branch) != audited:
        raise CheckFailedError(
            f"{table} was written to while it was audited.",
            todo="Run the task again.",
            safe="Nothing was released.",
            code="branch_moved",
        )
    if shadow.cast():
        shadow.wrote(table)
    elif audited != heads.get("main"):
        spark.sql(f"CALL {CATALOG}.system.fast_forward('{table}', 'main', '{branch}')")


def replace_days(
    spark: SparkSession,
    table: str,
    rows: DataFrame,
    days: Days,
    *,
    run_id: str,
    inputs: Inputs | None = None,
    known: Known | None = None,
    part: Mapping[str, str] | None = None,
    says: Mapping[str, str] | None = None,
    besides: Mapping[str, object] | None = None,
) -> Release:
    """
    Replace days of a table, also by nothing, after the new rows have passed the table's contract.

    `inputs` says for each day which days of which tables it was built from, whether they were there or not: that is how
    a partition is later known to be stale. `known` is their state (`builds.before`) where the caller had to ask for it earlier:
    before anything was decided by it. `part` narrows what is replaced to one value of a further partition column.
    `says` is what the snapshot will say of itself (see `snapshot_says`), `besides` what makes the rows beside our code.

    Raises CheckFailedError, with everything left as it was, if a `stop` check fails.
    """
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    checks.import_ahead()
    contract = contracts.load(table)
    # Before the rows are read: what changes while they are makes these days stale.
    if known is None and inputs is not None:
        known = builds.before(lineage.graph(), table, inputs)
    parts = [F.col(name) == value for name, value in (part or {}).items()]
    wanted = reduce(and_, [*parts, day_in(days)])
    selected = rows.select(*[F.col(f"`{c.name}`").cast(c.spark_type).alias(c.name) for c in contract.columns])
    stored = reduce(DataFrame.where, parts, spark.table(shadow.of(table)))
    scope = wanted
    if "day" not in contract.partition:
        # A table too small for a partition per day: the other days of the part are written again.
        scope = reduce(and_, parts)
        selected = selected.unionByName(stored.where(~day_in(days)))
    with attempt(spark, table) as (branch, lock):
        with durable("write", table):
            writer = selected.writeTo(f"{table}.branch_{branch}")
            for name, value in (says or {}).items():
                writer = writer.option(f"snapshot-property.{name}", value)
            writer.overwrite(scope)
        audited = _snapshots(spark, table)[branch]
        # Read once for all checks: a history is hundreds of small files.
        written = spark.table(f"{table}.branch_{branch}").where(wanted).persist()
        try:
            results = checks.audit(spark, contract, written, days, stored=stored, run_id=run_id)
            row_count = written.count()
        finally:
            written.unpersist()
        with durable("checks", table):
            records.record_checks(run_id, days.last, table, results)
        checks.refuse(table, days, results)
        lock.verify()
        if inputs is not None and not shadow.cast():
            records.doubt_builds(table, days)
        with durable("release", table):
            release(spark, table, branch, audited)
        if known is not None and inputs is not None:
            with durable("builds", table):
                builds.record(known, table, days, inputs, run_id=run_id, snapshot=audited, besides=besides)
    return Release(table, audited, row_count, tuple(results))
