"""Tiles by each definition of activity, against the reference, which phrases it anew."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rekindle.settings import Settings
from rekindle.warehouse.activity import Activity
from spark_jobs.features.user_day import user_day
from spark_jobs.features.user_item_day import user_item_day
from tests.reference import features
from tests.reference.ingestion import ONE_DAY, Row, World, occurred_on, winning

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST = date(2021, 3, 1)
SECOND = FIRST + ONE_DAY
EXCLUDED = ("don't", "a\\b")
"""Types that would be others, or no SQL, if they were not escaped."""


def sale(day: date, user_id: str, item_id: str | None = "tea", kind: str = "sale") -> Row:
    line = {"order_id": f"{day} {user_id}", "line_id": kind, "user_id": user_id, "occurred_at": noon(day)}
    return Row(line | {"kind": kind, "amount": Decimal("10.00"), "currency": "USD", "item_id": item_id})


def event(day: date, user_id: str, kind: str, item_id: str | None = "mug") -> Row:
    did = {"event_id": f"{day} {user_id} {kind}", "user_id": user_id, "occurred_at": noon(day), "type": kind}
    return Row(did | {"item_id": item_id, "session_id": f"{day} {user_id}"})


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


SHOP = World(
    {
        ("orders", FIRST): [[("a", [sale(FIRST, "ada"), sale(FIRST, "ben"), sale(FIRST, "eve", kind="refund")])]],
        ("orders", SECOND): [[("a", [sale(SECOND, "dov", item_id=None)])]],
        ("events", FIRST): [[("a", [event(FIRST, "ada", "login"), event(FIRST, "cho", "tap")])]],
        ("events", SECOND): [
            [("a", [event(SECOND, "ben", "login"), event(SECOND, "cho", "sales")])],
            [("a", [event(SECOND, "ben", "login"), *(event(SECOND, "cho", kind) for kind in ("sales", *EXCLUDED))])],
        ],
    }
)


@pytest.mark.parametrize("activity", [(), ("login",), ("sales", "login"), ("sales",), EXCLUDED], ids="+".join)
def test_tiles_are_of_what_counts_as_activity(spark: SparkSession, activity: tuple[str, ...]):
    """Who was seen, and with which items: without sales in the list an order adds money, and no active day."""
    not_activity = () if activity else EXCLUDED
    conf = Settings(activity=activity, not_activity=not_activity)
    orders = rows(spark, "orders", "order_id string, line_id string, kind string, amount decimal(18,2)")
    events = rows(spark, "events", "event_id string, type string, session_id string")
    items = spark.createDataFrame([], "day date, item_id string, category string")
    counted = spark.createDataFrame([], "day date, user_id string, order_id string, occurred_on date")
    others = spark.createDataFrame([], "user_id string, activity_on date, active_since date")

    added_up = user_day(orders, counted, events, others, Activity.of(conf))
    of_items = user_item_day(orders, events, items, Activity.of(conf))

    rules: features.Decided = {"activity": activity, "not_activity": not_activity, "dedup_days": 90}
    for found, compute in ((added_up, features.user_day_tiles), (of_items, features.user_item_day_tiles)):
        expected = [tile for day in (FIRST, SECOND) for tile in compute(SHOP, day, **rules)]
        assert sorted((row.asDict() for row in found.collect()), key=place) == sorted(expected, key=place)


def rows(spark: SparkSession, source: str, columns: str) -> DataFrame:
    """The facts of the shop that count, as the jobs read them."""
    columns = f"day date, occurred_on date, occurred_at timestamp, user_id string, item_id string, {columns}"
    names = [column.split()[0] for column in columns.split(", ")]
    facts = [{"day": day, "occurred_on": occurred_on(row)} | row for day, row in winning(SHOP, source, dedup_days=90)]
    return spark.createDataFrame([tuple(fact[name] for name in names) for fact in facts], columns)


def place(tile: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(tile.get(name)) for name in ("day", "user_id", "activity_on", "item_id"))
