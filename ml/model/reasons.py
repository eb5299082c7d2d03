"""
Reasons: what a feature's value says about a user and in which direction it counts, as a sentence with a number.

The words stand in the contract of the table that holds the feature; a feature without words of its own is named and shown as
it is. No markup, no advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.model.protected import NOTHING
from rekindle.warehouse.contracts import count, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.model.protected import Protected
    from rekindle.warehouse.contracts import Words

    Phrases = Mapping[str, Words]
    """How a value is said, by the column that holds it."""

TEXT_LIMIT = 40
"""Longer values of a text are cut: a category of 10 kB is data too, but not a reason anybody reads."""

OTHER_KEYS = "other"
"""Stands for the key where a map's rare keys are counted together."""

Value = float | int | str | None


@dataclass(frozen=True)
class Wording:
    """What sentences about the features of a product are made of."""

    phrases: Phrases
    moves: str = "the score"
    """What a reason raises or lowers."""
    currency: str = ""
    """The unit of money; without one an amount stands alone."""
    protected: Protected = NOTHING
    """What is never shown, though a model may read it."""

    def beside(self, source: str) -> str | None:
        """Name the column that says what is usual beside a value of `source`."""
        said = self.phrases.get(_column(source))
        return said.beside[0] if said and said.beside else None

    def reason(self, source: str, value: Value, contribution: float, usual: Value = None) -> str:
        """Say why: `last active 12 days ago, usually every 4 days: lowers the chance`; `usual` is what `beside` names."""
        direction = "raises" if contribution > 0 else "lowers"
        return f"{self.words(source, value, usual)}: {direction} {self.moves}"

    def words(self, source: str, value: Value, usual: Value = None) -> str:
        """Say what `value` of the feature `source`, a column or `column:key`, means: `last active 23 days ago`."""
        column, _, key = source.partition(":")
        said = self.phrases.get(column)
        if said is None or (value is None and said.missing is None):
            return _named(key or column, value)
        if value is None:
            return self._filled(said.missing or "", said, "", key)
        if not isinstance(value, str) and value < 0 and said.negative is not None:
            return self._filled(said.negative, said, abs(value), key)
        told = self._filled(said.value, said, value, key)
        if usual is None or said.beside is None:
            return told
        column, text = said.beside
        return f"{told}, {self._filled(text, self.phrases[column], usual, '')}"

    def _filled(self, text: str, said: Words, value: float | str, key: str) -> str:
        # One pass: a key that holds a brace is text, too.
        shown = _plain(_cut(key)) if key else OTHER_KEYS
        window = "" if said.window is None else count(said.window, ("day", "days"))
        return text.format(value=self._amount(value, said, shown), w=window, key=shown)

    def _amount(self, value: float | str, said: Words, key: str) -> str:
        if isinstance(value, str):
            return _cut(value)
        if said.unit == "money":
            return f"{value:.2f} {self.currency}".rstrip()
        if said.unit == "time":
            return duration(value)
        return number(value) if said.unit is None else count(value, said.unit).replace("{key}", key)


def _column(source: str) -> str:
    return source.partition(":")[0]


def _named(name: str, value: Value) -> str:
    shown = "not known" if value is None else _cut(value) if isinstance(value, str) else number(value)
    return f"{_plain(_cut(name))} is {shown}"


def number(value: float) -> str:
    """Write whole numbers without a point, others with one decimal."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
