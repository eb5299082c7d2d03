"""
Tiles that can be added up: one row per delivery, user and activity date.

Reads:  raw.orders, raw.events; features.user_day of earlier deliveries, for dates that already had activity
Writes: features.user_day
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from rekindle.settings import settings
from rekindle.warehouse import contracts
from rekindle.warehouse.activity import Activity
from rekindle.warehouse.tables import day_in, read_between, replace_days
from spark_jobs.features.facts import earliest_late_on, looked_up_since, read_facts, told_apart

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.tables import Release

TABLE = "features.user_day"
FACTS = ("raw.orders", "raw.events")

LONGEST_WINDOW_DAYS = 365
"""Activity older than this enters no window, so nobody asks which delivery was the first to bring it."""

TILE = ["day", "user_id", "activity_on"]

HOURS_OF_PARTS = 6
PARTS = {name: HOURS_OF_PARTS * at for at, name in enumerate(("night", "morning", "afternoon", "evening"))}
"""First hour, UTC, of each part of a day."""


def activities_in(part: str) -> str:
    """Name of the column that counts what was done in a part of a day."""
    return f"activities_{part}"


def user_day(
    orders: DataFrame, counted_orders: DataFrame, events: DataFrame, active: DataFrame, activity: Activity
) -> DataFrame:
    """
    Add up deliveries by delivery day, user and activity date.

    Late rows keep the date they happened on; the delivery they came with is `day`. A window over these tiles is then a
    sum, and no event is ever read twice.

    `orders` and `events` are facts without repeats; `counted_orders` (day, user_id, order_id, occurred_on) are orders
    of which an earlier delivery brought a sale line; `active` (user_id, activity_on, active_since) are dates with
    activity of other deliveries than these, with the first such delivery.
    """
    is_sale, on = F.col("kind") == "sale", F.col("occurred_on").alias("activity_on")
    lines = orders.join(
        counted_orders.withColumn("is_counted", F.lit(True)), ["day", "user_id", "order_id", "occurred_on"], "left"
    )
    bought = lines.groupBy("day", "user_id", on).agg(
        F.count_distinct(F.when(is_sale & F.col("is_counted").isNull(), F.col("order_id"))).alias("orders"),
        F.sum(F.when(is_sale, F.col("amount")).otherwise(0)).alias("sale_amount"),
        F.sum(F.when(is_sale, 0).otherwise(F.col("amount"))).alias("refund_amount"),
        F.max(F.expr(activity.order)).alias("has_order"),
        *[F.count_if(F.expr(activity.order) & one).alias(f"bought {part}") for part, one in _in_parts().items()],
    )
    did = (
        events.groupBy("day", "user_id", on, "type")
        .agg(F.count("*").alias("count"), *[F.count_if(one).alias(part) for part, one in _in_parts().items()])
        .groupBy(*TILE)
        .agg(
            F.map_from_entries(F.sort_array(F.collect_list(F.struct("type", "count")))).alias("event_counts"),
            F.max(F.expr(activity.event)).alias("has_event"),
            *[F.sum(F.when(F.expr(activity.event), F.col(part)).otherwise(0)).alias(f"did {part}") for part in PARTS],
        )
    )
    second = F.unix_seconds("occurred_at")
    stayed = (
        events.where(F.col("session_id").isNotNull())
        .groupBy("day", "user_id", on, "session_id")
        .agg((F.max(second) - F.min(second)).alias("seconds"))
        .groupBy(*TILE)
        .agg(F.count("*").alias("sessions"), F.sum("seconds").alias("stay_seconds"))
    )
    did = did.join(stayed, TILE, "left")
    tiles = bought.join(did, TILE, "full").withColumn(
        "is_active", F.coalesce("has_order", F.lit(False)) | F.coalesce("has_event", F.lit(False))
    )
    first_active = F.min(F.when(F.col("is_active"), F.col("day"))).over(Window.partitionBy("user_id", "activity_on"))
    return (
        tiles.withColumn("is_first", F.col("is_active") & (F.col("day") == first_active))
        .join(active, ["user_id", "activity_on"], "left")
        .select(
            *TILE,
            (F.col("is_first") & (F.col("day") < F.coalesce("active_since", F.lit(date.max)))).alias("is_first"),
            F.coalesce("event_counts", F.create_map().cast("map<string,bigint>")).alias("event_counts"),
            F.coalesce("orders", F.lit(0)).alias("orders"),
            F.coalesce("sale_amount", F.lit(0)).alias("sale_amount"),
            F.coalesce("refund_amount", F.lit(0)).alias("refund_amount"),
            F.coalesce("sessions", F.lit(0)).alias("sessions"),
            F.coalesce("stay_seconds", F.lit(0)).alias("stay_seconds"),
            *[
                (F.coalesce(f"bought {part}", F.lit(0)) + F.coalesce(f"did {part}", F.lit(0))).alias(
                    activities_in(part)
                )
                for part in PARTS
            ],
        )
    )


def _in_parts() -> dict[str, Column]:
    """For each part of a day the condition that a fact occurred in it."""
    hour = F.hour("occurred_at")
    return {part: hour.between(first, first + HOURS_OF_PARTS - 1) for part, first in PARTS.items()}


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Build the tiles of some deliveries."""
    late_on = _late_on(spark, days)
    since = looked_up_since(days, late_on)
    # The delivery before that of a date may hold the first minutes of it.
    seen_since = {day: max(late_on.get(day, day) - timedelta(1), day - timedelta(LONGEST_WINDOW_DAYS)) for day in days}
    orders = read_facts(spark, "raw.orders", days, min(since.values())).first
    events = read_facts(spark, "raw.events", days, min(since.values())).first
    counted = _counted_orders(spark, orders, days, min(seen_since.values()))
    others = read_between(spark, TABLE, min(seen_since.values()), days.last).where(~day_in(days))
    active = others.where("is_first").groupBy("user_id", "activity_on").agg(F.min("day").alias("active_since"))
    tiles = user_day(orders, counted, events, active, Activity.of(settings()))
    inputs = {day: dict.fromkeys(FACTS, (min(since[day], seen_since[day]), day)) for day in days}
    return replace_days(spark, TABLE, tiles, days, run_id=run_id, inputs=inputs)


def _late_on(spark: SparkSession, days: Days) -> dict[date, date]:
    found: dict[date, date] = {}
    for of_table in earliest_late_on(spark, FACTS, days).values():
        for day, on in of_table.items():
            found[day] = min(on, found.get(day, on))
    return found


def _counted_orders(spark: SparkSession, orders: DataFrame, days: Days, since: date) -> DataFrame:
    """Orders of the days of which an earlier delivery brought a sale line, by the delivery that brings further ones."""
    order = ["order_id", "occurred_on"]
    sales = orders.where("kind = 'sale'").select("day", "user_id", *order)
    delivered = read_between(spark, "raw.orders", since, days.last)
    # Lines of one order and date come with several deliveries only where one of them came late, or early. Few do.
    late = sales.where(F.col("occurred_on") < F.col("day")).select(*order)
    early = delivered.where(F.col("occurred_on") > F.col("day")).select(*order)
    torn = F.broadcast(late.unionAll(early).distinct())
    lines = delivered.join(torn, order, "left_semi")
    # A line that repeats another delivery brought nothing.
    brought = told_apart(lines, lines, contracts.load("raw.orders")).first.where("kind = 'sale'")
    brought = brought.select(F.col("day").alias("earlier_day"), "user_id", *order)
    follow = sales.join(brought, ["user_id", *order]).where("earlier_day < day")
    return follow.select("day", "user_id", *order).distinct()
