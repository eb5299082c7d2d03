"""
Columns of a product's scores, each said once: Spark builds the daily table by its `sql`, the service answers by `of`.

Standard library only: DAG files import this.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Said = Mapping[str, Sequence[float | None]]
    """What the scorer says of each of some rows, by name; None where it does not know."""

CENT = Decimal("0.01")
CENTS = "decimal(18,2)"
TOO_MUCH = 1e16
"""What such a decimal cannot hold is null."""


class Column(Protocol):
    """A column of `Product.table`."""

    @property
    def sql(self) -> str:
        """Spark SQL over a row of the population and of what the scorer says."""
        ...


class Answerable(Column):
    """A column that follows from what the scorer says alone: who asks with features of their own is told it, too."""

    @abstractmethod
    def of(self, said: Said) -> Sequence[Any]:
        """Return its value in each row."""


@dataclass(frozen=True)
class AsSaid(Answerable):
    """What the scorer says, as it is."""

    name: str

    @property
    def sql(self) -> str:
        return self.name

    def of(self, said: Said) -> Sequence[float | None]:
        return said[self.name]


@dataclass(frozen=True)
class Money(Answerable):
    """A sum of amounts, each rounded to cents before it is added, so that sums of them add up exactly; null if one is."""

    names: tuple[str, ...]

    @property
    def sql(self) -> str:
        rounded = [f"cast({name} as {CENTS})" for name in self.names]
        return rounded[0] if len(rounded) == 1 else f"cast({' + '.join(rounded)} as {CENTS})"

    def of(self, said: Said) -> Sequence[Decimal | None]:
        return [_sum(amounts) for amounts in zip(*(said[name] for name in self.names), strict=True)]


@dataclass(frozen=True)
class Fixed(Answerable):
    """The same in every row."""

    value: str | int

    @property
    def sql(self) -> str:
        return f"'{self.value}'" if isinstance(self.value, str) else str(self.value)

    def of(self, said: Said) -> Sequence[str | int]:
        return [self.value] * len(next(iter(said.values())))


@dataclass(frozen=True)
class Whether(Answerable):
    """One text where the scorer knows something, another where it does not."""

    name: str
    known: str
    unknown: str

    @property
    def sql(self) -> str:
        return f"case when {self.name} is null then '{self.unknown}' else '{self.known}' end"

    def of(self, said: Said) -> Sequence[str]:
        return [self.unknown if one is None else self.known for one in said[self.name]]


@dataclass(frozen=True)
class OfMember:
    """What the population says of its members: of features alone nobody knows it."""

    sql: str


def answers(columns: Mapping[str, Column], said: Said) -> dict[str, Sequence[Any]]:
    """Return the columns that follow from what the scorer says of some rows, by name."""
    return {name: column.of(said) for name, column in columns.items() if isinstance(column, Answerable)}


def _sum(amounts: Sequence[float | None]) -> Decimal | None:
    """The sum of amounts in cents, each rounded by the digits that a double is written with, as Spark does; None if one is."""
    if any(one is None or not abs(one) < TOO_MUCH for one in amounts):
        return None
    return sum((Decimal(repr(one)).quantize(CENT, ROUND_HALF_UP) for one in amounts), Decimal(0))
