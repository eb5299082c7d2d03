"""
How features and scores have moved within a week: a check of its own for each, which warns and never stops.

Reads:  features.user; what is published
Writes: rekindle.check_result in Postgres
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from rekindle import records
from rekindle.days import Days
from rekindle.warehouse.contracts import load
from rekindle.warehouse.tables import read_days
from rekindle.watching import judging, published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession

TABLE = "features.user"
WEEK_DAYS = 7
"""The same weekday: what differs between a Sunday and a Monday is no drift."""

SAMPLED_USERS = 20_000
"""So many of a day are enough to see a shift that anybody would act on; the limit follows the number."""

TENTHS = [n / 10 for n in range(1, 10)]
ACCURACY = 1_000


def main(spark: SparkSession, days: Days, run_id: str) -> list[records.CheckResult]:
    """Judge the day's features and scores against those of a week before; where there are none, there is nothing to say."""
    (day,) = days
    before = day - timedelta(WEEK_DAYS)
    results = published.watch(day, before, run_id)
    unwatched = [column.name for column in load(TABLE).columns if not column.is_watched]
    features = read_days(spark, TABLE, Days((before, day))).drop(*unwatched)
    drift = judging.drift(counts(features, day, before), before)
    records.record_checks(run_id, day, judging.watched(TABLE), drift)
    return results + drift


def counts(features: DataFrame, day: date, before: date) -> Mapping[str, tuple[Sequence[int], Sequence[int]]]:
    """
    Rows by bin of each numeric feature on two days, in one pass over a sample of users.

    Bins end at the tenths of the day before; the last one counts users without a value. Empty where either day is.
    """
    numeric = [f.name for f in features.schema.fields if isinstance(f.dataType, T.NumericType)]
    rows: dict[date, int] = dict(features.groupBy("day").count().collect())
    if not rows.get(day) or not rows.get(before):
        return {}
    sampled = features.where(_is_sampled(max(rows.values()))).select(
        "day", *[F.col(name).cast("double").alias(name) for name in numeric]
    )
    tenths = [F.percentile_approx(name, TENTHS, ACCURACY).alias(name) for name in numeric]
    (found,) = sampled.where(F.col("day") == F.lit(before)).agg(*tenths).collect()
    edges = {name: sorted(set(found[name] or ())) for name in numeric}
    bins = [
        F.struct(F.lit(name).alias("name"), _bin(name, edges[name]).alias("bin")) for name in numeric if edges[name]
    ]
    if not bins:
        return {}
    counted = {name: ([0] * (len(edges[name]) + 2), [0] * (len(edges[name]) + 2)) for name in numeric if edges[name]}
    long = sampled.select("day", F.explode(F.array(*bins)).alias("one"))
    for of, name, place, users in long.groupBy("day", "one.name", "one.bin").count().collect():
        counted[name][0 if of == day else 1][place] = users
    return counted


def _is_sampled(rows: int) -> Column:
    """By a stable hash of the user, so that both days show the same people as far as they can."""
    return F.pmod(F.xxhash64("user_id"), F.lit(1_000_000)) < F.lit(min(1.0, SAMPLED_USERS / rows) * 1_000_000)


def _bin(name: str, edges: Sequence[float]) -> Column:
    """How many edges a value has reached, as `width_bucket` counts; one more than there are for no value."""
    reached = F.size(F.filter(F.lit(list(edges)), lambda edge: edge <= F.col(name)))
    return F.when(F.col(name).isNull(), len(edges) + 1).otherwise(reached)
