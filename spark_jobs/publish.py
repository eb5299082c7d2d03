"""
Publishing: the day's score tables, out of Iceberg and into the schema that SMS tools read.

Reads:  the score tables of all products
Writes: schema sms in Postgres, in one transaction (rekindle.publishing)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml import registry
from ml.products import PRODUCTS
from ml.registry import why_skipped
from rekindle import publishing, records
from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.zone import LandingZone
from rekindle.warehouse.contracts import load
from rekindle.warehouse.spark import stream
from rekindle.warehouse.tables import read_days

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from ml.products import Product
    from rekindle.publishing import PublishResult


def main(spark: SparkSession, days: Days, run_id: str, *, backfill: bool = False) -> PublishResult:
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
    scores = {
        product: stream(read_days(spark, product.table, Days.one(day)).orderBy(*load(product.table).identity))
        for product in scored
    }
    return publishing.publish(scores, day, run_id, backfill=backfill)


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
