"""
`python -m bench.published`: a hash of what is published, by table and day, as JSON; for comparing before and after a change.

Covers every table and view in schema `sms`, whatever there is. A row counts with the names and values of all its columns but
those that say who wrote it and when, so another run of the same scores has the same hashes.
"""

from __future__ import annotations

import hashlib
import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from psycopg import sql

from rekindle import platform, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rekindle.postgres import Connection

LEFT_OUT = ("run_id", "updated_at", "content_updated_at", "published_at", "model_version", "model_digest", "status")
"""Who and when. `status` is the freshness as of the query; those of LTV (`ltv_30_status` ...) count."""

ROWS_AT_ONCE = 10_000


def published() -> dict[str, dict[str, dict[str, Any]]]:
    """Return rows and hash by table and day. In a current row `day` is when its content last changed."""

    def work(connection: Connection) -> dict[str, dict[str, dict[str, Any]]]:
        connection.execute("set transaction isolation level repeatable read, read only")
        return {table: _days(connection, table) for table in _tables(connection)}

    return postgres.transact(work)


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        """
        select relname from pg_class
        where relnamespace = 'sms'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition
        order by relname collate "C"
        """
    )
    return [name for (name,) in rows]


def _days(connection: Connection, table: str) -> dict[str, dict[str, Any]]:
    columns = _columns(connection, table)
    # A JSON array of texts, so that neither a null nor a comma in a text can be taken for something else.
    query = sql.SQL(
        'select day::text, json_build_array({})::text collate "C" as content from {} order by day, content'
    ).format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns),
        sql.Identifier("sms", table),
    )
    days = {}
    with connection.cursor(name="published") as rows:
        rows.itersize = ROWS_AT_ONCE
        for day, contents in groupby(rows.execute(query), key=lambda row: row[0]):
            days[day] = _hashed(columns, (content for _, content in contents))
    return days


def _hashed(columns: list[str], contents: Iterator[str]) -> dict[str, Any]:
    digest, count = hashlib.sha256(json.dumps(columns).encode()), 0
    for content in contents:
        digest.update(content.encode() + b"\n")
        count += 1
    return {"rows": count, "sha256": digest.hexdigest()}


def _columns(connection: Connection, table: str) -> list[str]:
    """Names of what counts, sorted: a table may gain columns in any order."""
    rows = connection.execute(
        sql.SQL(
            "select attname from pg_attribute where attrelid = {}::regclass and attnum > 0 and not attisdropped"
        ).format(sql.Literal(f"sms.{table}"))
    )
    return sorted(name for (name,) in rows if name not in LEFT_OUT)


if __name__ == "__main__":
    platform.attach()
    print(json.dumps(published(), indent=1))
