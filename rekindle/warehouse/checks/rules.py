"""
What a contract says of a column's values, phrased once: named for people, and as SQL for the engine that judges it.

Ingestion, the audit of a table's days, the judgement of what is to be published and the published tables' own
constraints all ask here, so that none of them can mean something else by the same line of a contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from rekindle.warehouse.contracts import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

Engine = Literal["spark", "postgres"]

LARGEST = 1e300
"""No honest double is larger; an infinity is."""


class Declared(Protocol):
    """A column as a contract or a publication declares it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def between(self) -> tuple[float | None, float | None] | None: ...
    @property
    def one_of(self) -> tuple[str, ...] | None: ...
    @property
    def matches(self) -> str | None: ...


@dataclass(frozen=True)
class Rule:
    """What each value of a column must be. All but `Present` let null pass."""

    column: str

    @property
    def name(self) -> str:
        """What the rule says, for people; names tell the rules of a table apart."""
        raise NotImplementedError

    def holds(self, engine: Engine, value: str | None = None) -> str:
        """SQL that is true of a value that keeps the rule; `value` is SQL, by default the column's name."""
        raise NotImplementedError

    def broken(self, engine: Engine, value: str | None = None) -> str:
        """SQL that is true of a value that breaks the rule."""
        return f"NOT ({self.holds(engine, value)})"


@dataclass(frozen=True)
class Present(Rule):
    @property
    def name(self) -> str:
        return f"{self.column} is not null"

    def holds(self, engine: Engine, value: str | None = None) -> str:  # noqa: ARG002 - the engines agree
        return f"{value or self.column} IS NOT NULL"


@dataclass(frozen=True)
class InRange(Rule):
    """
    Both edges are allowed, and None is no edge. A double has edges anyway, which neither NaN nor an infinity is within.

    To Spark and to Postgres NaN is greater than any number.
    """

    low: float | None
    high: float | None
    is_double: bool = False

    @property
    def name(self) -> str:
        if self.low is None and self.high is None:
            return f"{self.column} is a finite number"
        low, high = "-∞" if self.low is None else self.low, "∞" if self.high is None else self.high
        return f"{self.column} is between {low} and {high}"

    @property
    def edges(self) -> tuple[float | None, float | None]:
        """The least and the greatest value that there may be."""
        if not self.is_double:
            return self.low, self.high
        return (-LARGEST if self.low is None else self.low), (LARGEST if self.high is None else self.high)

    def holds(self, engine: Engine, value: str | None = None) -> str:  # noqa: ARG002 - the engines agree
        low, high = self.edges
        parts = [] if low is None else [f"{value or self.column} >= {low}"]
        return " AND ".join(parts if high is None else [*parts, f"{value or self.column} <= {high}"])


@dataclass(frozen=True)
class InList(Rule):
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.column} is one of {', '.join(self.values)}"

    def holds(self, engine: Engine, value: str | None = None) -> str:
        return f"{value or self.column} IN ({', '.join(literal(one, engine) for one in self.values)})"


@dataclass(frozen=True)
class Matching(Rule):
    """A part of the value matches the regular expression, whose syntax is what Java's and Postgres' share."""

    pattern: str

    OPERATORS: ClassVar = {"spark": "RLIKE", "postgres": "~"}

    @property
    def name(self) -> str:
        return f"{self.column} matches {self.pattern}"

    def holds(self, engine: Engine, value: str | None = None) -> str:
        return f"{value or self.column} {self.OPERATORS[engine]} {literal(self.pattern, engine)}"


def rules_of(column: Declared) -> Iterator[Rule]:
    """Yield what a column's declaration says of its values: that they are there, their range, their list, their pattern."""
    if not column.nullable:
        yield Present(column.name)
    is_double = column.type in {"double", "double precision"}
    if column.between or is_double:
        yield InRange(column.name, *(column.between or (None, None)), is_double)
    if column.one_of:
        yield InList(column.name, column.one_of)
    if column.matches:
        yield Matching(column.name, column.matches)


def literal(text: str, engine: Engine) -> str:
    """Quote a text as SQL. Spark reads a backslash as the beginning of an escape, Postgres as itself."""
    return quoted(text) if engine == "spark" else "'" + text.replace("'", "''") + "'"
