"""
A bad batch on its way into a table: what a defect of a job would write.

Python imports this at its start where PYTHONPATH names this folder; `PLANTED_BATCH` says which batch.
"""

import os

from rekindle.warehouse import tables

TABLES = {
    "half the rows": "features.user",
    "null in a key": "features.user",
    "probability of 1.2": "scores.recall_daily",
    "half the chance": "scores.recall_daily",
}


def _spoilt(rows, batch):
    from pyspark.sql import functions as F

    if batch == "half the rows":
        return rows.where("crc32(user_id) % 2 = 0")
    if batch == "null in a key":
        return rows.withColumn("user_id", F.when(F.expr("crc32(user_id) % 50 > 0"), F.col("user_id")))
    if batch == "half the chance":
        return rows.withColumn("return_probability", F.expr("return_probability / 2"))
    return rows.withColumn("return_probability", F.lit(1.2))


def _plant(batch):
    real = tables.replace_days

    def replace_days(spark, table, rows, days, **more):
        return real(spark, table, _spoilt(rows, batch) if table == TABLES[batch] else rows, days, **more)

    # Before a job imports it by its name.
    tables.replace_days = replace_days


if planted := os.environ.get("PLANTED_BATCH"):
    _plant(planted)
