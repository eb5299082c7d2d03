"""Files modelled on public bug reports, which lie beside the public data sets: each ends as it should, delivered or imported."""

from __future__ import annotations

import shutil
from datetime import date
from typing import TYPE_CHECKING

import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling import fill
from rekindle.settings import settings
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.spark_jobs.conftest import Warehouse

DAY = date(2024, 3, 1)

DELIVERED = {
    "all_quarantined": "no_usable_row: .* of 2 rows 2 .*bad_time in column 'occurred_at', first in orders.csv, row 1",
    "open_quote": r"unreadable_delivery: .*orders\.csv is unreadable \(open_quote\)",
    "parquet_twice": r"duplicate_column: .*orders\.parquet has the column 'user_id' twice",
    "three_decimals": "no_usable_row: .* of 3 rows 3 .*too_precise in column 'amount'",
}
IMPORTED = {
    "latin1_header": r"not_utf8: orders\.csv: the names of its columns are not UTF-8.* Write the file in UTF-8",
    "open_quote": r"open_quote: orders\.csv cannot be read as csv: a quote is never closed",
}


def case(name: str) -> Path:
    """The folder of a case."""
    path = settings().data.parent / "cases" / "ingestion" / name
    if not path.is_dir():
        pytest.skip(f"{path} is not there: set REKINDLE_DATA to the folder beside which `cases` lie")
    return path


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A landing zone of the test's own."""
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path / "landing"))
    settings.cache_clear()
    yield tmp_path / "landing"
    settings.cache_clear()


@pytest.mark.parametrize("name", DELIVERED)
def test_a_delivery_that_says_nothing_usable_stops_by_name(name: str, warehouse: Warehouse, zone: Path):
    folder = zone / "orders" / f"day={DAY}"
    shutil.copytree(case(name), folder, ignore=shutil.ignore_patterns("README.md"))
    (folder / "_SUCCESS").touch()

    with pytest.raises(InputError, match=DELIVERED[name]):
        warehouse.ingest(Days.one(DAY), ("orders",))

    assert warehouse.rows("raw.orders", f"day = DATE'{DAY}'") == []


@bad_input("a file in a subfolder of a delivery", gets="fine")
def test_files_in_folders_of_a_delivery_are_loaded(warehouse: Warehouse, zone: Path):
    shutil.copytree(case("nested"), zone)

    told = warehouse.ingest(Days.one(DAY), ("orders",))["orders"].told

    assert (told["delivered"], told["loaded"]) == (2, 2)
    assert {row["order_id"] for row in warehouse.rows("raw.orders", f"day = DATE'{DAY}'")} == {"1", "2"}


@pytest.mark.parametrize("name", IMPORTED)
def test_an_import_refuses_what_ingestion_would(name: str, zone: Path):
    with pytest.raises(InputError, match=IMPORTED[name]):
        fill.import_history("orders", case(name) / "orders.csv", None, fill.Options())

    assert not zone.exists()
