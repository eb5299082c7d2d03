"""
Publishing: the day's score tables, out of Iceberg and into the schema that SMS tools read.

Reads:  the score tables of all products
Writes: schema sms in Postgres, in one transaction (rekindle.publishing)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products import PRODUCTS
from rekindle import publishing
from rekindle.days import Days
from rekindle.deliveries import LandingZone
from rekindle.tables import read_days

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from rekindle.publishing import PublishResult


def main(spark: SparkSession, day: date, run_id: str, *, backfill: bool = False) -> PublishResult:
    """Publish what the products say of a day; products whose sources have never delivered are left out."""
    zone = LandingZone()
    present = [product for product in PRODUCTS if not zone.never_delivered(product.sources, day)]
    scores = {product: read_days(spark, product.table, Days.one(day)).toArrow() for product in present}
    return publishing.publish(scores, day, run_id, backfill=backfill)
