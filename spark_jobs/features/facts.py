"""
Reading facts: of several deliveries of one fact the first wins, so the order of loading does not matter.

A fact's identity is its id and the UTC date it occurred on. Only a late row can repeat an earlier delivery, so only
late rows are looked up, `dedup_days` back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rekindle.settings import settings
from rekindle.warehouse import contracts
from rekindle.warehouse.tables import read_between, read_days
from spark_jobs.ingest.rules import TOLERANCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract


@dataclass(frozen=True)
class Facts:
    """Rows of some deliveries: those that are the first of their fact, and those that repeat an earlier delivery."""

    first: DataFrame
    repeats: DataFrame


def is_late(day: Column, occurred_at: Column) -> Column:
    """
    Whether a row could repeat an earlier delivery.

    A delivery may hold rows from up to five minutes after its day, so the first five minutes of a day are late too.
    """
    return occurred_at <= F.timestamp_add("SECOND", F.lit(TOLERANCE_SECONDS), day.cast("timestamp"))


def earliest_late_on(spark: SparkSession, tables: Sequence[str], days: Days) -> dict[str, dict[date, date]]:
    """For each table and delivery day with late rows, the earliest date one of them occurred on. One query."""
    late = [
        read_days(spark, table, days)
        .where(is_late(F.col("day"), F.col(contracts.load(table).happened_at)))
        .select(F.lit(table).alias("table"), "day", "occurred_on")
        for table in tables
    ]
    found = reduce(DataFrame.unionAll, late).groupBy("table", "day").agg(F.min("occurred_on").alias("on")).collect()
    return {table: {row["day"]: row["on"] for row in found if row["table"] == table} for table in tables}


def looked_up_since(days: Days, late_on: Mapping[date, date]) -> dict[date, date]:
    """
    For each day, the first delivery day in which its late rows are looked up; the day itself where it has none.

    That is the day before the earliest of them occurred: its delivery may hold the first minutes of the next day.
    """
    bound = timedelta(settings().dedup_days)
    return {day: max(late_on[day] - timedelta(1), day - bound) if day in late_on else day for day in days}


def read_facts(spark: SparkSession, table: str, days: Days, since: date) -> Facts:
    """
    Facts of the days' deliveries, told apart from repeats of deliveries from `since` on.

    `since` is the earliest of `looked_up_since`.
    """
    return told_apart(
        read_days(spark, table, days), read_between(spark, table, since, days.last), contracts.load(table)
    )


def told_apart(rows: DataFrame, delivered: DataFrame, contract: Contract) -> Facts:
    """Rows of a table of facts, told apart by whether an earlier row of `delivered` is of the same fact."""
    identity = list(contract.identity)
    late = rows.where(is_late(F.col("day"), F.col(contract.happened_at))).select("day", *identity)
    earlier = delivered.select(F.col("day").alias("earlier_day"), *identity)
    age = F.datediff("day", "earlier_day")
    repeated = late.join(earlier, identity).where(age.between(1, settings().dedup_days)).select("day", *identity)
    # The late rows are few: what is looked up is sent to the rows, and not the rows to it.
    repeated = F.broadcast(repeated.distinct())
    return Facts(
        first=rows.join(repeated, ["day", *identity], "left_anti"),
        repeats=rows.join(repeated, ["day", *identity], "left_semi"),
    )
