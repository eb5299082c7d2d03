"""
Replies that ask for no more messages.

Reads:  raw.replies
Writes: permission.opt_outs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.permission.messaging import messaging
from rekindle.permission.replies import is_opt_out
from rekindle.warehouse.tables import read_days, replace_days

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.tables import Release

TABLE = "permission.opt_outs"

SCHEMA = "day date, reply_id string, occurred_on date, phone_hmac string, at timestamp"


def opt_outs(replies: DataFrame, harmless: frozenset[str]) -> DataFrame:
    """Replies that are opt-outs, without what they say; `harmless` are the words of which a reply may consist that is none."""
    read = replies.selectExpr("day", "reply_id", "occurred_on", "phone_hmac", "received_at AS at", "text")
    return read.mapInArrow(reader(harmless), SCHEMA)


def reader(harmless: frozenset[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `mapInArrow` that keeps opt-outs and leaves out the text, the last column."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            mask = pa.array([is_opt_out(text, harmless) for text in batch["text"].to_pylist()], pa.bool_())
            yield batch.select(batch.schema.names[:-1]).filter(mask)

    return read


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Find the opt-outs of some deliveries."""
    replies = read_days(spark, "raw.replies", days)
    inputs = {day: {"raw.replies": (day, day)} for day in days}
    rows = opt_outs(replies, messaging().harmless_words)
    return replace_days(spark, TABLE, rows, days, run_id=run_id, inputs=inputs)
