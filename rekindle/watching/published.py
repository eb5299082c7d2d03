"""
Watching what is published: how scores are spread, and which share of the users has which suppression code.

Both are counted by Postgres. A score's bins are the tenths of the day before, so that each is worth the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from rekindle import postgres, records
from rekindle.publishing import publications
from rekindle.watching import judging

if TYPE_CHECKING:
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

ELIGIBLE = "eligible"
"""Stands for the code of who has none."""

TENTHS = [n / 10 for n in range(1, 10)]


def watch(day: date, before: date, run_id: str) -> list[records.CheckResult]:
    """Judge the published scores and suppression codes of a day against those of `before`, and record what is found."""
    found: dict[str, list[records.CheckResult]] = {}

    def work(connection: Connection) -> None:
        for publication in publications.declared():
            if publication.history:
                found[publication.target] = _drift(connection, publication, day, before)
            if publication.permits:
                found[publication.target] = _shares(connection, publication, day, before)

    postgres.transact(work)
    for table, results in found.items():
        records.record_checks(run_id, day, judging.watched(table), results)
    return [result for results in found.values() for result in results]


def _drift(connection: Connection, publication: Publication, day: date, before: date) -> list[records.CheckResult]:
    figures = {}
    for column in publication.figures:
        counts = _counts(connection, publication, column, day, before)
        if counts is not None:
            figures[column] = counts
    return judging.drift(figures, before)


def _counts(
    connection: Connection, publication: Publication, column: str, day: date, before: date
) -> tuple[list[int], list[int]] | None:
    """Rows by bin on the day and before, the last bin those without a value; None where the day before has no rows."""
    names = {"history": sql.Identifier(*publication.history_target.split(".")), "column": sql.Identifier(column)}
    ((edges,),) = connection.execute(
        sql.SQL(
            "select percentile_disc(%s::float8[]) within group (order by {column})::float8[] from {history} where day = %s"
        ).format(**names),
        [TENTHS, before],
    )
    edges = sorted({edge for edge in edges or () if edge is not None})
    if not edges:
        return None
    counted: dict[date, list[int]] = {of: [0] * (len(edges) + 2) for of in (day, before)}
    for of, place, rows in connection.execute(
        sql.SQL(
            """
            select day, coalesce(width_bucket({column}::float8, %s::float8[]), %s), count(*)
            from {history} where day = any(%s) group by 1, 2
            """
        ).format(**names),
        [edges, len(edges) + 1, [day, before]],
    ):
        counted[of][place] = rows
    return counted[day], counted[before]


def _shares(connection: Connection, publication: Publication, day: date, before: date) -> list[records.CheckResult]:
    table = publication.target
    connection.execute("delete from rekindle.suppression where day = %s and table_name = %s", [day, table])
    connection.execute(
        sql.SQL(
            """
            insert into rekindle.suppression (day, table_name, code, users)
            select %s, %s, coalesce(suppression_reason, %s), count(*) from {table} group by 3
            """
        ).format(table=sql.Identifier(*table.split("."))),
        [day, table, ELIGIBLE],
    )
    counted: dict[date, dict[str, int]] = {day: {}, before: {}}
    for of, code, users in connection.execute(
        "select day, code, users from rekindle.suppression where day = any(%s) and table_name = %s",
        [[day, before], table],
    ):
        counted[of][code] = users
    return judging.shares(counted[day], counted[before], before) if counted[before] else []
