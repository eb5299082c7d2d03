"""
What recommendations are learnt from, as the warehouse knows it at the end of a day: who had which item, users and items.

Training and the daily run read it here and nowhere else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml.model.protected import Protected
from ml.recommendation import Items, Known, Users
from ml.recommendation.filtering import COUNTRY
from rekindle.warehouse.tables import read_between

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.settings import Settings

TILES, USERS, ITEMS, BLOCKED = "features.user_item_day", "raw.users", "raw.items", "raw.blocked_items"
TABLES = (TILES, USERS, ITEMS, BLOCKED)

NEW_DAYS = 30
"""An item that nobody had yet is new for so long after its first delivery."""

NEW_SHARE = 10
"""New items are at most a tenth of all."""

EPOCH = date(1970, 1, 1)
COLUMNS = (COUNTRY, "channel")
"""Columns of users that are no attributes."""


@dataclass(frozen=True)
class Behaviour:
    """What is known at the end of a day."""

    known: Known
    """Days are counted from 1970; an interaction is one of a user with an item on the day that it was delivered."""
    user_ids: np.ndarray
    """Who is registered, and so may be answered."""
    titles: Mapping[str, str | None]

    @property
    def digest(self) -> str:
        """The digest of what there is to learn from."""
        rows, found = self.known.interactions, hashlib.sha256()
        for column in (rows.users, rows.items, rows.user, rows.item, rows.day):
            found.update(np.ascontiguousarray(column).tobytes())
        return found.hexdigest()


def day_number(day: date) -> float:
    """Return a day as interactions count it."""
    return float((day - EPOCH).days)


def read(spark: SparkSession, day: date, settings: Settings, *, items_until: date | None = None) -> Behaviour:
    """
    Read what was known at the end of `day`.

    Which items there are is decided by the days up to `items_until`: who is judged by later days must not know from them what
    will be popular.
    """
    from pyspark.sql import functions as F

    until = items_until or day
    first = day - timedelta(settings.recommend_memory_days - 1)
    rows = read_between(spark, TILES, first, day).select("user_id", "item_id", "day").distinct()
    often = (
        rows.where(F.col("day") <= F.lit(until))
        .groupBy("item_id")
        .agg(F.count_distinct("user_id").alias("users"))
        .orderBy(F.desc("users"), "item_id")
        .limit(settings.recommend_items)
    )
    chosen = often.toArrow().column("item_id").to_pylist()
    items = _items(spark, day, until, chosen, settings).toArrow()
    wanted = spark.createDataFrame([(item,) for item in chosen], "item_id string")
    did = rows.join(F.broadcast(wanted), "item_id", "left_semi").toArrow()
    users = state(read_between(spark, USERS, None, day), "user_id", ("country", "channel", "attributes")).toArrow()
    blocked = state(read_between(spark, BLOCKED, None, day), "item_id", ("is_blocked",)).toArrow()
    known = Known.of(
        did["user_id"].to_numpy(),
        did["item_id"].to_numpy(),
        did["day"].cast("int32").to_numpy().astype(float),
        items=items_of(items, blocked),
        users=users_of(users, items, settings),
    )
    titles = dict(zip(items["item_id"].to_pylist(), items["title"].to_pylist(), strict=True))
    return Behaviour(known, np.array(sorted(users["user_id"].to_pylist()), str), titles)


def state(rows: DataFrame, key: str, columns: tuple[str, ...]) -> DataFrame:
    """Return the latest row of each key, and since when it is known."""
    from pyspark.sql import functions as F

    latest = F.max_by(F.struct(*columns), "day").alias("state")
    return rows.groupBy(key).agg(latest, F.min("day").alias("first_day")).select(key, "state.*", "first_day")


def _items(spark: SparkSession, day: date, until: date, chosen: list[str], settings: Settings) -> DataFrame:
    """The items that many users had, and new ones that nobody had yet, the latest first."""
    from pyspark.sql import functions as F

    columns = ("category", "title", "in_stock", "countries")
    states = state(read_between(spark, ITEMS, None, day), "item_id", columns)
    had = read_between(spark, TILES, None, until).select("item_id").distinct()
    new = (
        states.where(F.col("first_day").between(F.lit(until - timedelta(NEW_DAYS - 1)), F.lit(until)))
        .join(had, "item_id", "left_anti")
        .orderBy(F.desc("first_day"), "item_id")
        .limit(settings.recommend_items // NEW_SHARE)
    )
    often = spark.createDataFrame([(item,) for item in chosen], "item_id string").join(states, "item_id", "left")
    return often.select(*states.columns).unionByName(new)


def items_of(items: pa.Table, blocked: pa.Table) -> Items:
    """Lay out the states of items; what no row says of any is not known at all."""
    categories = [[] if name is None else [name] for name in items["category"].to_pylist()]
    in_stock, countries = items["in_stock"].to_pylist(), items["countries"].to_pylist()
    held_back = [
        item
        for item, is_blocked in zip(*(blocked[c].to_pylist() for c in ("item_id", "is_blocked")), strict=True)
        if is_blocked == "true"
    ]
    return Items.of(
        np.array(items["item_id"].to_pylist(), str),
        categories,
        blocked=held_back if blocked.num_rows else None,
        in_stock=None if _nothing(in_stock) else [None if one is None else one == "true" for one in in_stock],
        countries=None if _nothing(countries) else [None if one is None else codes(one) for one in countries],
    )


def codes(countries: str) -> list[str]:
    """Return the ISO codes of a text that lists them."""
    return "".join(c if c.isalpha() else " " for c in countries).upper().split()


def users_of(users: pa.Table, items: pa.Table, settings: Settings) -> Users:
    """Lay out what is known of users: by what they are grouped, and their country where items are sold in some only."""
    names = list(settings.recommend_cohorts)
    if COUNTRY not in names and not _nothing(items["countries"].to_pylist()):
        names.append(COUNTRY)
    kept_out = Protected.of(settings)
    told = [dict(one or ()) for one in users["attributes"].to_pylist()]
    columns = {
        name: [one.get(name) for one in told] if name not in COLUMNS else users[name].to_pylist()
        for name in names
        if name in COLUMNS or not kept_out.keeps_out(f"attributes:{name}")
    }
    if COUNTRY in columns:
        columns[COUNTRY] = [text and text.upper() for text in columns[COUNTRY]]
    found = {name: texts for name, texts in columns.items() if not _nothing(texts)}
    return Users.of(np.array(users["user_id"].to_pylist(), str), **found)


def _nothing(values: list[object]) -> bool:
    return all(value is None for value in values)
