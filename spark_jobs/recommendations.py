"""
Recommendations of a day: one learning from all that is known at its end, by the champion's recipe, and the lists it comes to.

Reads:  features.user_item_day, raw.users, raw.items, raw.blocked_items, marts.recall_population, the model registry
Writes: recs.u2i, recs.i2i, recs.c2i, recs.item_daily, recs.ranked_daily, recs.message_daily

All are the same learning, laid out in several ways, so one task writes them. Lists come as Arrow, in parts of some thousand
users: the learning itself happens here, beside Spark, and holds what users did with the items that may be recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ml import behaviour, registry
from ml.products import RECOMMENDATION
from ml.recommendation.lists import Lists
from ml.recommendation.recipe import Recipe
from rekindle import records
from rekindle.days import Days
from rekindle.settings import settings
from rekindle.warehouse import builds, lineage
from rekindle.warehouse.tables import read_days, replace_days, snapshot_id

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from ml.registry import Version
    from rekindle.warehouse.tables import Release

POPULATION = "marts.recall_population"
IN_A_MESSAGE = 3
NAMED = (("item", "item_id"), ("title", "title"))
"""What is said of each of them, and which column says it."""


@dataclass(frozen=True)
class Recommended:
    """What was made of a day: how many rows each table has, by which version, and which rules were on, or why not."""

    row_counts: dict[str, int]
    model: Version
    rules: tuple[str, ...]

    @property
    def row_count(self) -> int:
        return self.row_counts[RECOMMENDATION.table]


def three_of(ranked: DataFrame, items: DataFrame, members: DataFrame) -> DataFrame:
    """
    Lay out the first three items of each member, with their titles; one row per member who is recommended something.

    `ranked` are lists of users (user_id, rank, item_id, is_fallback), `items` has titles (item_id, title).
    """
    first = ranked.where(F.col("rank") <= IN_A_MESSAGE).join(members.select("user_id"), "user_id", "left_semi")
    named = first.join(items.select("item_id", "title"), "item_id", "left")
    places = range(1, IN_A_MESSAGE + 1)
    at = {f"{what}_{n}": F.max(F.when(F.col("rank") == n, F.col(source))) for n in places for what, source in NAMED}
    return named.groupBy("user_id").agg(
        *[value.alias(name) for name, value in at.items()], F.bool_or("is_fallback").alias("is_fallback")
    )


def main(
    spark: SparkSession, days: Days, run_id: str, *, backfill: bool = False, version: str | None = None
) -> Recommended:
    """Recommend on one day, which is that of the learning."""
    (day,) = days
    # Before anything is read: what changes while it is makes these days stale.
    inputs = {table: {day: lineage.graph().windows(table, day)} for table in RECOMMENDATION.tables}
    known = {table: builds.before(lineage.graph(), table, used) for table, used in inputs.items()}
    model, is_backfilled = registry.model_for(RECOMMENDATION, day, backfill=backfill, version=version)
    recipe = Recipe.from_files(registry.files_of(model))
    records.record_snapshots(
        run_id, {name: at for name in (*behaviour.TABLES, POPULATION) if (at := snapshot_id(spark, name)) is not None}
    )
    found = behaviour.read(spark, day, settings())
    learnt = recipe.learnt(found.known, leaves_out_seen=not settings().recommend_again)
    made = Lists(learnt, settings().recommend_places, recipe.is_rule)
    about = registry.told_of(model, is_backfilled=is_backfilled)
    rows = frames(spark, made, found, day)
    stamps = {name: F.lit(value) for name, value in {"day": day, **about, "run_id": run_id}.items()}

    def write(table: str) -> Release:
        return replace_days(
            spark,
            table,
            rows[table].withColumns(stamps),
            days,
            run_id=run_id,
            inputs=inputs[table],
            known=known[table],
            besides=about,
        )

    counts = {table: write(table).row_count for table in RECOMMENDATION.tables}
    return Recommended(counts, model, tuple(map(str, learnt.filtering.states)))


def frames(spark: SparkSession, made: Lists, found: behaviour.Behaviour, day: date) -> dict[str, DataFrame]:
    """Return the rows of each table, as Spark has them."""
    parts = list(made.of_users(found.user_ids))
    ranked = _together(spark, [part for _, part in parts])
    items = _frame(spark, made.items(found.titles))
    return {
        "recs.u2i": _together(spark, [part for part, _ in parts]),
        "recs.i2i": _frame(spark, made.of_items()),
        "recs.c2i": _frame(spark, made.of_cohorts()),
        "recs.item_daily": items,
        "recs.ranked_daily": ranked,
        "recs.message_daily": three_of(ranked, items, _members(spark, day)),
    }


def _members(spark: SparkSession, day: date) -> DataFrame:
    return read_days(spark, POPULATION, Days.one(day))


def _together(spark: SparkSession, parts: list[pa.Table]) -> DataFrame:
    return reduce(DataFrame.unionByName, [_frame(spark, part) for part in parts])


def _frame(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Rows as Spark has them; it finds no types in an empty table."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return spark.createDataFrame(rows) if len(rows) else spark.createDataFrame([], from_arrow_schema(rows.schema))
