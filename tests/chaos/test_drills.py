"""Drills name points that the code has, and steps that there are."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from chaos import history, readers
from chaos.__main__ import ALL, PIECES, main
from chaos.figures import Figures
from chaos.kills import arm, clear
from chaos.readers import Reader, State
from chaos.scheduler import DAY, TRAINING
from chaos.servers import AT, CUT
from chaos.steps import DAYS_AHEAD, OF_GRAPH, STEPS
from chaos.world import World
from rekindle import points
from tests.rekindle.test_points import names

if TYPE_CHECKING:
    import pytest

KILLS_BY_SCHEDULER = 10


def test_each_point_that_a_drill_names_is_in_the_code():
    named = {point for steps in AT.values() for point, _ in steps} | {deed.point for deed in (*DAY, *TRAINING)}

    assert {point.removeprefix("before ").removeprefix("after ") for point in named} <= set(names())
    assert len(DAY) >= KILLS_BY_SCHEDULER


def test_each_step_that_a_drill_names_is_there():
    assert {*AT, *CUT, *OF_GRAPH.values()} <= set(STEPS)
    assert set(STEPS) <= set(PIECES)


def test_days_that_a_drill_builds_are_delivered():
    new, last = World().new, World().delivered.last

    assert new + timedelta(max(history.DAYS, history.LONG) - 1) <= last
    assert new + timedelta(DAYS_AHEAD) <= last
    assert set(ALL) - set(PIECES) == {"thirty"}


def test_an_unknown_piece_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]):
    assert main(["nothing"]) == 2
    assert "publish" in capsys.readouterr().err


def test_a_point_is_armed_for_one_drill_alone(tmp_path):
    (tmp_path / points.GO_ON).touch()
    arm(tmp_path, "before release", "a.table", "kill")

    assert [path.name for path in tmp_path.iterdir()] == [points.ARMED]
    assert json.loads((tmp_path / points.ARMED).read_text()) == {
        "point": "before release",
        "of": "a.table",
        "deed": "kill",
    }
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_read_is_torn_that_is_of_two_states():
    old, new = State((("a", "1"), ("b", "1"))), State((("a", "2"), ("b", "2")))
    torn = State((("a", "2"), ("b", "1")))

    assert torn not in {old, new}
    assert torn.differing(old) == ["a"]


def test_what_the_drill_before_knew_is_not_held_against_the_next(monkeypatch, capsys: pytest.CaptureFixture[str]):
    """Between two drills the platform is brought back to a state that only the next one knows."""
    old, new = State((("a", "1"), ("b", "1"))), State((("a", "1"), ("b", "2")))
    reader = Reader(lambda: "", whole={old})
    monkeypatch.setattr(readers, "_read", lambda *_: new)
    reader._one(None, "")
    assert (reader.reads, reader.torn) == (1, [new])
    assert capsys.readouterr().out.strip() == "a read was torn: b"

    reader.expect_nothing()
    reader._one(None, "")

    assert (reader.reads, reader.torn) == (1, [new])


def test_the_last_line_has_the_figures(capsys: pytest.CaptureFixture[str]):
    figures = Figures(kills=3, points={"before publish"}, reads=12_000, to_heal=4, healed=3)
    figures.over("a drill", ["a row is lost"], 1.0)

    assert "BROKEN" in capsys.readouterr().out
    assert figures.line.startswith("3 kills at 1 named points") and "12,000 reads, 0 torn" in figures.line
    assert "75% of 4 healed" in figures.line and "1 promises broken" in figures.line
