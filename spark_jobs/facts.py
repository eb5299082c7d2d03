"""
Reading facts: of several deliveries of one fact the first wins, so the order of loading does not matter.

A fact's identity is its id and the UTC date it occurred on. Only a late row can repeat an earlier delivery, so only late
rows are looked up, `dedup_days` back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle import contracts
from rekindle.settings import settings
from rekindle.tables import read_between, read_days
from spark_jobs.rules import TOLERANCE_SECONDS

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days


@dataclass(frozen=True)
class Facts:
    """Rows of some deliveries: those that are the first of their fact, and those that repeat an earlier delivery."""

    first: DataFrame
    repeats: DataFrame


def is_late(day: Column, occurred_at: Column) -> Column:
    """
    Whether a row could repeat an earlier delivery.

    A delivery may hold rows from up to five minutes after its day, so the first five minutes of a day count as late too.
    """
    return occurred_at <= F.timestamp_add("SECOND", F.lit(TOLERANCE_SECONDS), day.cast("timestamp"))


def earliest_late_on(rows: DataFrame) -> dict[date, date]:
    """For each delivery day with late rows, the earliest date one of them occurred on, or the day before. One query."""
    late = rows.where(is_late(F.col("day"), F.col("occurred_at")))
    found = late.groupBy("day").agg(F.min("occurred_on").alias("on")).collect()
    return {row["day"]: min(row["on"], row["day"] - timedelta(1)) for row in found}


def looked_up_since(days: Days, late_on: dict[date, date]) -> dict[date, date]:
    """For each day, the first delivery day in which its late rows are looked up; the day itself where it has none."""
    bound = timedelta(settings().dedup_days)
    return {day: max(late_on.get(day, day), day - bound) for day in days}


def read_facts(spark: SparkSession, table: str, days: Days, since: date) -> Facts:
    """
    Facts of the days' deliveries, told apart from repeats of deliveries from `since` on.

    `since` is the earliest of `looked_up_since`.
    """
    identity = list(contracts.load(table).identity)
    rows = read_days(spark, table, days)
    late = rows.where(is_late(F.col("day"), F.col("occurred_at"))).select("day", *identity)
    earlier = read_between(spark, table, since, days.last).select(F.col("day").alias("earlier_day"), *identity)
    age = F.datediff("day", "earlier_day")
    repeated = late.join(earlier, identity).where(age.between(1, settings().dedup_days)).select("day", *identity)
    # The late rows are few: what is looked up is sent to the rows, and not the rows to it.
    repeated = F.broadcast(repeated.distinct())
    return Facts(
        first=rows.join(repeated, ["day", *identity], "left_anti"),
        repeats=rows.join(repeated, ["day", *identity], "left_semi"),
    )
