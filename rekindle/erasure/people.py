"""Who is erased, and by which phones and devices they are found where no id stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.landing.phones import phone_hmac
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pyspark.sql import DataFrame, SparkSession

    from rekindle.erasure.personal import Holding

IDS, PHONES, DEVICES, TEXTS = "erased_ids", "erased_phones", "erased_devices", "erased_texts"
"""Temporary views that statements name, so that no statement, and no log of one, holds an id."""

LAST_DIGITS = 7
"""Two writings of one number share its last digits, whatever stands before them."""


@dataclass(frozen=True)
class People:
    """Erased people: their ids, their phones as delivered, and the HMACs of phones and hashes of devices that nobody else has."""

    user_ids: frozenset[str]
    phones: frozenset[str] = frozenset()
    phone_hmacs: frozenset[str] = frozenset()
    id_hashes: frozenset[str] = frozenset()

    @property
    def texts(self) -> frozenset[str]:
        """What tells them in a text: ids, and phones in the forms in which they are written."""
        return self.user_ids | {form for phone in self.phones for form in forms_of(phone)}

    def show(self, spark: SparkSession) -> None:
        """Let statements name them by views."""
        for view, column, values in (
            (IDS, "user_id", self.user_ids),
            (PHONES, "phone_hmac", self.phone_hmacs),
            (DEVICES, "id_hash", self.id_hashes),
            (TEXTS, "text", self.texts),
        ):
            rows = [(value,) for value in sorted(values)]
            spark.createDataFrame(rows, f"{column} string").createOrReplaceTempView(view)


def forms_of(phone: str) -> Iterator[str]:
    """A number as it was delivered, its digits, and its international form."""
    import phonenumbers

    yield phone
    digits = phonenumbers.normalize_digits_only(phone)
    if digits:
        yield digits
    if digits.startswith("00"):
        yield digits.removeprefix("00")


def find(
    spark: SparkSession, holdings: Collection[Holding], user_ids: Collection[str], key: str, known: People
) -> People:
    """
    Find the phones and devices of people in every table that holds ids and one of them. `known` is what an earlier attempt found.

    A phone or a device that somebody else has, too, is not erased: what came from it may be theirs.
    """
    ids = frozenset(user_ids)
    People(ids).show(spark)
    places = [
        (_one_a_row(spark.table(f"{CATALOG}.{holding.table}").where(f"{phone} is not null"), phone), phone, id_)
        for holding in holdings
        for phone in holding.of("phone")
        for id_ in holding.of("id")
    ]
    phones: set[str] = set()
    hmacs: set[str] = set(known.phone_hmacs)
    for table, phone, id_ in places:
        mine = table.where(f"{id_} in (select user_id from {IDS})").select(phone).distinct()
        (hmacs if holds_hmacs(phone) else phones).update(row[0] for row in mine.collect())
    hmacs |= {hashed for phone in phones if (hashed := phone_hmac(phone, key))}
    others: set[str] = set()
    for table, phone, id_ in places:
        theirs = table.where(f"{id_} not in (select user_id from {IDS})").select(phone)
        others |= _among(theirs, phone, hmacs) if holds_hmacs(phone) else _among_texts(theirs, phone, phones, key)
    return People(ids, frozenset(phones), frozenset(hmacs - others), _devices(spark, holdings) | known.id_hashes)


def _devices(spark: SparkSession, holdings: Collection[Holding]) -> frozenset[str]:
    """Hashes of devices that the people of the view of ids have, and nobody else."""
    found: set[str] = set()
    others: set[str] = set()
    for holding in holdings:
        for id_ in holding.of("id"):
            for device in holding.of("device"):
                table, is_mine = spark.table(f"{CATALOG}.{holding.table}"), f"{id_} in (select user_id from {IDS})"
                mine = table.where(is_mine).select(device).distinct()
                found |= {row[0] for row in mine.collect()}
                others |= {row[0] for row in table.where(f"not {is_mine}").select(device).join(mine, device).collect()}
    return frozenset(found - others)


def is_hmac(column: str) -> bool:
    """Whether a column of phones holds an HMAC of one in each row."""
    return column.endswith("_hmac")


def holds_hmacs(column: str) -> bool:
    """Whether a column of phones holds HMACs of them, be it one or several in each row."""
    return is_hmac(column) or _is_list(column)


def _is_list(column: str) -> bool:
    return column.endswith("_hmacs")


def _one_a_row(table: DataFrame, phone: str) -> DataFrame:
    """Tell several HMACs of a row in rows of their own."""
    from pyspark.sql import functions as F

    return table.withColumn(phone, F.explode(phone)) if _is_list(phone) else table


def _among(theirs: DataFrame, phone: str, hmacs: Collection[str]) -> set[str]:
    """Which of some HMACs are other people's, too."""
    from pyspark.sql import functions as F

    return {row[0] for row in theirs.where(F.col(phone).isin(sorted(hmacs))).distinct().collect()}


def _among_texts(theirs: DataFrame, phone: str, phones: Collection[str], key: str) -> set[str]:
    """HMACs of other people's phones that end like some; another way of writing a number is the same number."""
    from pyspark.sql import functions as F

    endings = {re.sub(r"\D", "", one)[-LAST_DIGITS:] for one in phones}
    ending = F.substring(F.regexp_replace(phone, r"\D", ""), -LAST_DIGITS, LAST_DIGITS)
    found = theirs.where(ending.isin(sorted(endings))).distinct().collect()
    return {hashed for row in found if (hashed := phone_hmac(row[0], key))}
