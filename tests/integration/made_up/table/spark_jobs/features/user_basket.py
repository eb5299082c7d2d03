"""
How each user bought of late: one row per user and day with a sale within 28 days. Made up, for a test.

Reads:  features.user_day
Writes: features.user_basket
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle.warehouse import contracts, lineage
from rekindle.warehouse.tables import read_between, replace_days
from spark_jobs.features.user import KEY, entered, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.tables import Release

TABLE = "features.user_basket"
FAMILY = "sale_days_{w}d"


def user_basket(tiles: DataFrame, days: DataFrame, windows: Sequence[int]) -> DataFrame:
    """Dates with a sale, and what a date brought on average, of each user and day that has any."""
    sales = entered(tiles.where("sale_amount > 0"), F.broadcast(days), max(windows))
    by_date = sales.groupBy(*KEY, "activity_on").agg(F.sum("sale_amount").alias("sale_amount"))
    return by_date.groupBy(*KEY).agg(
        F.avg(F.col("sale_amount").cast("double")).alias("basket_28d"),
        *[F.count_if(within(w)).alias(FAMILY.format(w=w)) for w in windows],
    )


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Build some days."""
    read = {day: lineage.graph().windows(TABLE, day) for day in days}
    tiles = read_between(spark, "features.user_day", read[days.first]["features.user_day"][0], days.last)
    asked = spark.createDataFrame([(day,) for day in days], "day date")
    rows = user_basket(tiles, asked, contracts.load(TABLE).windows(FAMILY))
    return replace_days(spark, TABLE, rows, days, run_id=run_id, inputs=read)
