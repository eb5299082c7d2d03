"""Each bad input of which something is promised has a test that shows it, and docs/bad-inputs.md says which."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs import BY_INPUT, COLLECTED, OUTCOMES, PROJECT, PROMISED, Shown, marked_files, page, shown_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shown]]:
    """What the marked tests show. Where they were not all collected, as when this file is run alone, they are now."""
    items = request.config.stash[COLLECTED]
    if {item.path.relative_to(PROJECT).as_posix() for item in items} >= set(marked_files()):
        return shown_by(items)
    told = tmp_path_factory.mktemp("collected") / "shown.json"
    command = [sys.executable, "-m", "tests.bad_inputs", str(told)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {name: [Shown(**one) for one in tests] for name, tests in json.loads(told.read_text()).items()}


def test_each_input_has_a_test(shown: dict[str, list[Shown]]):
    missing = [name for name in BY_INPUT if name not in shown]

    assert not missing, f"No test shows what is promised of {missing}: mark one with @bad_input, or write one."


def test_the_page_says_what_the_tests_show(shown: dict[str, list[Shown]], golden: Callable[[Path, str], None]):
    golden(PROJECT / "docs" / "bad-inputs.md", page(shown))


def test_an_input_is_promised_one_thing():
    names = [name for inputs in PROMISED.values() for name in inputs]

    assert len(names) == len(set(names))
    assert {gets for gets, _ in BY_INPUT.values()} == set(OUTCOMES)
