"""Each trap is planted by a test, and docs/traps.md says by which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs import PROJECT, Shown, shown_in
from tests.traps import MARK, TRAPS, page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shown]]:
    return shown_in(request.config, tmp_path_factory.mktemp("collected"), MARK)


def test_each_trap_is_planted(shown: dict[str, list[Shown]]):
    missing = [name for name in TRAPS if name not in shown]

    assert not missing, f"No test plants {missing}: mark one with @trap, or write one."


def test_the_page_says_which_tests_plant_it(shown: dict[str, list[Shown]], golden: Callable[[Path, str], None]):
    golden(PROJECT / "docs" / "traps.md", page(shown))
