"""Blocked items are loaded as any source is: what says nothing is blocked, and a later delivery lets an item be shown again."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from rekindle.days import Days

if TYPE_CHECKING:
    from tests.spark_jobs.conftest import Warehouse

DAY = date(2013, 3, 4)


def test_blocked_items_are_loaded_and_may_be_shown_again(warehouse: Warehouse):
    for day, text in ((DAY, "item_id,why\ni1,recalled\ni2,\n"), (DAY + timedelta(1), "item_id,is_blocked\ni1,false\n")):
        folder = warehouse.landing / "blocked_items" / f"day={day}"
        folder.mkdir(parents=True)
        (folder / "rows.csv").write_text(text)
        (folder / "_SUCCESS").touch()
    warehouse.ingest(Days.between(DAY, DAY + timedelta(1)), ["blocked_items"])

    found = {
        (row["day"], row["item_id"]): (row["is_blocked"], row["why"]) for row in warehouse.rows("raw.blocked_items")
    }
    assert found == {
        (DAY, "i1"): ("true", "recalled"),
        (DAY, "i2"): ("true", None),
        (DAY + timedelta(1), "i1"): ("false", None),
    }
