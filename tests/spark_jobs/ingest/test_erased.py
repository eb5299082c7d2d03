"""Deliveries of people who were erased: dropped by the tombstone, counted, and nothing of them is kept."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from rekindle import postgres
from rekindle.days import Days
from rekindle.landing import tombstones
from tests.bad_inputs import bad_input
from tests.spark_jobs.ingest.test_personal import deliver
from tests.spark_jobs.ingest.test_raw import as_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spark_jobs.conftest import Warehouse

DAY = date(2024, 5, 1)
ERASED = "slartibartfast"


def user(user_id: object, registered_at: str = "2024-01-01T00:00:00Z") -> dict[str, object]:
    return {"user_id": user_id, "registered_at": registered_at}


ROWS = (
    *(user(ERASED), user(f"  {ERASED} "), user(ERASED, "no time"), user(ERASED, "2024-01-01T00:00:00")),
    *(user("agrajag"), user(f"{ERASED}a"), user("trillian", "no time")),
)


@pytest.fixture
def tombstone(platform: object) -> Iterator[None]:  # noqa: ARG001 - it is recorded there
    hashed = tombstones.of_user(ERASED)
    postgres.transact(
        lambda connection: connection.execute("insert into rekindle.tombstone values (%s, clock_timestamp())", [hashed])
    )
    yield
    postgres.transact(lambda connection: connection.execute("delete from rekindle.tombstone"))


@bad_input("a user erased, then delivered again in an old file", gets="W")
@pytest.mark.usefixtures("tombstone")
def test_a_user_erased_then_delivered_again_in_an_old_file_is_dropped_and_counted(warehouse: Warehouse):
    """Also in a row that breaks a rule, and where it cannot be told into columns; a time without zone then stops nothing."""
    broken = f'{{"user_id": "{ERASED}", "registered_at": \n'
    deliver(warehouse.landing, "users", DAY, {"old.jsonl": as_jsonl(*ROWS) + broken})

    told = warehouse.ingest(Days.one(DAY), ["users"])["users"].told
    rejected = warehouse.rows("raw.quarantine")

    assert [told[fate] for fate in ("delivered", "loaded", "duplicates", "quarantined")] == [8, 2, 0, 6]
    assert told["warnings"]["erased"] == 5
    assert sorted((row["reason"], row["raw_text"] is None) for row in rejected) == [
        ("bad_time", False),
        *[("erased", True)] * 5,
    ]
    assert {row["user_id"] for row in warehouse.rows("raw.users")} == {"agrajag", f"{ERASED}a"}
