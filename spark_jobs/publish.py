"""
Publishing: the day's score tables, out of Iceberg and into the schema that SMS tools read.

Reads:  the score tables of all products; recs.ranked_daily, recs.message_daily, recs.item_daily and raw.users;
        marts.permission, marts.profile, marts.recent_assignments and marts.rta_decisions; raw.contacts, raw.devices
Writes: schemas sms and serving in Postgres, in one transaction (rekindle.publishing)
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from ml import registry
from ml.behaviour import state
from ml.inputs import joined
from ml.model import artifact
from ml.model.scorer import Scorer
from ml.products import PRODUCTS, RECOMMENDATION
from ml.registry import why_skipped
from rekindle import publishing, records
from rekindle.bidding.declared import CONTROL_END
from rekindle.days import Days
from rekindle.errors import InputError, RekindleError
from rekindle.landing.phones import keyed, phone_key
from rekindle.landing.zone import LandingZone
from rekindle.permission import Given, supply
from rekindle.permission.numbers import read_number
from rekindle.publishing import answers, publications
from rekindle.publishing.answers import Material
from rekindle.publishing.recommended import Recommended, Trace
from rekindle.settings import settings
from rekindle.warehouse.contracts import load
from rekindle.warehouse.spark import stream
from rekindle.warehouse.tables import read_between, read_days
from spark_jobs.features.states import holds_on, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date, datetime

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from ml.products import Product
    from rekindle.publishing import PublishResult, ScoreProduct


LOG = logging.getLogger(__name__)

MARTS = {"permission": "permission", "profile": "profile", "recent_assignments": "sent_elsewhere"}
"""Marts of what is known of permission, and what publishing calls it."""

FURTHER = (StructField("phone_e164", StringType()), StructField("phone_hmacs", ArrayType(StringType())))


def main(
    spark: SparkSession, days: Days, run_id: str, *, backfill: bool = False, at: datetime | None = None
) -> PublishResult:
    """
    Publish what the products say of one day, of which readers are shown one; who has nothing to say yet is left out.

    A day without rows can be true; a day that nobody scored looks the same, so the record of its build is asked for.
    """
    (day,) = days
    scored = [product for product in PRODUCTS if day in records.builds(product.table, day, day)]
    absent = {product: why_skipped(product, day, backfill=backfill) for product in PRODUCTS if product not in scored}
    missing = [product.table for product, why in absent.items() if why is None]
    if missing:
        raise _not_scored(f"{' and '.join(missing)} was not scored for {day}.", f"Score it: rekindle run --day {day}")
    if not scored:
        why = "; ".join(f"{product.name}: {why}" for product, why in absent.items())
        raise _not_scored(
            f"No product has scores for {day}. {why}.", " ".join(_what_helps(product, day) for product in absent)
        )
    published: list[ScoreProduct] = [*scored]
    if is_recommended := recommends(day, backfill=backfill):
        published.append(replace(RECOMMENDATION, table=RECOMMENDATION.published))
    scores = {
        one: stream(read_days(spark, one.table, Days.one(day)).orderBy(*load(one.table).identity)) for one in published
    }
    given = None if backfill else known_permission(spark, day)
    answers_wanted = not backfill and settings().publish_inputs
    material = material_of(spark, day, scored) if answers_wanted else None
    shown = recommended_of(spark, day) if answers_wanted and is_recommended else None
    decided = None if backfill else bids_of(spark, day)
    return publishing.publish(
        scores,
        day,
        run_id,
        backfill=backfill,
        given=given,
        material=material,
        recommended=shown,
        decided=decided,
        at=at,
    )


def recommends(day: date, *, backfill: bool) -> bool:
    """Whether the day recommends anything. Where it should have and has none, nothing is published of it."""
    if day in records.builds(RECOMMENDATION.published, day, day):
        return True
    if not backfill and why_skipped(RECOMMENDATION, day) is None:
        raise _not_scored(f"{RECOMMENDATION.table} was not made for {day}.", f"Make it: rekindle run --day {day}")
    return False


def recommended_of(spark: SparkSession, day: date) -> Recommended | None:
    """What the service recommends of the day from: each user's list, and what is known of items; None where nobody has one."""
    ranked = read_days(spark, RECOMMENDATION.table, Days.one(day))
    first = ranked.select("model_name", "model_version", "model_digest").first()
    if first is None:
        return None
    one = F.struct("rank", "item_id", "score", "retriever", "is_fallback")
    lists = ranked.groupBy("user_id").agg(F.array_sort(F.collect_list(one)).alias("list"))
    countries = state(read_between(spark, "raw.users", None, day), "user_id", ("country",)).select("user_id", "country")
    told = {"items": "item_id", "scores": "score", "retrievers": "retriever", "is_fallback": "is_fallback"}
    users = lists.join(countries, "user_id", "left").select(
        "user_id", "country", *[F.col(f"list.{source}").alias(name) for name, source in told.items()]
    )
    items = read_days(spark, "recs.item_daily", Days.one(day)).select(
        "item_id", "title", "category", "users_30_days", "place", "withheld", "countries"
    )
    trace = Trace(*first)
    return Recommended(trace, stream(users.orderBy("user_id")), stream(items.orderBy("item_id")))


def bids_of(spark: SparkSession, day: date) -> pa.RecordBatchReader | None:
    """
    The devices that ads are bid for and, with a multiplier of 0, those that would be if they were not of the control group, and
    whose they are; None where nobody has decided on the day.
    """
    if day not in records.builds(publications.DECISIONS, day, day):
        return None
    is_control = F.col("no_bid_reason") == "control"
    decisions = read_days(spark, publications.DECISIONS, Days.one(day)).where(
        F.col("no_bid_reason").isNull() | is_control
    )
    held = read_between(spark, "raw.devices", None, day).select("id_hash", "user_id").distinct()
    return stream(
        decisions.join(held, "id_hash")
        .select(
            F.unhex("id_hash").alias("id_hash"),
            "user_id",
            F.when(is_control, F.concat("strategy", F.lit(CONTROL_END))).otherwise(F.col("strategy")).alias("strategy"),
            F.when(is_control, 0).otherwise(F.col("multiplier")).cast("float").alias("multiplier"),
        )
        .orderBy("id_hash", "user_id")
    )


def material_of(spark: SparkSession, day: date, scored: Iterable[Product]) -> Material | None:
    """
    What answers about the day are made of: the models that scored it, and what they read of each user; None without a model.

    A product whose population was empty has no model of the day, and one that is not about users is answered by others.
    """
    asked = [product for product in scored if product.is_trained and product.key == ("user_id",)]
    found = {product: used for product in asked if (used := _model_of(spark, product, day))}
    if not found:
        return None
    populations = [read_days(spark, p.population, Days.one(day)).select("day", "user_id") for p in found]
    members = reduce(DataFrame.unionByName, populations).distinct()
    tables = tuple(dict.fromkeys(table for product in found for table in product.features))
    rows = joined(members, tables, lambda table: read_days(spark, table, Days.one(day)))
    read = {name for _, inputs in found.values() for name in inputs}
    rows = rows.select("user_id", *sorted(read)).orderBy("user_id")
    return Material(tuple(model for model, _ in found.values()), stream(rows))


def _model_of(spark: SparkSession, product: Product, day: date) -> tuple[answers.Model, Iterable[str]] | None:
    """
    The model that made the day's scores, by what they say of themselves, and what it reads; None where there are none.

    And where it cannot be had any more: a day is published whether somebody may ask it more or not, and the log says why not.
    """
    lowest = (
        read_days(spark, product.table, Days.one(day))
        .groupBy("model_version", "percentile")
        .agg(F.min("raw_score").alias("lowest"))
        .collect()
    )
    if not lowest:
        return None
    (number,) = {row["model_version"] for row in lowest}
    cut_points = dict.fromkeys(range(1, 101), math.nan) | {row["percentile"]: row["lowest"] for row in lowest}
    try:
        version = registry.version(product, number)
        files = registry.files_of(version)
    except Exception as error:  # noqa: BLE001 - whatever keeps it away, scores do not wait for it
        why = error.what if isinstance(error, RekindleError) else type(error).__name__
        LOG.warning("The service will score nothing by the model of %s: %s", product.name, why)
        return None
    named, archive = (product.name, version.name, number, version.digest), artifact.pack(files)
    return answers.Model(*named, archive, tuple(cut_points.values())), Scorer.from_files(files).inputs


def known_permission(spark: SparkSession, day: date) -> Given:
    """
    What the day knows of permission, as far as its marts were built; what was not built is not known.

    Phones leave the warehouse here, and only of users whom nothing in it speaks against.
    """
    built = {name: f"marts.{name}" for name in MARTS if day in records.builds(f"marts.{name}", day, day)}
    rows = {name: read_days(spark, table, Days.one(day)) for name, table in built.items()}
    if "permission" in rows:
        contacts = read_between(spark, "raw.contacts", None, day)
        rows["permission"] = with_phones(rows["permission"], contacts, day, phone_key())
    return Given(
        **{MARTS[name]: stream(frame) for name, frame in rows.items()},
        why_nothing_new=supply.why_no_new_permission(day),
    )


def with_phones(permission: DataFrame, contacts: DataFrame, day: date, key: str) -> DataFrame:
    """Add phones of users without a code, and the HMACs of what each may be named by."""
    held = (
        spans(contacts, "user_id")
        .where(holds_on(F.lit(day)))
        .select("user_id", "phone", F.col("country").alias("said"))
    )
    joined = permission.join(held, "user_id", "left").withColumn(
        "phone", F.when(F.col("code").isNull(), F.col("phone"))
    )
    schema = StructType([*permission.schema.fields, *FURTHER])
    return joined.select(*permission.columns, "phone", "said").mapInArrow(_phone_reader(key), schema)


def _phone_reader(key: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `mapInArrow` over rows that end with a phone and the country that the contact says."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        for batch in batches:
            numbers = list(map(read_number, batch["phone"].to_pylist(), batch["said"].to_pylist()))
            hmacs = [[keyed(name, key) for name in number.names] for number in numbers]
            added = [
                pa.array([number.e164 for number in numbers], pa.string()),
                pa.array(hmacs, pa.list_(pa.string())),
            ]
            kept = batch.drop_columns(["phone", "said"])
            # The warehouse read the same contact; whatever differs, nobody is texted at no number.
            is_lost = pc.and_(pc.is_null(kept["code"]), pc.is_null(added[0]))
            codes = pc.if_else(is_lost, pa.scalar("invalid_phone"), kept["code"])
            kept = kept.set_column(kept.schema.get_field_index("code"), "code", codes)
            names = [*kept.schema.names, *(field.name for field in FURTHER)]
            yield pa.RecordBatch.from_arrays([*kept.columns, *added], names)

    return read


def _what_helps(product: Product, day: date) -> str:
    """What brings a product into use. Where training has refused each of its models, training again changes nothing."""
    if LandingZone().why_unsupplied(product.sources, day):
        return f"{product.name} begins when {' and '.join(product.sources)} are delivered."
    if tried := registry.versions(product):
        return (
            f"No version of {product.name} has become champion, of {len(tried)}: "
            "it begins when more history lets one pass the gate; `rekindle models` says what was found wrong with each."
        )
    return f"{product.name} begins with its first model: rekindle train {product.name} --day D"


def _not_scored(what: str, todo: str) -> InputError:
    return InputError(what, todo=todo, safe="Nothing was published: readers keep what they had.", code="not_scored")
