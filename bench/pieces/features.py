"""Features of a day from the day before, beside what others take for fewer columns of the same events and tiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from bench.anchors import questions
from bench.measured import Measured, clock
from bench.world import FOLDER, World, anchor
from rekindle.days import ONE_DAY, Days

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

LAST = date(2025, 6, 30)
DAYS = 366


@dataclass(frozen=True)
class Crowd:
    """Users of whom nothing but numbers is drawn; see bench/anchors/events.py."""

    name: str
    users: int
    orders_every: int
    """Days between a user's orders, on average."""
    most_events: int
    """Of a user and day; 0 where nobody does anything but order."""

    @property
    def folder(self) -> Path:
        return FOLDER / "crowds" / self.name

    def draw(self) -> None:
        """Write what is not there yet."""
        arguments = [self.folder, self.users, DAYS, LAST, self.orders_every, self.most_events]
        anchor("events", *arguments)


BUSY = Crowd("busy", 129_000, 33, 4)
SHOP = Crowd("shop", 200_000, 20, 0)

AT_MOST = {"over the tiles": 0.6, "from the events": 0.15}
"""Of what DuckDB takes, by what it is asked of."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aim b."""
    yield from _busy()
    yield from _shop()


def _busy() -> Iterator[Measured]:
    BUSY.draw()
    others = json.loads(anchor("contenders", BUSY.folder, LAST))
    print(f"  {others}", flush=True)
    world = World(f"features-{BUSY.name}")
    spark = _loaded(world, BUSY)
    defined, alone, released = _ours(spark)
    _compare(spark, [told["sums"] for by in others.values() for told in by.values()])
    what = f"features of a day of {BUSY.users:,} users"
    for of, at_most in AT_MOST.items():
        for name, told in others[of].items():
            limit = at_most if name.startswith("DuckDB") else None
            yield Measured("b", f"{what}, without audit and release", alone, told["seconds"], f"{name} {of}", limit)
            yield Measured("b", f"{what}, audited and released", released, told["seconds"], f"{name} {of}")
    for name, seconds in _spark(spark, BUSY).items():
        yield Measured("b", f"{what}, without audit and release", alone, seconds, name)
    yield Measured("b", f"{what}, by its definition, audited and released", defined)
    yield Measured("b", "Spark's server, the most at once", world.peak_gib(), unit="GiB")
    world.end()


def _shop() -> Iterator[Measured]:
    SHOP.draw()
    world = World(f"features-{SHOP.name}")
    _, alone, released = _ours(_loaded(world, SHOP))
    what = f"features of a day of {SHOP.users:,} users who order every {SHOP.orders_every} days, a year"
    yield Measured("b", f"{what}, audited and released", released, at_most=10)
    yield Measured("b", f"{what}, without", alone)
    world.end()


def _loaded(world: World, crowd: Crowd) -> SparkSession:
    """A platform with the crowd's tiles: loaded by Spark, for here the days before are given."""
    from rekindle import platform
    from rekindle.warehouse.spark import session

    platform.up(world.home.path, tools=())
    spark = session()
    _append("features.user_day", _tiles(spark.read.parquet(f"{crowd.folder}/tiles")))
    items = spark.read.parquet(f"{crowd.folder}/items").withColumnRenamed("active_on", "activity_on")
    _append("features.user_item_day", items.withColumn("day", F.col("activity_on")))
    first = LAST - timedelta(DAYS)
    users = spark.range(crowd.users).select(
        F.concat(F.lit("u"), F.lpad(F.col("id").cast("string"), 7, "0")).alias("user_id"),
        F.lit(first).cast("timestamp").alias("registered_at"),
        F.lit(first).alias("day"),
    )
    _append("raw.users", users)
    return spark


def _tiles(rows: DataFrame) -> DataFrame:
    counts = [
        F.when(F.col(f"n_{one}") > 0, F.struct(F.lit(one), F.col(f"n_{one}").cast("bigint")))
        for one in sorted(questions.TYPES)
    ]
    return rows.select(
        F.col("active_on").alias("day"),
        "user_id",
        F.col("active_on").alias("activity_on"),
        F.lit(True).alias("is_first"),
        F.map_from_entries(F.array_compact(F.array(*counts))).alias("event_counts"),
        F.col("orders").cast("bigint").alias("orders"),
        F.col("sale_amount").cast("decimal(18,2)").alias("sale_amount"),
        *[F.col(part).cast("bigint").alias(f"activities_{part}") for part in questions.PARTS],
    )


def _append(table: str, rows: DataFrame) -> None:
    """Add rows to a table; of the columns that they lack, none is known, or there is nothing of them."""
    from rekindle.warehouse import contracts

    columns = [
        F.col(c.name).cast(c.spark_type).alias(c.name)
        if c.name in rows.columns
        else F.lit(0 if c.spark_type in {"bigint", "decimal(18,2)"} else None).cast(c.spark_type).alias(c.name)
        for c in contracts.load(table).columns
    ]
    rows.select(*columns).writeTo(table).append()


def _ours(spark: SparkSession) -> tuple[float, float, float]:
    """Seconds of the day before by its definition, of the last day made of it, and of that audited and released."""
    from rekindle import records
    from spark_jobs.features import day_before, user

    last, before = Days.one(LAST), Days.one(LAST - ONE_DAY)
    with records.own_run("bench", last) as run_id:
        with clock() as defined:
            user.release(spark, before, run_id, user.defined(spark, before))
        with clock() as alone:
            stepped = day_before.user(spark, LAST)
            if stepped is None:
                raise AssertionError("the day before was not found to stand")
            _nowhere(stepped)
        with clock() as released:
            user.main(spark, last, run_id)
    return defined[0], alone[0], released[0]


def _nowhere(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _spark(spark: SparkSession, crowd: Crowd) -> Mapping[str, float]:
    """Seconds of plain Spark SQL, in the same server, for what DuckDB is asked."""

    def of(name: str, width: int) -> str:
        first = LAST - timedelta(width - 1)
        files = sorted((crowd.folder / name).glob("*.parquet"))
        spark.read.parquet(*[str(file) for file in files if file.stem >= str(first)]).createOrReplaceTempView(
            view := f"{name}_{width}"
        )
        return view

    tiles, items = f"select * from {of('tiles', 365)}", f"select * from {of('items', questions.ITEM_DAYS)}"
    found = {}
    with clock() as seconds:
        _nowhere(spark.sql(questions.features(tiles, items, str(LAST))))
    found["Spark over the tiles"] = seconds[0]
    tiles = questions.tiles(of("events", 365), of("orders", 365))
    items = questions.items(of("events", questions.ITEM_DAYS), str(LAST))
    with clock() as seconds:
        _nowhere(spark.sql(questions.features(tiles, items, str(LAST))))
    found["Spark from the events"] = seconds[0]
    return found


def _compare(spark: SparkSession, others: Sequence[Sequence[float]]) -> None:
    """Refuse to compare seconds of different answers: sums over all users must be those that the others have found."""
    from rekindle.warehouse.tables import read_days

    views = F.coalesce(F.col("event_counts_28d")["view"], F.lit(0))
    rows = read_days(spark, "features.user", Days.one(LAST)).withColumn("n_view_28d", views)
    found = rows.agg(*[F.sum(name) for name in questions.SUMS]).collect()[0]
    ours = [round(float(value), 2) for value in found]
    for theirs in others:
        if [round(value, 2) for value in theirs] != ours:
            raise AssertionError(f"of {', '.join(questions.SUMS)} others have {theirs}, ours are {ours}")
