"""
Tiles that cannot be added up: which items an activity concerned, one row per delivery, user, activity date and item.

Reads:  raw.orders, raw.events, raw.items
Writes: features.user_item_day
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle.settings import settings
from rekindle.warehouse.activity import Activity
from rekindle.warehouse.tables import read_between, replace_days
from spark_jobs.features.facts import earliest_late_on, looked_up_since, read_facts
from spark_jobs.features.states import holds_on, spans

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
from rekindle.warehouse.tables import Release

TABLE = "features.user_item_day"
TILE = ["day", "user_id", "activity_on", "item_id"]


def user_item_day(orders: DataFrame, events: DataFrame, items: DataFrame, activity: Activity) -> DataFrame:
    """
    Which items a user's activity concerned, by delivery and activity date, with their category as of the delivery.

    `orders` and `events` are facts without repeats, `items` all deliveries of items up to the last of theirs.
    """
    columns = [F.col("day"), F.col("user_id"), F.col("occurred_on").alias("activity_on"), F.col("item_id")]
    bought = orders.where(activity.order).select(*columns)
    did = events.where(activity.event).select(*columns)
    touched = bought.unionByName(did).where("item_id IS NOT NULL").distinct()
    categories = spans(items.select("day", "item_id", "category"), "item_id")
    return touched.join(
        categories.withColumnRenamed("item_id", "known_item_id"),
        (F.col("item_id") == F.col("known_item_id")) & holds_on(F.col("day")),
        "left",
    ).select(*TILE, "category")


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Build the item tiles of some deliveries."""
    facts, inputs = {}, {day: {"raw.items": (date.min, day)} for day in days}
    for table, late_on in earliest_late_on(spark, ("raw.orders", "raw.events"), days).items():
        since = looked_up_since(days, late_on)
        facts[table] = read_facts(spark, table, days, min(since.values())).first
        for day in days:
            inputs[day][table] = (since[day], day)
    items = read_between(spark, "raw.items", None, days.last)
    tiles = user_item_day(facts["raw.orders"], facts["raw.events"], items, Activity.of(settings()))
    return replace_days(spark, TABLE, tiles, days, run_id=run_id, inputs=inputs)
