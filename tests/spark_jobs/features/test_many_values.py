"""A day on which one robot does nearly half of all, and each row has a type and an item of its own: it is built, and told."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from rekindle.days import Days
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spark_jobs.conftest import Warehouse

pytestmark = pytest.mark.slow

DAY = date(2024, 4, 1)
ROWS, OF_THE_ROBOT = 100_000, 40_000


def deliver(landing: Path, source: str, lines: list[str]) -> None:
    folder = landing / source / f"day={DAY}"
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "_SUCCESS").touch()


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> dict[str, dict[str, int]]:
    """Warnings by source, of a day that is built as far as its features."""
    users = [f"{user},2024-01-01T00:00:00Z" for user in ("robot", "ada")]
    events = [f"e{n},{'robot' if n < OF_THE_ROBOT else f'u{n}'},{DAY}T12:00:00Z,kind {n},i{n}" for n in range(ROWS)]
    deliver(warehouse.landing, "users", ["user_id,registered_at", *users])
    deliver(warehouse.landing, "items", ["item_id,category", *(f"i{n},category {n}" for n in range(ROWS))])
    deliver(warehouse.landing, "events", ["event_id,user_id,occurred_at,type,item_id", *events])
    told = warehouse.ingest(Days.one(DAY))
    for table in ("features.user_day", "features.user_item_day", "features.user"):
        warehouse.build(table, Days.one(DAY))
    return {source: one.told["warnings"] for source, one in told.items()}


@bad_input("one user with 40 % of all rows", "1e5 categories", gets="W")
def test_it_is_told_of_the_delivery(built: dict[str, dict[str, int]]):
    assert built["events"]["dominant_user"] == OF_THE_ROBOT
    assert [built[source].get("many_values", 0) for source in ("events", "items", "users")] == [10_000, 10_000, 0]


@bad_input("one user with 40 % of all rows", "1e5 categories", gets="W")
def test_the_run_goes_on_to_its_features(built: dict[str, dict[str, int]], warehouse: Warehouse):
    assert built
    (robot,) = warehouse.rows("features.user", f"day = DATE'{DAY}' AND user_id = 'robot'")

    assert len(robot["event_counts_7d"]) == OF_THE_ROBOT
    assert (robot["distinct_items_7d"], robot["distinct_categories_7d"]) == (OF_THE_ROBOT, OF_THE_ROBOT)
