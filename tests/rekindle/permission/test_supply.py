"""Whether anybody may be permitted anew on a day, by a landing zone of files and records of builds."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from rekindle import records
from rekindle.landing.zone import LandingZone
from rekindle.permission.supply import TABLES, why_no_new_permission
from rekindle.records import Build, Input
from rekindle.warehouse import builds, lineage
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from pathlib import Path

DAY, BEFORE = date(2024, 6, 30), date(2024, 6, 29)
EVERYTHING = ("contacts", "consents", "messages", "replies")


class Recorded:
    """What is recorded of builds, by table and day."""

    def __init__(self) -> None:
        self.builds: dict[str, dict[date, Build]] = {}

    def between(self, table: str, first: date, last: date) -> dict[date, Build]:
        return {day: build for day, build in self.builds.get(table, {}).items() if first <= day <= last}

    def load(self, source: str, version: str = "version 1") -> None:
        self._add(Build(f"raw.{source}", DAY, version, "run", None, {}))

    def build(self) -> None:
        """Build all that permission is made of, of what is there."""
        known = builds.Known(lineage.graph(), {})
        for table in TABLES:
            windows = lineage.graph().windows(table, DAY)
            used = {name: Input(*window, known.fingerprint(name, *window)) for name, window in windows.items()}
            self._add(Build(table, DAY, str(used), "run", None, used))

    def _add(self, build: Build) -> None:
        self.builds.setdefault(build.table, {})[build.day] = build


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(records, "builds", recorded.between)
    return recorded


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    """All four have delivered the day before."""
    for source in EVERYTHING:
        folder = tmp_path / source / f"day={BEFORE}"
        folder.mkdir(parents=True)
        (folder / "_SUCCESS").touch()
    return LandingZone(str(tmp_path))


def test_where_nothing_was_ever_delivered_nothing_is_missed(recorded: Recorded, tmp_path: Path):
    assert recorded.builds == {}
    assert why_no_new_permission(DAY, LandingZone(str(tmp_path))) is None


@bad_input("an opt-out delivery that is missing", gets="fine")
def test_all_that_was_ever_delivered_is_to_be_there(recorded: Recorded, zone: LandingZone):
    for source in ("contacts", "messages"):
        recorded.load(source)
    recorded.build()

    assert why_no_new_permission(DAY, zone) == f"consents and replies of {DAY} are not loaded"


def test_a_landing_zone_that_was_emptied_is_no_excuse(recorded: Recorded, tmp_path: Path):
    recorded.builds["raw.replies"] = {BEFORE: Build("raw.replies", BEFORE, "version 1", "run", None, {})}

    assert why_no_new_permission(DAY, LandingZone(str(tmp_path))) == f"replies of {DAY} is not loaded"


def test_the_marts_are_to_be_made_of_it(recorded: Recorded, zone: LandingZone):
    for source in EVERYTHING:
        recorded.load(source)
    assert why_no_new_permission(DAY, zone) == f"permission.numbers of {DAY} is not made of what was delivered"

    recorded.build()
    assert why_no_new_permission(DAY, zone) is None

    recorded.load("replies", "version 2")
    assert why_no_new_permission(DAY, zone) == f"permission.opt_outs of {DAY} is not made of what was delivered"
