"""
What each delivered phone is. The phone itself stays where it is.

Reads:  raw.contacts
Writes: permission.numbers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.landing.phones import keyed, phone_key
from rekindle.permission.numbers import read_number
from rekindle.warehouse.tables import read_days, replace_days

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.tables import Release

TABLE = "permission.numbers"

SCHEMA = """
    day date, user_id string, phone_hmac string, phone_hmacs array<string>, number_kind string, number_country string,
    number_zones string
"""


def numbers(contacts: DataFrame, key: str) -> DataFrame:
    """Read the phones of contacts; `key` is that of the HMACs."""
    return contacts.select("day", "user_id", "phone", "country").mapInArrow(reader(key), SCHEMA)


def reader(key: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `mapInArrow` over rows (day, user_id, phone, country)."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            found = [read_number(row["phone"], row["country"]) for row in batch.to_pylist()]
            hmacs = [[keyed(name, key) for name in number.names] for number in found]
            columns = {
                "day": batch["day"],
                "user_id": batch["user_id"],
                "phone_hmac": pa.array([names[0] if names else None for names in hmacs], pa.string()),
                "phone_hmacs": pa.array(hmacs, pa.list_(pa.string())),
                "number_kind": pa.array([number.kind for number in found], pa.string()),
                "number_country": pa.array([number.country for number in found], pa.string()),
                "number_zones": pa.array(["|".join(number.zones) or None for number in found], pa.string()),
            }
            yield pa.RecordBatch.from_pydict(columns)

    return read


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Read the phones of some deliveries."""
    contacts = read_days(spark, "raw.contacts", days)
    inputs = {day: {"raw.contacts": (day, day)} for day in days}
    return replace_days(spark, TABLE, numbers(contacts, phone_key()), days, run_id=run_id, inputs=inputs)
