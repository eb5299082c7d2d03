"""
What was known about each user at the end of a day: windows over tiles, never over events.

Reads:  features.user_day, features.user_item_day, raw.users
Writes: features.user

A tile enters a window of D at max(activity, delivery) and leaves it at activity + w. The tiles of a range are joined to
the days that are asked for, so a range is one plan, and one day is the same plan with one day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from rekindle.tables import read_between, replace_days
from rekindle.warehouse import lineage
from spark_jobs.states import holds_on, spans

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.tables import Release

TABLE = "features.user"
WINDOWS = (1, 7, 28, 90, 365)
ITEM_WINDOWS = (1, 7, 28)
SUMS = {"orders": "bigint", "sale_amount": "decimal(18,2)", "refund_amount": "decimal(18,2)"}
PRIOR = 28
"""Width of the two windows that are compared: four weeks, so that each weekday is in both four times."""

KEY = ["user_id", "day"]


def user(users: DataFrame, tiles: DataFrame, item_tiles: DataFrame, days: DataFrame) -> DataFrame:
    """
    Features of each user registered by the end of each of `days` (one column, `day`).

    `users` are all deliveries of users, `tiles` and `item_tiles` those of the deliveries that the windows need.
    """
    days = F.broadcast(days)
    known = entered(tiles, days, max(WINDOWS))
    items = entered(item_tiles, days, max(ITEM_WINDOWS))
    features = (
        registered(users, days)
        .join(behaviour(known), KEY, "left")
        .join(event_counts(known), KEY, "left")
        .join(distinct(items, "item_id", "distinct_items"), KEY, "left")
        .join(distinct(items, "category", "distinct_categories"), KEY, "left")
    )
    return _without_gaps_in_counts(features)


def entered(tiles: DataFrame, days: DataFrame, width: int) -> DataFrame:
    """
    Tiles joined to each day whose window of `width` days they are in: one row per tile and such day.

    `day` is from then on the day that is described, `delivered_on` the tile's delivery.
    """
    # All that follows is by user and day: partitioned by user once, the many rows after the join are not moved again.
    mine = tiles.withColumnRenamed("day", "delivered_on").repartition("user_id")
    enters = F.greatest("activity_on", "delivered_on")
    return mine.join(days, (enters <= F.col("day")) & (F.col("activity_on") > F.date_sub("day", width)))


def within(width: int, since: int = 0) -> Column:
    """Condition that a tile of `entered` is in the window of `width` days that ended `since` days ago."""
    on = F.col("activity_on") > F.date_sub("day", width + since)
    return on & (F.col("activity_on") <= F.date_sub("day", since)) if since else on


def behaviour(known: DataFrame) -> DataFrame:
    """Recency, active days, sums and gaps. One row per user and day with a tile within the longest window."""
    is_active = F.col("is_first")
    # A date's first tile stands for the date; the one before it, as known on the day, ends the gap.
    earlier = Window.partitionBy(*KEY).orderBy("activity_on").rowsBetween(Window.unboundedPreceding, -1)
    previous = F.last(F.when(is_active, F.col("activity_on")), ignorenulls=True).over(earlier)
    gap = F.when(is_active, F.datediff("activity_on", previous))

    def active_days(condition: Column) -> Column:
        return F.count_if(is_active & condition)

    def total(column: str, condition: Column) -> Column:
        return F.sum(F.when(condition, F.col(column)).otherwise(0)).cast(SUMS[column])

    prior = within(PRIOR, since=PRIOR)
    return (
        known.withColumn("gap", gap)
        .groupBy(*KEY)
        .agg(
            F.datediff("day", F.max(F.when(is_active, F.col("activity_on")))).cast("int").alias("recency_days"),
            *[active_days(within(w)).alias(f"active_days_{w}d") for w in WINDOWS],
            *[total(column, within(w)).alias(f"{column}_{w}d") for column in SUMS for w in WINDOWS],
            F.avg("gap").alias("gap_mean_days"),
            F.stddev_pop("gap").alias("gap_spread_days"),
            active_days(prior).alias(f"active_days_prior_{PRIOR}d"),
            total("sale_amount", prior).alias(f"sale_amount_prior_{PRIOR}d"),
        )
    )


def event_counts(known: DataFrame) -> DataFrame:
    """Events by type for each window, types that did not occur left out. One row per user and day with an event."""
    by_type = (
        known.select(*KEY, "activity_on", F.explode("event_counts").alias("type", "events"))
        .groupBy(*KEY, "type")
        .agg(*[F.sum(F.when(within(w), F.col("events"))).alias(f"events_{w}d") for w in WINDOWS])
    )

    def as_map(width: int) -> Column:
        counted = F.when(F.col(f"events_{width}d") > 0, F.struct("type", f"events_{width}d"))
        return F.map_from_entries(F.sort_array(F.collect_list(counted))).alias(f"event_counts_{width}d")

    return by_type.groupBy(*KEY).agg(*[as_map(w) for w in WINDOWS])


def distinct(items: DataFrame, column: str, name: str) -> DataFrame:
    """How many different values of a column of the item tiles each window holds: those whose last date is in it."""
    last = items.where(F.col(column).isNotNull()).groupBy(*KEY, column).agg(F.max("activity_on").alias("activity_on"))
    return last.groupBy(*KEY).agg(*[F.count_if(within(w)).alias(f"{name}_{w}d") for w in ITEM_WINDOWS])


def registered(users: DataFrame, days: DataFrame) -> DataFrame:
    """State of each user registered by the end of each day, as it was known then."""
    states = spans(users, "user_id").withColumn("registered_on", F.to_date("registered_at"))
    return (
        states.join(days, holds_on(F.col("day")) & (F.col("registered_on") <= F.col("day")))
        .select(
            *KEY,
            "registered_on",
            F.datediff("day", "registered_on").alias("tenure_days"),
            "country",
            "channel",
            F.coalesce("attributes", F.create_map().cast("map<string,string>")).alias("attributes"),
        )
        .repartition("user_id")
    )


def _without_gaps_in_counts(features: DataFrame) -> DataFrame:
    """Zero where nothing was counted, and what is derived from the counts."""
    zero = [f"active_days_{w}d" for w in WINDOWS]
    zero += [f"{column}_{w}d" for column in SUMS for w in WINDOWS]
    zero += [f"{name}_{w}d" for name in ("distinct_items", "distinct_categories") for w in ITEM_WINDOWS]
    zero += [f"active_days_prior_{PRIOR}d", f"sale_amount_prior_{PRIOR}d"]
    nothing = F.create_map().cast("map<string,bigint>")
    features = features.withColumns(
        {name: F.coalesce(name, F.lit(0)) for name in zero}
        | {f"event_counts_{w}d": F.coalesce(f"event_counts_{w}d", nothing) for w in WINDOWS}
    )
    return features.withColumns(
        {
            "current_gap_ratio": F.col("recency_days") / F.col("gap_mean_days"),
            f"active_days_change_{PRIOR}d": F.col(f"active_days_{PRIOR}d") - F.col(f"active_days_prior_{PRIOR}d"),
            f"sale_amount_change_{PRIOR}d": F.col(f"sale_amount_{PRIOR}d") - F.col(f"sale_amount_prior_{PRIOR}d"),
        }
    )


def inputs(spark: SparkSession, days: Days) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame]:
    """What `user` takes for some days, read from no more partitions than their windows need."""
    first = {name: window[0] for name, window in lineage.graph().windows(TABLE, days.first).items()}
    tiles = read_between(spark, "features.user_day", first["features.user_day"], days.last)
    item_tiles = read_between(spark, "features.user_item_day", first["features.user_item_day"], days.last)
    asked = spark.createDataFrame([(day,) for day in days], "day date")
    return read_between(spark, "raw.users", None, days.last), tiles, item_tiles, asked


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Build the features of some days."""
    read = {day: lineage.graph().windows(TABLE, day) for day in days}
    return replace_days(spark, TABLE, user(*inputs(spark, days)), days, run_id=run_id, inputs=read)
