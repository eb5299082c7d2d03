"""
Mistakes that shipped products of this kind have made: listed here, planted by the tests that are marked with them.

A test says with `@trap("...")` that it plants one, or shows that what would fall into it is refused. `make golden` writes
docs/traps.md anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs import cell, links

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bad_inputs import Shown

MARK = "trap"

TRAPS: Mapping[str, tuple[str, str]] = {
    "labels joined with who is active by the clock of now": (
        "17 % of the lapsed are kept, and all of them came back",
        "no job and no model reads a clock; members of a population who lack a label that the day has stop the training",
    ),
    "labels of buyers alone": (
        "with the next trap, a Gini of .696 shows as .929",
        "members of a population who lack a label that the day has stop the training",
    ),
    "a label's window within that of the features": (
        "what happened is foretold from itself",
        "a target begins after its day; a feature that alone knows the outcome, or ranks better than is honest, is refused",
    ),
    "the confidence of the predicted class as the score": (
        "an AUC of .764 becomes one of .375",
        "what is published ranks as the chance does; the gate lets no such score in",
    ),
    "a sum over distinct amounts": (
        "two orders of one amount count once",
        "no code adds up distinct amounts; the worlds that tiles are compared over hold equal ones",
    ),
    "each candidate judged on test rows of its own": (
        "promotion by luck",
        "recipes are compared on the same rows with the same outcomes, or not at all",
    ),
    "criteria that are written and never read": (
        "the gate does nothing",
        "with another value in conf/gate.yml the verdict is another, for each of them",
    ),
    "a random split over users and days": (
        "a decile error of .151 shows as .090",
        "parts follow each other in time, a label's whole reach apart; a split of another kind does not pass",
    ),
    "a consent that is always granted": (
        "unlawful messages",
        "without a grant on record nobody is eligible; where the share of those without one moves, the day's page warns",
    ),
    "a missing time zone that sends": (
        "messages at night",
        "without a time zone that is known nobody is eligible",
    ),
    "yesterday's scores overwritten": (
        "nobody can say what was known when",
        "a day replaces itself and no other; what was served stays",
    ),
    "a time of change that moves each day": (
        "all is sent again, and billed again",
        "it moves where what is published has changed, and nowhere else",
    ),
}
"""Each with what comes of it, as measured or seen elsewhere, and what keeps us from it."""


def trap(*names: str) -> pytest.MarkDecorator:
    """Mark a test as one that plants such a mistake, or shows that what would make it is refused."""
    for name in names:
        assert name in TRAPS, f"tests/traps.py knows no trap {name!r}: add it there, with what comes of it."
    return pytest.mark.trap(*names)


def page(shown: Mapping[str, Sequence[Shown]]) -> str:
    """Return the text of docs/traps.md."""
    lines = [
        "# Traps",
        "",
        "Mistakes that shipped products of this kind have made, what came of each, and what keeps this project from it. Each is",
        "planted in the tests of its line, which pass; `make golden` writes this page from their marks.",
        "",
        "| trap | what comes of it | here | planted in |",
        "| --- | --- | --- | --- |",
    ]
    for name, (effect, kept) in TRAPS.items():
        lines.append(f"| {cell(name)} | {cell(effect)} | {cell(kept)} | {links(shown.get(name, []))} |")
    return "\n".join(lines) + "\n"
