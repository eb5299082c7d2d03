"""
Comparing: by how much what is published would change, counted by Postgres, of nobody in particular.

For whoever publishes in a transaction that is undone (rekindle.postgres.undone): what readers have is remembered before, and held
against what they would have after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rekindle.postgres import only_value
from rekindle.publishing import merge, publications
from rekindle.publishing.publications import STAMPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

ELIGIBLE = "eligible"
"""Stands for the code of who has none."""

CODE = "suppression_reason"
"""Says of each user, where a table permits, why not."""


@dataclass(frozen=True)
class FigureChange:
    """How a figure moves among those who have it before and after, as it is published: rounded to its type."""

    column: str
    users: int
    changed: int
    mean_difference: float | None
    """Mean of the absolute differences, of those who stay the same too; null where there is nobody."""
    largest_difference: float | None
    rank_correlation: float | None
    """Spearman's: 1 where the order is the same, ties in the middle of their ranks; null where all are alike."""


@dataclass(frozen=True)
class Change:
    """How a published table would change."""

    table: str
    compared_with: date | None
    """The day of the rows that readers have now; None where they have none."""
    rows_now: int
    rows_then: int
    appear: int
    """Keys that readers do not have now."""
    disappear: int
    changed: int
    """Keys of which anything but the stamps is another."""
    figures: tuple[FigureChange, ...] = ()
    codes: Mapping[str, tuple[int, int]] | None = None
    """Of a table that permits: users now and then by code, those without one as `eligible`."""


@dataclass(frozen=True)
class Remembered:
    """What readers have of a publication, in a temporary table of the transaction."""

    publication: Publication
    compared_with: date | None
    codes: Mapping[str, int]


def remember(connection: Connection, day: date) -> list[Remembered]:
    """Keep what is published of a day aside; of scores that have none of the day, the current ones."""
    return [_remember(connection, publication, day) for publication in publications.declared()]


def changes(connection: Connection, remembered: Sequence[Remembered], day: date) -> list[Change]:
    """Hold what is published now against what was remembered, table by table; a table without rows in either is left out."""
    found = [_change(connection, one, day) for one in remembered]
    return [change for change in found if change.rows_now or change.rows_then]


def _remember(connection: Connection, publication: Publication, day: date) -> Remembered:
    of_day = day
    if publication.history and not only_value(
        connection.execute(f"select exists (select from {publication.history_target} where day = %s)", [day])
    ):
        of_day = merge.current_day(connection, publication.table) or day
    columns = ", ".join([*publication.key, *_content(publication)])
    source = f"{publication.history_target} where day = %(day)s" if publication.history else publication.target
    connection.execute(
        f"create temporary table {_kept(publication)} on commit drop as select {columns} from {source}",
        {"day": of_day},
    )
    connection.execute(f"analyze {_kept(publication)}")
    compared_with = of_day if publication.history else merge.current_day(connection, publication.table)
    has_rows = only_value(connection.execute(f"select exists (select from {_kept(publication)})"))
    return Remembered(publication, compared_with if has_rows else None, _codes(connection, publication))


def _kept(publication: Publication) -> str:
    return f"remembered_{publication.name}"


def _content(publication: Publication) -> list[str]:
    """What readers compare: not when it was written, nor what is renewed by the day anyway."""
    moving = {publication.since.column, *publication.since.but_for} if publication.since else set()
    columns = publication.history_columns if publication.history else publication.current_columns
    return [c.name for c in columns if c.name not in moving and c.name not in STAMPS]


def _change(connection: Connection, one: Remembered, day: date) -> Change:
    publication = one.publication
    then = (
        f"(select * from {publication.history_target} where day = %(day)s)"
        if publication.history
        else publication.target
    )
    first, content = publication.key[0], _content(publication)
    ours, theirs = (", ".join(f"{row}.{name}" for name in content) for row in ("a", "b"))
    both = f"{_kept(publication)} as a full join {then} as b using ({', '.join(publication.key)})"
    ((rows_now, rows_then, appear, disappear, changed),) = connection.execute(
        f"""
        select count(a.{first}), count(b.{first}), count(*) filter (where a.{first} is null),
            count(*) filter (where b.{first} is null),
            count(*) filter (where a.{first} is not null and b.{first} is not null and ({ours}) is distinct from ({theirs}))
        from {both}
        """,
        {"day": day},
    )
    figures = tuple(_figure(connection, column, both, day) for column in publication.figures)
    codes = _codes(connection, publication)
    return Change(
        publication.target,
        one.compared_with,
        *(rows_now, rows_then, appear, disappear, changed),
        tuple(figure for figure in figures if figure.users),
        {code: (one.codes.get(code, 0), codes.get(code, 0)) for code in sorted({*one.codes, *codes})} or None,
    )


def _figure(connection: Connection, column: str, both: str, day: date) -> FigureChange:
    # The middle of the ranks of those who are alike: Pearson's correlation of these is Spearman's.
    rank = "rank() over (order by {0}) + (count(*) over (partition by {0}) - 1) / 2.0 as rank_{0}"
    (found,) = connection.execute(
        f"""
        select count(*), count(*) filter (where x <> y), avg(abs(x - y)), max(abs(x - y)), corr(rank_x, rank_y)
        from (
            select x, y, {rank.format("x")}, {rank.format("y")}
            from (select a.{column}::float8 as x, b.{column}::float8 as y from {both}) as pairs
            where x is not null and y is not null
        ) as ranked
        """,
        {"day": day},
    )
    return FigureChange(column, *found)


def _codes(connection: Connection, publication: Publication) -> dict[str, int]:
    if not publication.permits or CODE not in {c.name for c in publication.columns}:
        return {}
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select case when {publication.permits} then %s else coalesce({CODE}, '') end, count(*)"
        f" from {publication.target} group by 1",
        [ELIGIBLE],
    ).fetchall()
    return dict(rows)
