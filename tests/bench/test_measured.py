"""What the bench says of a measurement, and the page that keeps it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from bench import page
from bench.__main__ import PAGES
from bench.measured import Measured

if TYPE_CHECKING:
    from pathlib import Path


def line(**told: object) -> Measured:
    return Measured(**{"aim": "a", "what": "a day", "ours": 3.0, **told})  # type: ignore[arg-type]


def test_a_limit_is_one_of_the_ratio_where_there_is_an_anchor_and_of_the_seconds_where_there_is_none() -> None:
    assert line(anchor=2.0, beside="theirs", at_most=1.5).holds
    assert not line(anchor=2.0, beside="theirs", at_most=1.4).holds
    assert line(at_most=3).holds
    assert not line(at_most=2.9).holds


def test_what_has_no_limit_judges_nothing_and_what_is_no_number_holds_nothing() -> None:
    assert (line().holds, line().verdict) == (True, "shown")
    assert not line(ours=math.nan, at_most=3).holds


def test_a_miss_says_what_holds_it_back() -> None:
    assert line(at_most=1, holds_back="publish 2.0 s").verdict == "**miss**: publish 2.0 s"


def test_a_whole_run_replaces_the_table_and_leaves_what_people_have_written(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    path.write_text(f"before\n{page.BEGINS}an old table\n{page.ENDS}after\n", encoding="utf-8")
    page.write(path, [line(anchor=2.0, beside="theirs", at_most=1)], ["days"], ["0.1, 0.2, 0.3"], 7)
    written = path.read_text(encoding="utf-8")
    assert written.startswith("before\n") and written.endswith("after\n") and "an old table" not in written
    assert "| a | a day | 3.00 s | theirs: 2.00 s | 1.50 | 1 | **miss** |" in written
    assert "Could not be measured: days." in written


@pytest.mark.parametrize("path", PAGES.values(), ids=lambda path: path.stem)
def test_the_pages_of_the_project_have_their_marks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.index(page.BEGINS) < text.index(page.ENDS)
