"""Points do nothing unless a drill says so, and then what it says, once."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from rekindle import points
from rekindle.points import durable
from rekindle.settings import BESIDE_SETTINGS, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOMS = ("rekindle", "ml", "spark_jobs", "dags")
LEAST = 30
STEP = "a step"


def calls() -> Iterator[ast.Call]:
    """Each use of a point in the code."""
    for room in ROOMS:
        for path in (PROJECT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "durable":
                    yield node


def names() -> list[str]:
    return [call.args[0].value for call in calls() if isinstance(call.args[0], ast.Constant)]


def arm(folder: Path, point: str, deed: str, of: str = "") -> None:
    (folder / points.ARMED).write_text(json.dumps({"point": point, "of": of, "deed": deed}))


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(points.VARIABLE, str(tmp_path))
    return tmp_path


def test_each_point_has_a_name_of_its_own_that_stands_in_the_code():
    assert len(names()) == len(list(calls())) >= LEAST
    assert [name for name, count in Counter(names()).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-zA-Z -]+", name) for name in names())


def test_the_variable_is_no_setting():
    assert points.VARIABLE in BESIDE_SETTINGS


def test_a_point_costs_nothing_outside_of_the_drills(monkeypatch: pytest.MonkeyPatch):
    """A day comes to some hundred of them."""
    monkeypatch.delenv(points.VARIABLE, raising=False)
    began = time.perf_counter()
    for _ in range(10_000):
        with durable(STEP):
            pass

    assert (time.perf_counter() - began) / 10_000 < 50e-6


def test_a_point_does_nothing_where_nothing_is_armed(drill: Path):
    with durable(STEP, "a.table"):
        pass

    assert (drill / points.PASSED).read_text().splitlines() == ["before a step\ta.table", "after a step\ta.table"]


def test_a_step_that_fails_is_not_passed(drill: Path):
    with pytest.raises(ValueError, match="no"), durable(STEP):
        raise ValueError("no")

    assert (drill / points.PASSED).read_text().splitlines() == ["before a step\t"]


@pytest.mark.parametrize(("point", "reaches"), [("before a step", []), ("after a step", ["done"])])
def test_an_armed_point_kills_once(drill: Path, point: str, reaches: list[str]):
    program = "from rekindle.points import durable\nwith durable('a step', 'a.table'):\n    print('done', flush=True)"
    arm(drill, point, "kill", "a.table")

    ends = [
        subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]

    assert [end.returncode for end in ends] == [-signal.SIGKILL, 0]
    assert [end.stdout.split() for end in ends] == [reaches, ["done"]]


def test_a_point_of_another_table_is_passed(drill: Path):
    arm(drill, "before a step", "kill", "another.table")
    with durable(STEP, "a.table"):
        pass

    assert (drill / points.ARMED).exists()


def test_an_armed_point_waits_until_it_may_go_on(drill: Path):
    arm(drill, "before a step", "wait")
    (drill / points.GO_ON).touch()
    with durable(STEP):
        pass

    assert (drill / points.REACHED).exists()
    assert not (drill / points.GO_ON).exists(), (
        "who armed the next point before this was heard would have it wait for ever"
    )
