"""
Who was assigned to which arm, on the days on which what came of it becomes known.

Reads:  the assignments and the holdout of Postgres, which are never changed; raw.messages
Writes: campaigns.assignment

Assignments are taken when their outcome is complete and not when they are made: a campaign that was planned days after
the scores it was planned with is measured like any other, and a day that is built again says the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from ml.products import PRODUCTS, labels_of
from rekindle import postgres
from rekindle.campaigns.offers import offers
from rekindle.settings import settings
from rekindle.warehouse.tables import read_between, replace_days
from spark_jobs.features.states import holds_on, spans

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.postgres import Connection
    from rekindle.warehouse.tables import Release

TABLE = "campaigns.assignment"

MESSAGES_DAYS = 120
"""Messages are looked up so far back: further than the longest label that is learnt from, of 90 days, takes to be complete."""

SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "campaign_id": pa.string(),
        "user_id": pa.string(),
        "feature_day": pa.date32(),
        "arm": pa.string(),
        "is_control": pa.bool_(),
        "probability": pa.float64(),
        "cluster": pa.string(),
        "segment": pa.string(),
        "return_probability": pa.float64(),
        "value_if_returns": pa.decimal128(18, 2),
        "redeemed_by": pa.string(),
        "cost": pa.decimal128(18, 6),
    }
)

PLANNED = """
select 'planned', campaign_id, user_id, planned_for, arm, is_control, probability, coalesce(phone_hmac, user_id), segment,
    return_probability, value_if_returns::numeric(18, 2), offer, case when not is_control then cost::numeric(18, 6) end
from rekindle.assignment join rekindle.campaign using (campaign_id)
where planned_for = any(%s)
"""

HOLDOUT = """
select 'holdout', 'holdout', user_id, decided_on, case when is_held_out then 'held out' else 'may be texted' end,
    is_held_out, case when is_held_out then share else 1 - share end, coalesce(phone_hmac, user_id), null, null, null, null, null
from (
    -- Whoever had several phones counts once, in the arm and on the day of the first.
    select distinct on (user_id) * from rekindle.holdout order by user_id, holdout_id
) as first
where decided_on = any(%s)
"""

CAMPAIGNS = "select campaign_id from rekindle.campaign"


def ripening(days: Iterable[date], windows_end: Iterable[int], lateness_days: int) -> list[tuple[date, date]]:
    """Pair each day with the feature days of which it completes a label; labels that end together are one."""
    ends = sorted(set(windows_end))
    return [(day, day - timedelta(end + lateness_days)) for day in days for end in ends]


def as_of_days(messages: DataFrame, days: DataFrame, since_days: int) -> DataFrame:
    """Messages as they were known with each of the `days` (day), of those delivered in the `since_days` before it."""
    known = spans(messages, "message_id").join(F.broadcast(days), holds_on(F.col("day")))
    return known.where(F.col("from_day") >= F.date_sub("day", since_days))


def told_by_messages(messages: DataFrame, planned: DataFrame) -> DataFrame:
    """
    Assignments of campaigns that were planned elsewhere, from the messages as of some days.

    `planned` are the campaigns that we know better (campaign_id). A user counts once in a campaign, from the first message
    on; one who is in both arms counts in none, because nobody can say which it was meant to be.
    """
    return (
        messages.where("sent_at is not null")
        .join(F.broadcast(planned), "campaign_id", "left_anti")
        .groupBy("day", "campaign_id", "user_id")
        .agg(
            F.min(F.to_date("sent_at")).alias("assigned_on"),
            F.min("arm").alias("arm"),
            F.max("arm").alias("other"),
            F.sum(F.when(F.col("arm") == "treatment", F.col("cost"))).alias("cost"),
        )
        .where("arm = other")
        .select(
            "day",
            F.lit("elsewhere").alias("kind"),
            "campaign_id",
            "user_id",
            F.date_sub("assigned_on", 1).alias("feature_day"),
            "arm",
            (F.col("arm") == "control").alias("is_control"),
            F.lit(None).cast("double").alias("probability"),
            F.col("user_id").alias("cluster"),
            F.lit(None).cast("string").alias("segment"),
            F.lit(None).cast("double").alias("return_probability"),
            F.lit(None).cast("decimal(18,2)").alias("value_if_returns"),
            F.lit(None).cast("string").alias("redeemed_by"),
            "cost",
        )
    )


def with_reported_cost(assigned: DataFrame, messages: DataFrame) -> DataFrame:
    """Let what the tool has reported take the place of what was planned; a control has cost nothing, whatever is said."""
    key = ["day", "campaign_id", "user_id"]
    reported = messages.groupBy(*key).agg(F.sum("cost").alias("reported"))
    cost = F.when(~F.col("is_control"), F.coalesce("reported", "cost"))
    return assigned.join(reported, key, "left").withColumn("cost", cost).drop("reported")


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Find whose outcomes become known on some days."""
    labels = labels_of(PRODUCTS, settings())
    pairs = ripening(days, (int(label["to_day"]) for label in labels), settings().lateness_days)
    kept, names = _kept(sorted({feature_day for _, feature_day in pairs}))
    ripe = spark.createDataFrame(pairs, "day date, feature_day date")
    planned = _frame(spark, names)
    delivered = read_between(spark, "raw.messages", days.first - timedelta(MESSAGES_DAYS), days.last)
    messages = as_of_days(delivered, ripe.select("day").distinct(), MESSAGES_DAYS)
    ours = with_reported_cost(_frame(spark, kept).join(F.broadcast(ripe), "feature_day"), messages)
    theirs = told_by_messages(messages, planned).join(F.broadcast(ripe), ["day", "feature_day"])
    inputs = {day: {"raw.messages": (day - timedelta(MESSAGES_DAYS), day)} for day in days}
    return replace_days(spark, TABLE, ours.unionByName(theirs), days, run_id=run_id, inputs=inputs)


def _frame(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Rows as Spark has them. Before the first campaign there are none, and Spark finds no types in an empty table."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return spark.createDataFrame(rows) if len(rows) else spark.createDataFrame([], from_arrow_schema(rows.schema))


def _kept(feature_days: list[date]) -> tuple[pa.Table, pa.Table]:
    """What Postgres keeps: assignments of some days, and the names of all campaigns that were planned here."""
    redeemed_by = {offer.name: offer.redeemed_by for offer in offers().offers}

    def work(connection: Connection) -> tuple[pa.Table, pa.Table]:
        rows = [row for question in (PLANNED, HOLDOUT) for row in connection.execute(question, [feature_days])]
        columns = dict(zip(SCHEMA.names, zip(*rows, strict=True) if rows else [()] * len(SCHEMA), strict=True))
        # An offer that conf no longer knows is not recognised when it is redeemed.
        columns["redeemed_by"] = tuple(redeemed_by.get(offer) for offer in columns["redeemed_by"])
        arrays = [pa.array(columns[kind.name], kind.type) for kind in SCHEMA]
        names = [name for (name,) in connection.execute(CAMPAIGNS)]
        return pa.table(arrays, schema=SCHEMA), pa.table({"campaign_id": pa.array(names, pa.string())})

    return postgres.transact(work)
