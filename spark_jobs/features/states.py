"""States as of a day: the latest row of a key that was delivered on or before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def spans(states: DataFrame, key: str) -> DataFrame:
    """
    Rows of a state with the days they hold: from `from_day`, their delivery, to before `until_day`, the next one.

    `until_day` is null for the latest row. One row per key and delivery; the column `day` becomes `from_day`.
    """
    ordered = Window.partitionBy(key).orderBy("day")
    return states.withColumn("until_day", F.lead("day").over(ordered)).withColumnRenamed("day", "from_day")


def holds_on(day: Column) -> Column:
    """Condition that a row of `spans` is the state as of `day`."""
    return (F.col("from_day") <= day) & (F.col("until_day").isNull() | (F.col("until_day") > day))
