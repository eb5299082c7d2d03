"""What came true of scores: the rows of a small mart, kept where reports read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from rekindle.postgres import transact
from rekindle.records.rows import insert_many, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.days import Days
    from rekindle.postgres import Connection


def replace_days(table: str, days: Days, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep a mart's rows of some days in a table of schema `rekindle`, instead of those that it has of them."""

    def work(connection: Connection) -> None:
        schema, name = table.split(".")
        connection.execute(
            sql.SQL("delete from {} where day between %s and %s").format(sql.Identifier(schema, name)),
            [days.first, days.last],
        )
        insert_many(connection, f"{table} ({', '.join(columns)})", [[row[name] for name in columns] for row in rows])

    transact(work)


@dataclass(frozen=True)
class Outcome:
    """What came true of a decile of a day's scores: sums over its users, a row of marts.score_outcomes."""

    day: date
    """The delivery that completed the label."""
    product: str
    label: str
    scored_on: date
    decile: int
    is_backfilled: bool
    users: int
    predicted: float
    actual: float
    squared_error: float


def outcomes(product: str, first_day: date, last_day: date) -> list[Outcome]:
    """List what became known of a product's scores with the deliveries of some days, the latest scored day first."""
    return select(
        Outcome,
        "rekindle.score_outcome where product = %s and day between %s and %s order by scored_on desc, label, decile",
        [product, first_day, last_day],
    )
