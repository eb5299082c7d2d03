"""Deliveries as a landing zone of files shows them, before anything is loaded."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.folders import Folders
from rekindle.landing.zone import LandingZone
from rekindle.warehouse.contracts import landing_contract
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST = date(2024, 3, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(2))
ITEMS = landing_contract("items")


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[..., Path]:
    """Write files of a day's items: `deliver("a.csv", "b/c.csv")`; returns the landing zone."""

    def write(*names: str, day: date = FIRST, content: bytes = b"item_id\ntea\n") -> Path:
        folder = tmp_path / "landing" / "items" / f"day={day}"
        for name in (*names, "_SUCCESS"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"" if name.endswith("_SUCCESS") else content)
        return tmp_path / "landing"

    return write


def names(zone: LandingZone) -> list[str]:
    (delivery,) = zone.deliveries(ITEMS, Days.one(FIRST))
    return [file.name for file in delivery.files]


@bad_input("a file in a subfolder of a delivery", gets="fine")
def test_all_files_below_a_delivery_are_its_own_but_hidden_ones(deliver):
    """However the landing zone is written: a path, with a slash behind, from here, or as a URL."""
    zone = deliver("a.csv", "hour=00/b.csv", "x/y/c.csv", "_tmp/d.csv", "x/.git/e.csv", "x/_SUCCESS", "x/.c.csv.crc")
    # A copy of the zone within itself, as a slip of the hand makes it.
    nested = f"items/day={FIRST}/a.csv"
    deliver(nested)
    expected = ["a.csv", "hour=00/b.csv", nested, "x/y/c.csv"]

    assert names(LandingZone(str(zone))) == expected
    assert names(LandingZone(f"{zone}/")) == expected
    assert names(LandingZone(zone.as_uri())) == expected


def test_a_landing_zone_may_be_told_from_where_one_stands(deliver, monkeypatch):
    zone = deliver("a.csv", "x/b.csv")
    monkeypatch.chdir(zone.parent)

    for url in ("landing", "./landing"):
        assert names(LandingZone(url)) == ["a.csv", "x/b.csv"]


def test_a_file_is_read_once_whichever_days_are_asked_for(deliver, monkeypatch):
    for day in DAYS:
        deliver("a.csv", "x/b.csv", day=day)
    read, content = [], Folders.content
    monkeypatch.setattr(Folders, "content", lambda self, path: (read.append(path), content(self, path))[1])
    zone = LandingZone(str(deliver("a.csv")))

    zone.refuse_unusable(DAYS)
    zone.deliveries(ITEMS, Days.one(FIRST))
    found = zone.deliveries(ITEMS, Days.between(FIRST, FIRST + timedelta(9)))

    assert [delivery.day for delivery in found] == list(DAYS)
    assert len(read) == len(set(read)) == 6


def test_a_delivery_that_comes_while_others_are_looked_at_is_seen(deliver):
    zone = LandingZone(str(deliver("a.csv")))
    assert len(zone.deliveries(ITEMS, DAYS)) == 1
    deliver("a.csv", day=DAYS.last)

    assert len(zone.deliveries(ITEMS, DAYS)) == 2


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (
            "a.csv",
            "item_id,größe\n1,2\n".encode("cp1252"),
            "not_utf8: .*/a.csv: the names of its columns are not UTF-8",
        ),
        ("x/a.csv", b"item_id,title,title\n1,2,3\n", "duplicate_column: .*/x/a.csv has the column 'title' twice"),
        ("a.jsonl", b'{"item_id": 1}\n{"item_id": 1, "item_id": 2}\n', "has the column 'item_id' twice"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused_by_name(deliver, name, content, match):
    zone = LandingZone(str(deliver(name, content=content)))

    with pytest.raises(InputError, match=match) as refused:
        zone.deliveries(ITEMS, DAYS)
    assert re.search("Nothing .*was written", str(refused.value))


def test_columns_without_a_name_are_no_column_twice(deliver):
    """Spreadsheets leave them behind."""
    zone = LandingZone(str(deliver("a.csv", content=b"item_id,,\ntea,,\n")))

    assert names(zone) == ["a.csv"]
