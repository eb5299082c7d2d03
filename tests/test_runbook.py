"""docs/runbook.md has an entry for each name of an error or alert, and for nothing else."""

from __future__ import annotations

import re

import pytest

from rekindle.errors import MAY_PASS
from rekindle.settings import PROJECT
from tests.error_names import UnreadableNameError, error_names, names_in

PAGE = PROJECT / "docs" / "runbook.md"
ENTRY = re.compile(r"^### (?P<name>.*)\n(?P<text>(?:(?!#).*\n)*)", re.MULTILINE)
PARTS = ("**Look:**", "**Do:**", "**Safe:**")


def entries() -> dict[str, str]:
    return {found["name"]: found["text"] for found in ENTRY.finditer(PAGE.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def names() -> dict[str, set[str]]:
    return error_names()


def test_each_error_has_an_entry(names: dict[str, set[str]]):
    missing = [f"{name} ({', '.join(sorted(modules))})" for name, modules in sorted(names.items())]
    missing = [line for line in missing if line.split()[0] not in entries()]

    assert not missing, (
        "docs/runbook.md has no entry for " + "; ".join(missing) + ". Write one under the heading of when it happens: "
        "a line `### name`, then what it means, **Look:** where, **Do:** what, **Safe:** what stayed as it was."
    )


def test_each_entry_is_of_an_error(names: dict[str, set[str]]):
    gone = sorted(entries().keys() - names.keys())

    assert not gone, f"docs/runbook.md has entries for {', '.join(gone)}, which nothing raises: remove or rename them."


def test_an_error_has_one_entry():
    found = [one["name"] for one in ENTRY.finditer(PAGE.read_text(encoding="utf-8"))]

    assert len(found) == len(set(found)), f"twice: {sorted({name for name in found if found.count(name) > 1})}"


@pytest.mark.parametrize("name", sorted(entries()))
def test_an_entry_says_what_it_means_and_what_to_do(name: str):
    text = entries()[name]
    places = [text.find(part) for part in PARTS]

    assert places[0] > 0 and places == sorted(places), (
        f"docs/runbook.md, {name}: write what it means, then {' … '.join(PARTS)}, in this order."
    )


def test_what_is_tried_again_is_known(names: dict[str, set[str]]):
    assert names.keys() >= MAY_PASS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('InputError("x", todo="y", code="plain")', {"plain"}),
        ('InputError("x", todo="y", code="one" if so else "other")', {"one", "other"}),
        ('NAME = "constant"\ndef f():\n  InputError("x", todo="y", code=NAME)', {"constant"}),
        ('def _no(code, what):\n  InputError(what, todo="y", code=code)\n_no("given", "x")', {"given"}),
        ('def no(what, *, code):\n  InputError(what, todo="y", code=code)\nno("x", code="by_word")', {"by_word"}),
        (
            'def why():\n  return "answered"\ndef f():\n  if c := why():\n    InputError("x", todo="y", code=c)',
            {"answered"},
        ),
        (
            """class E(Exception):
  def __init__(self, reason): ...
def f():
  E("caught")
  try: g()
  except E as e: InputError("x", todo="y", code=e.reason)""",
            {"caught"},
        ),
        ('def _n(day, code):\n  return {"code": code, "todo": "y"}\n_n(*("day", "alert"))', {"alert"}),
        ('{"code": error.code, "todo": "y"}', set()),
        ('InputError("x", todo="y", code=told["code"])', set()),
        ('InputError("x", todo="y", code=None)', set()),
    ],
)
def test_each_way_to_name_an_error_is_seen(text: str, found: set[str]):
    assert names_in({"module.py": text}).keys() == found


def test_a_name_that_nobody_can_read_is_no_name():
    with pytest.raises(UnreadableNameError, match=r"module\.py, line 1: f'\{one\}_missing'"):
        names_in({"module.py": 'InputError("x", todo="y", code=f"{one}_missing")'})
