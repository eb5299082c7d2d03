"""Merging: published tables become what was staged or asked for; only rows that differ are touched, and stamped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rekindle.publishing import partitions
from rekindle.publishing.publications import MEMBER, STAMPS
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication, PublishedColumn

    Stamps = Mapping[str, Any]
    """day, run_id and at: what the rows of a publish are stamped with."""


def merge_history(connection: Connection, publication: Publication, stamps: Stamps) -> None:
    """Make the day's partition what was staged."""
    history, staging = publication.history_target, publication.staging
    partitions.make_room(connection, publication, stamps["day"])
    connection.execute(
        f"""
        delete from {history} as t
        where day = %(day)s and not exists (select from {staging} as s where {_same(publication)})
        """,
        stamps,
    )
    rows = {column.name: _staged(column) for column in publication.history_columns}
    source = f"select {', '.join(publication.key)}, {_select_list(publication, rows)} from {staging}"
    _merge(connection, publication, history, list(rows), source, stamps=stamps, of_day=True)
    partitions.analyze(connection, publication, stamps["day"])


def merge_scores(connection: Connection, publication: Publication, stamps: Stamps) -> int:
    """Bring in who is scored, and see to who no longer is. Returns how many rows changed."""
    target, staging, columns = publication.target, publication.staging, publication.current_columns
    key = ", ".join(publication.key)
    gone = f"not exists (select from {staging} as s where {_same(publication)})"
    member = {c.name: "true" if c.name == MEMBER else _staged(c) for c in columns}
    source = f"select {key}, {_select_list(publication, member)} from {staging}"
    deleted = 0
    if publication.who_left == "deleted":
        deleted = connection.execute(f"delete from {target} as t where {gone}").rowcount
    elif publication.who_left == "blanked":
        # Nobody is dropped without a word: a tool that follows changes sees that the score is gone.
        left = {c.name: _left(publication, c) for c in columns}
        source += f" union all select {key}, {_select_list(publication, left)} from {target} as t"
        source += f" where {MEMBER} and {gone}"
    return deleted + _merge(connection, publication, target, list(member), source, stamps=stamps)


def merge_query(connection: Connection, publication: Publication, asked: Stamps) -> int:
    """Make the table what its query says, given its parameters beside the stamps. Returns how many rows changed."""
    values = {c.name: f"{c.name}::{c.type}" for c in publication.current_columns if not _is_since(publication, c.name)}
    deleted = 0
    if publication.who_left == "deleted":
        deleted = connection.execute(
            f"delete from {publication.target} as t"
            f" where not exists (select from ({publication.query}) as s where {_same(publication)})",
            asked,
        ).rowcount
    source = f"select {', '.join(publication.key)}, {_select_list(publication, values)} from ({publication.query}) as q"
    return deleted + _merge(connection, publication, publication.target, list(values), source, stamps=asked)


def _is_since(publication: Publication, name: str) -> bool:
    return publication.since is not None and publication.since.column == name


def _merge(
    connection: Connection,
    publication: Publication,
    target: str,
    content: Sequence[str],
    source: str,
    *,
    stamps: Stamps,
    of_day: bool = False,
) -> int:
    """Insert or update the rows of `source` whose content `target` does not have yet, and stamp them."""
    key = [*publication.key, *(["day"] if of_day else [])]
    content = [*content, "schema_version"]
    since = [publication.since] if publication.since else []
    changed = [*content, *(one.column for one in since), *STAMPS]
    columns = ", ".join([*publication.key, *changed])
    keys = ", ".join(f"s.{name}" for name in publication.key)
    theirs, ours = (_of_row(row, content) for row in ("s", "t"))
    said_since = [
        f"case when t.{publication.key[0]} is null or ({_of_row('s', content, one.but_for)})"
        f" is distinct from ({_of_row('t', content, one.but_for)})"
        f" then %(at)s else coalesce(t.{one.column}, %(at)s) end"
        for one in since
    ]
    return connection.execute(
        f"""
        with s as materialized ({source})
        insert into {target} ({columns})
        select {", ".join([keys, theirs, *said_since])}, %(day)s, %(run_id)s, %(at)s
        from s left join {target} as t on {_same(publication)} {"and t.day = %(day)s" if of_day else ""}
        where t.{publication.key[0]} is null or ({ours}) is distinct from ({theirs})
        on conflict ({", ".join(key)}) do update
        set ({", ".join(changed)}) = ({", ".join(f"excluded.{name}" for name in changed)})
        """,
        stamps,
    ).rowcount


def _of_row(row: str, names: Sequence[str], but_for: Sequence[str] = ()) -> str:
    return ", ".join(f"{row}.{name}" for name in names if name not in but_for)


def _staged(column: PublishedColumn) -> str:
    """SQL of a published value from what was staged."""
    if column.reason:
        words = f"reason_{column.reason}_words"
        contribution = f"round(reason_{column.reason}_contribution::numeric, 2)"
        return f"{words} || ' (' || case when {contribution} < 0 then '' else '+' end || {contribution} || ')'"
    return f"{column.name}::{column.type}"


def _left(publication: Publication, column: PublishedColumn) -> str:
    """SQL of what is published of somebody whom the source no longer has."""
    if column.name == MEMBER:
        return "false"
    return column.name if column.name in publication.keeps else f"null::{column.type}"


def _select_list(publication: Publication, expressions: Mapping[str, str]) -> str:
    versioned = {**expressions, "schema_version": str(publication.schema_version)}
    return ", ".join(f"{expression} as {name}" for name, expression in versioned.items())


def _same(publication: Publication) -> str:
    return " and ".join(f"s.{name} = t.{name}" for name in publication.key)


# Freshness


def current_day(connection: Connection, table: str) -> date | None:
    """Return the day that a published table is about; None before its first publish."""
    row = connection.execute("select day from rekindle.freshness where table_name = %s", [table]).fetchone()
    return row[0] if row else None


def renew(connection: Connection, publication: Publication, stamps: Stamps) -> int:
    """Say of a table which day it is about and until when it may be used. Returns its rows."""
    row_count = count(connection, publication.target)
    connection.execute(
        """
        insert into rekindle.freshness (table_name, day, row_count, published_at, valid_until)
        values (%(table)s, %(day)s, %(row_count)s, %(at)s,
            (%(day)s::date + 1)::timestamp at time zone 'UTC' + make_interval(hours => %(valid_hours)s))
        on conflict (table_name) do update
        set (day, row_count, published_at, valid_until) =
            (excluded.day, excluded.row_count, excluded.published_at, excluded.valid_until)
        """,
        {**stamps, "table": publication.table, "row_count": row_count, "valid_hours": settings().valid_hours},
    )
    return row_count


def note_change(connection: Connection, publication: Publication, stamps: Stamps) -> None:
    """Say when a table last changed, so that whatever comes is stamped later."""
    connection.execute(
        "update rekindle.freshness set published_at = %(at)s where table_name = %(table)s",
        {**stamps, "table": publication.table},
    )


def count(connection: Connection, table: str) -> int:
    """Count a table's rows."""
    ((rows,),) = connection.execute(f"select count(*) from {table}")
    return rows
