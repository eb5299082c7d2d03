"""
Whom a message may move: the users of a published day by what is at stake, not by how surely they come back by themselves.

The publication that tools send from declares it in its section `publish`:

    at_stake:
      value: (1 - return_probability) * ltv_30
      says: value at stake, ...
      otherwise: return_probability * (1 - return_probability)
      says_otherwise: who is undecided

`otherwise` orders a day on which nobody has a value. Without an amount nobody knows what is lost, only who is undecided: who
comes anyway and who hardly will are both moved least, so the middle comes first and not the surest returns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import dict_row

from rekindle.publishing import publications

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

VALUE = "value_at_stake"
TOTAL = "total_at_stake"


@dataclass(frozen=True)
class AtStake:
    """The users of a day with the most at stake, first the most."""

    publication: Publication
    """Whose users they are."""
    says: str
    """What their order is by, in words."""
    is_value: bool
    """Whether there is an amount at stake; without one, the undecided come first."""
    used: tuple[str, ...]
    """The columns that the order is made of."""
    rows: tuple[Mapping[str, Any], ...]
    """`value_at_stake`, which is an amount or null, and what is published of each user: key, figures, what is shown."""
    total: Decimal | None = None
    """What is at stake of all users of the day; None where no amount is."""


def leader() -> Publication | None:
    """Return the publication that tools send from, if one declares what is at stake."""
    return next((p for p in publications.declared() if p.at_stake and p.of), None)


def find(connection: Connection, day: date, limit: int) -> AtStake | None:
    """Find a day's users with the most at stake, as published; None where nothing was, or nothing declares it."""
    sent = leader()
    if sent is None or sent.at_stake is None:
        return None
    by_table = {p.table: p for p in publications.declared() if p.history}
    ours = by_table.get(sent.of or "")
    if ours is None:
        return None
    others = [by_table[table] for table in sent.reads if table in by_table and table != ours.table]
    values = {True: sent.at_stake["value"], False: sent.at_stake["otherwise"]}
    for is_value, order in values.items():
        rows = _rows(connection, ours, others, day, order, limit)
        if not rows:
            return None
        if rows[0][VALUE] is None:
            continue
        if not is_value:
            rows = [row | {VALUE: None} for row in rows]
        total = rows[0][TOTAL] if is_value else None
        rows = [{name: value for name, value in row.items() if name != TOTAL} for row in rows]
        says = sent.at_stake["says"] if is_value else sent.at_stake["says_otherwise"]
        used = tuple(name for name in rows[0] if re.search(rf"\b{name}\b", order))
        return AtStake(ours, says, is_value, used, tuple(rows), total)
    return None


def _rows(  # noqa: PLR0917 - what a query is made of
    connection: Connection, ours: Publication, others: list[Publication], day: date, order: str, limit: int
) -> list[dict[str, Any]]:
    parts: list[sql.Composed] = []
    names = [*ours.key]
    for one in (ours, *others):
        own = dict.fromkeys([*one.figures, *(one.shown if one is ours else ())])
        chosen = [name for name in own if name not in names]
        names += chosen
        parts.append(
            sql.SQL("(select {} from {} where day = %(day)s) as {}").format(
                sql.SQL(", ").join(map(sql.Identifier, [*ours.key, *chosen])),
                sql.Identifier(*one.history_target.split(".")),
                sql.Identifier(one.name),
            )
        )
    key = sql.SQL(", ").join(map(sql.Identifier, ours.key))
    query = sql.SQL(
        """
        select *, {order} as {value}, sum({order}) over () as {total} from {tables}
        order by {value} desc nulls last, {key} limit %(limit)s
        """
    )
    joined = sum((sql.SQL(" left join {} using ({})").format(part, key) for part in parts[1:]), parts[0])
    composed = query.format(
        order=sql.SQL(order), value=sql.Identifier(VALUE), total=sql.Identifier(TOTAL), tables=joined, key=key
    )
    return connection.cursor(row_factory=dict_row).execute(composed, {"day": day, "limit": limit}).fetchall()
