"""
Reasons: what a feature's value says about a user, in plain words with a number.

The words stand in the contract of the table that holds the feature; a feature without words of its own is named and shown as
it is. No markup, no advice: the contribution beside the words says in which direction they count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.warehouse.contracts import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.warehouse.contracts import Words

    Phrases = Mapping[str, Words]
    """How a value is said, by the column that holds it."""

TEXT_LIMIT = 40
"""Longer values of a text are cut: a category of 10 kB is data too, but not a reason anybody reads."""

OTHER_KEYS = "other"
"""Stands for the key where a map's rare keys are counted together."""

Value = float | int | str | None


def words(phrases: Phrases, source: str, value: Value) -> str:
    """Say what `value` of the feature `source`, a column or `column:key`, means: `last active 23 days ago`."""
    column, _, key = source.partition(":")
    said = phrases.get(column)
    if said is None or (value is None and said.missing is None) or isinstance(value, str):
        return _named(key or column, value)
    if value is None:
        return said.missing or ""
    if value < 0 and said.negative is not None:
        return _filled(said.negative, said, abs(value), key)
    return _filled(said.value, said, value, key)


def _filled(text: str, said: Words, value: float, key: str) -> str:
    # One pass: a key that holds a brace is text, too.
    shown = _cut(key) if key else OTHER_KEYS
    window = "" if said.window is None else count(said.window, ("day", "days"))
    return text.format(value=_amount(value, said).replace("{key}", shown), w=window)


def _amount(value: float, said: Words) -> str:
    if said.unit == "money":
        return f"{value:.2f}"
    return _number(value) if said.unit is None else count(value, said.unit)


def _named(name: str, value: Value) -> str:
    shown = "unknown" if value is None else _cut(value) if isinstance(value, str) else _number(value)
    return f"{_cut(name).replace('_', ' ')}: {shown}"


def _number(value: float) -> str:
    """Write whole numbers without a point, others with one decimal."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
