"""
What was known about each user at the end of a day: windows over tiles, never over events.

Reads:  features.user_day, features.user_item_day, raw.users
Writes: features.user

A feature is a line of the contract and an expression here: the contract says for which windows, of which type, and what stands
where nothing was counted.

A tile enters a window of D at max(activity, delivery) and leaves it at activity + w. The tiles of a range are joined to
the days that are asked for, so a range is one plan, and one day is the same plan with one day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from rekindle.warehouse import contracts, lineage
from rekindle.warehouse.tables import read_between, replace_days
from spark_jobs.features.states import holds_on, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Contract
    from rekindle.warehouse.tables import Release

TABLE = "features.user"
KEY = ["user_id", "day"]


def user(users: DataFrame, tiles: DataFrame, item_tiles: DataFrame, days: DataFrame) -> DataFrame:
    """
    Features of each user registered by the end of each of `days` (one column, `day`).

    `users` are all deliveries of users, `tiles` and `item_tiles` those of the deliveries that the windows need.
    """
    days = F.broadcast(days)
    contract = contracts.load(TABLE)
    known = entered(tiles, days, _longest(contract, *TILE_FAMILIES, EVENT_COUNTS))
    items = entered(item_tiles, days, _longest(contract, *ITEM_FAMILIES))
    features = (
        registered(users, days)
        .join(behaviour(known, contract), KEY, "left")
        .join(event_counts(known, contract.windows(EVENT_COUNTS)), KEY, "left")
    )
    for family, column in ITEM_FAMILIES.items():
        features = features.join(distinct(items, column, family, contract.windows(family)), KEY, "left")
    return derived(_without_gaps(features, contract))


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


def _active_days(condition: Column) -> Column:
    return F.count_if(F.col("is_first") & condition)


def _total(column: str) -> Callable[[Column], Column]:
    def within_window(condition: Column) -> Column:
        return F.sum(F.when(condition, F.col(column)).otherwise(0))

    return within_window


TILE_FAMILIES: Mapping[str, Callable[[Column], Column]] = {
    "active_days_{w}d": _active_days,
    "orders_{w}d": _total("orders"),
    "sale_amount_{w}d": _total("sale_amount"),
    "refund_amount_{w}d": _total("refund_amount"),
}
"""What a window adds up of its tiles, given the condition that a tile is in it."""

ITEM_FAMILIES = {"distinct_items_{w}d": "item_id", "distinct_categories_{w}d": "category"}
"""Of which column of the item tiles a window counts the different values."""

EVENT_COUNTS = "event_counts_{w}d"

PRIOR = 28
"""Width of the two windows that are compared: four weeks, so that each weekday is in both four times."""


def _longest(contract: Contract, *families: str) -> int:
    return max(w for family in families for w in contract.windows(family))


def behaviour(known: DataFrame, contract: Contract) -> DataFrame:
    """Recency, gaps, and what windows add up. One row per user and day with a tile within the longest window."""
    is_active = F.col("is_first")
    # A date's first tile stands for the date; the one before it, as known on the day, ends the gap.
    earlier = Window.partitionBy(*KEY).orderBy("activity_on").rowsBetween(Window.unboundedPreceding, -1)
    previous = F.last(F.when(is_active, F.col("activity_on")), ignorenulls=True).over(earlier)
    gap = F.when(is_active, F.datediff("activity_on", previous))
    sums = {
        family.format(w=w): in_window(within(w))
        for family, in_window in TILE_FAMILIES.items()
        for w in contract.windows(family)
    }
    prior = within(PRIOR, since=PRIOR)
    sums["active_days_prior_28d"] = _active_days(prior)
    sums["sale_amount_prior_28d"] = _total("sale_amount")(prior)
    return (
        known.withColumn("gap", gap)
        .groupBy(*KEY)
        .agg(
            F.datediff("day", F.max(F.when(is_active, F.col("activity_on")))).alias("recency_days"),
            F.avg("gap").alias("gap_mean_days"),
            F.stddev_pop("gap").alias("gap_spread_days"),
            *[total.cast(contract.column(name).spark_type).alias(name) for name, total in sums.items()],
        )
    )


def event_counts(known: DataFrame, windows: Sequence[int]) -> DataFrame:
    """Events by type for each window, types that did not occur left out. One row per user and day with an event."""
    by_type = (
        known.select(*KEY, "activity_on", F.explode("event_counts").alias("type", "events"))
        .groupBy(*KEY, "type")
        .agg(*[F.sum(F.when(within(w), F.col("events"))).alias(f"events_{w}d") for w in windows])
    )

    def as_map(width: int) -> Column:
        counted = F.when(F.col(f"events_{width}d") > 0, F.struct("type", f"events_{width}d"))
        return F.map_from_entries(F.sort_array(F.collect_list(counted))).alias(EVENT_COUNTS.format(w=width))

    return by_type.groupBy(*KEY).agg(*[as_map(w) for w in windows])


def distinct(items: DataFrame, column: str, family: str, windows: Sequence[int]) -> DataFrame:
    """How many different values of a column of the item tiles each window holds: those whose last date is in it."""
    last = items.where(F.col(column).isNotNull()).groupBy(*KEY, column).agg(F.max("activity_on").alias("activity_on"))
    return last.groupBy(*KEY).agg(*[F.count_if(within(w)).alias(family.format(w=w)) for w in windows])


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


def _without_gaps(features: DataFrame, contract: Contract) -> DataFrame:
    """What the contract says of a user of whom nothing is known, where nothing was counted."""

    def nothing(column: contracts.Column) -> Column:
        return F.create_map().cast(column.spark_type) if column.empty == {} else F.lit(column.empty)

    counted = [c for c in contract.columns if c.empty is not None and c.name in features.columns]
    return features.withColumns({c.name: F.coalesce(c.name, nothing(c)) for c in counted})


def derived(features: DataFrame) -> DataFrame:
    """What follows from other features."""
    return features.withColumns(
        {
            "current_gap_ratio": F.col("recency_days") / F.col("gap_mean_days"),
            "active_days_change_28d": F.col("active_days_28d") - F.col("active_days_prior_28d"),
            "sale_amount_change_28d": F.col("sale_amount_28d") - F.col("sale_amount_prior_28d"),
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
