"""
Columns of a product's scores, each said once: Spark builds the daily table by its `sql`, the service answers by `of`.

Standard library only: DAG files import this.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    Said = Mapping[str, float | None]
    """What the scorer says of a row, by name; None where it does not know."""

CENT = Decimal("0.01")
CENTS = "decimal(18,2)"


class Column(Protocol):
    """A column of `Product.table`."""

    @property
    def sql(self) -> str:
        """Spark SQL over a row of the population and of what the scorer says."""
        ...


class Answerable(Column, Protocol):
    """A column that follows from what the scorer says alone: who asks with features of their own is told it, too."""

    def of(self, said: Said) -> Any:
        """Return its value."""
        ...


@dataclass(frozen=True)
class AsSaid:
    """What the scorer says, as it is."""

    name: str

    @property
    def sql(self) -> str:
        return self.name

    def of(self, said: Said) -> float | None:
        return said[self.name]


@dataclass(frozen=True)
class Money:
    """A sum of amounts, each rounded to cents before it is added, so that sums of them add up exactly; null if one is."""

    names: tuple[str, ...]

    @property
    def sql(self) -> str:
        rounded = [f"cast({name} as {CENTS})" for name in self.names]
        return rounded[0] if len(rounded) == 1 else f"cast({' + '.join(rounded)} as {CENTS})"

    def of(self, said: Said) -> Decimal | None:
        amounts = [said[name] for name in self.names]
        # By the digits that a double is written with, as Spark rounds it.
        cents = [Decimal(repr(one)).quantize(CENT, ROUND_HALF_UP) for one in amounts if one is not None]
        return sum(cents, Decimal(0)) if len(cents) == len(amounts) else None


@dataclass(frozen=True)
class Fixed:
    """The same in every row."""

    value: str | int

    @property
    def sql(self) -> str:
        return f"'{self.value}'" if isinstance(self.value, str) else str(self.value)

    def of(self, said: Said) -> str | int:  # noqa: ARG002 - whatever is said
        return self.value


@dataclass(frozen=True)
class Whether:
    """One text where the scorer knows something, another where it does not."""

    name: str
    known: str
    unknown: str

    @property
    def sql(self) -> str:
        return f"case when {self.name} is null then '{self.unknown}' else '{self.known}' end"

    def of(self, said: Said) -> str:
        return self.unknown if said[self.name] is None else self.known


@dataclass(frozen=True)
class OfMember:
    """What the population says of its members: of features alone nobody knows it."""

    sql: str


def answers(columns: Mapping[str, Column], said: Said) -> dict[str, Any]:
    """Return the columns that follow from what the scorer says of a row, by name."""
    return {name: column.of(said) for name, column in columns.items() if hasattr(column, "of")}
