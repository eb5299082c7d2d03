"""
Filtering: `--where`, a handful of conditions on what the audience holds, never SQL of the caller's.

    country=DE,FR segment="regular, just lapsed" value>=20

Conditions stand apart by blanks, and all of them must hold. A text is one of several, with `=`, or none of them, with `!=`;
a comma with a blank behind it is a segment's own. A number is compared with `<`, `<=`, `>` or `>=`.
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import LiteralString

TEXTS = {"country": "country", "segment": "segment", "channel": "channel"}
NUMBERS = {
    "value": "value_if_returns",
    "gain": "expected_gain",
    "probability": "return_probability",
    "lapsed_days": "lapsed_days",
}
"""What a condition may be about, and the column of the audience that holds it."""

SEPARATORS = {"segment": re.compile(r",(?! )")}
"""Between texts stands a comma; the name of a segment has one of its own."""

COMMA = re.compile(",")

CONDITION = re.compile(r"(?P<name>[a-z_]+)(?P<sign><=|>=|!=|=|<|>)(?P<value>.+)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """A condition on a column; `values` are texts, one of which it is, or one number."""

    column: str
    sign: str
    values: tuple[str, ...] | float

    def composed(self, name: str) -> sql.Composed:
        """Return it as SQL on a row `q`, with its values under a name; what is not known meets no condition."""
        column, value = sql.Identifier("q", self.column), sql.Placeholder(name)
        if isinstance(self.values, tuple):
            return sql.SQL("{} = any({})" if self.sign == "=" else "{} <> all({})").format(column, value)
        return sql.SQL("{} {} {}").format(column, sql.SQL(SIGNS[self.sign]), value)


SIGNS: Mapping[str, LiteralString] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse(text: str, columns: Collection[str]) -> tuple[Condition, ...]:
    """Read `--where`; `columns` are those that the audience has. Raises InputError for what it does not understand."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise _wrong("A quote in --where is not closed.") from None
    return tuple(_condition(word, columns) for word in words)


def composed(conditions: Sequence[Condition]) -> tuple[sql.Composed, dict[str, Any]]:
    """Return SQL on a row `q` that is true where all conditions hold, and the values of its placeholders."""
    named = {f"condition_{place}": condition for place, condition in enumerate(conditions)}
    parts = [condition.composed(name) for name, condition in named.items()]
    values = {name: list(c.values) if isinstance(c.values, tuple) else c.values for name, c in named.items()}
    return sql.SQL(" and ").join([sql.SQL("true"), *parts]), values


def _condition(word: str, columns: Collection[str]) -> Condition:
    found = CONDITION.fullmatch(word)
    known = {name: column for name, column in (TEXTS | NUMBERS).items() if column in columns}
    if found is None or not word.isprintable() or found["name"] not in known:
        raise _wrong(f"--where cannot be understood at {word[:60]!r}; it may be about {', '.join(sorted(known))}.")
    name, sign, value = found["name"], found["sign"], found["value"]
    if name in TEXTS:
        values = tuple(dict.fromkeys(one.strip() for one in SEPARATORS.get(name, COMMA).split(value) if one.strip()))
        if sign in SIGNS or not values:
            raise _wrong(f"{name} is a text: write {name}=A,B or {name}!=A,B.")
        return Condition(known[name], sign, values)
    return Condition(known[name], _of_number(name, sign), _number(name, value))


def _of_number(name: str, sign: str) -> str:
    if sign not in SIGNS:
        raise _wrong(f"{name} is a number: compare it with <, <=, > or >=.")
    return sign


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(f"{name} is compared with {text[:20]!r}, which is no number.")
    return number


def _wrong(what: str) -> InputError:
    return InputError(
        what,
        todo="""Write for example --where 'country=DE,FR segment="regular, just lapsed" value>=20'.""",
        safe="Nothing was planned.",
        code="usage",
    )
