"""Each bad input of which something is promised has a test that shows it, and docs/bad-inputs.md says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs import BY_INPUT, OUTCOMES, PROJECT, PROMISED, Shown, page, shown_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shown]]:
    return shown_in(request.config, tmp_path_factory.mktemp("collected"))


def test_each_input_has_a_test(shown: dict[str, list[Shown]]):
    missing = [name for name in BY_INPUT if name not in shown]

    assert not missing, f"No test shows what is promised of {missing}: mark one with @bad_input, or write one."


def test_the_page_says_what_the_tests_show(shown: dict[str, list[Shown]], golden: Callable[[Path, str], None]):
    golden(PROJECT / "docs" / "bad-inputs.md", page(shown))


def test_an_input_is_promised_one_thing():
    names = [name for inputs in PROMISED.values() for name in inputs]

    assert len(names) == len(set(names))
    assert {gets for gets, _ in BY_INPUT.values()} == set(OUTCOMES)
