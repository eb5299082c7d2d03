"""
Publishing: the day's score tables, out of Iceberg and into the schema that SMS tools read.

Reads:  the score tables of all products
Writes: schema sms in Postgres, in one transaction (rekindle.publishing)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products import PRODUCTS
from rekindle import publishing, records
from rekindle.days import Days
from rekindle.deliveries import LandingZone
from rekindle.errors import InputError
from rekindle.tables import read_days

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

    from rekindle.publishing import PublishResult


def main(spark: SparkSession, day: date, run_id: str, *, backfill: bool = False) -> PublishResult:
    """
    Publish what the products say of a day; products whose sources have never delivered are left out.

    A day without rows can be true; a day that nobody scored looks the same, so the record of its build is asked for.
    """
    zone = LandingZone()
    present = [product for product in PRODUCTS if not zone.never_delivered(product.sources, day)]
    for product in present:
        if day not in records.builds(product.table, day, day):
            raise InputError(
                f"{product.table} was not scored for {day}.",
                todo=f"Score the day first: rekindle run --day {day}",
                safe="Nothing was published: readers keep what they had.",
                code="not_scored",
            )
    scores = {product: read_days(spark, product.table, Days.one(day)).toArrow() for product in present}
    return publishing.publish(scores, day, run_id, backfill=backfill)
