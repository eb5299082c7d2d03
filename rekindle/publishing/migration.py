"""
Migrating: the tables of schema `sms` become what the publications declare.

A publication that is new gets its tables, one that has gained a column gets the column; nothing is ever dropped or
retyped, because readers rely on it. Each table is granted to `sms_reader`, and commented with the contract's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.errors import InputError
from rekindle.permission.constraints import CONSTRAINTS
from rekindle.publishing.publications import MEMBER, STAMPS, declared, standing_column
from rekindle.warehouse.checks.rules import Present, literal, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication, PublishedColumn

READER = "sms_reader"


def bring_up_to_date(connection: Connection) -> None:
    """Create what is missing of all publications, in the caller's transaction. Does nothing where nothing is."""
    for publication in declared():
        _bring(connection, publication, publication.target, publication.current_columns, history=False)
        if publication.history:
            _bring(connection, publication, publication.history_target, publication.history_columns, history=True)


def _bring(
    connection: Connection, publication: Publication, table: str, columns: Sequence[PublishedColumn], *, history: bool
) -> None:
    there = _columns(connection, table)
    if not there:
        connection.execute(_create_table(publication, table, columns, history=history))
        for first in _followed(publication, history=history):
            connection.execute(f"create index on {table} ({first})")
    else:
        _refuse_retyped(table, columns, there)
        for column in columns:
            if column.name not in there:
                # Rows of before have no value, so what must be there of new ones cannot be said of all.
                rules = "".join(f" check ({rule})" for rule in _rules(column))
                connection.execute(f"alter table {table} add column {column.name} {column.type}{rules}")
    _grant(connection, table)
    _comment(connection, publication, table, columns, history=history)


def _columns(connection: Connection, table: str) -> dict[str, str]:
    """Return the columns of a table and their types; none where it is not there."""
    rows = connection.execute(
        """
        select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
        """,
        [table],
    )
    return dict(rows.fetchall())


def _create_table(publication: Publication, table: str, columns: Sequence[PublishedColumn], *, history: bool) -> str:
    key = ", ".join([*publication.key, *(["day"] if history else [])])
    parts = [f"{name} text collate \"C\" not null check ({name} <> '')" for name in publication.key]
    for column in columns:
        required = " not null" if column.name == MEMBER or _is_required(publication, column, history=history) else ""
        parts.append(f"{column.name} {column.type}{required}" + "".join(f" check ({rule})" for rule in _rules(column)))
    parts.append(f"schema_version integer not null default {publication.schema_version}")
    parts += [f"{name} {standing_column(name).type} not null" for name in STAMPS]
    parts.append(f"primary key ({key})")
    if not history:
        parts += [f"check ({rule})" for rule in _rules_about_who_left(publication, columns)]
        if publication.permits:
            parts += [f"constraint {name} check ({rule})" for name, rule in CONSTRAINTS.items()]
    return f"create table {table} ({', '.join(parts)})" + (" partition by range (day)" if history else "")


def _followed(publication: Publication, *, history: bool) -> list[str]:
    """What readers ask by: the day of a history, or since when rows are as they are."""
    if history:
        return ["day"]
    since = [publication.since.column] if publication.since else []
    return [", ".join([column, *publication.key]) for column in ("updated_at", *since)]


def _is_required(publication: Publication, column: PublishedColumn, *, history: bool) -> bool:
    return not column.nullable and (history or publication.who_left != "blanked")


def _rules(column: PublishedColumn) -> Iterator[str]:
    """What a column's value must be, as SQL; null breaks no rule, and whether it may be null is said of the table."""
    return (rule.holds("postgres") for rule in rules_of(column) if not isinstance(rule, Present))


def _rules_about_who_left(publication: Publication, columns: Sequence[PublishedColumn]) -> Iterator[str]:
    """Who is scored has all of a score, who is not has nothing of one."""
    if publication.who_left != "blanked":
        return
    scored = [column for column in columns if column.name not in {MEMBER, *publication.keeps}]
    required = [column.name for column in scored if not column.nullable]
    if required:
        count = f"num_nonnulls({', '.join(required)})"
        yield f"{count} = case when {MEMBER} then {len(required)} else 0 end"
    if optional := [column.name for column in scored if column.nullable]:
        yield f"{MEMBER} or num_nonnulls({', '.join(optional)}) = 0"


def _refuse_retyped(table: str, columns: Sequence[PublishedColumn], there: dict[str, str]) -> None:
    other = [c for c in columns if c.name in there and there[c.name] != c.type]
    if other:
        raise InputError(
            f"{table} has {', '.join(f'{c.name} {there[c.name]}, declared as {c.type}' for c in other)}.",
            todo="Declare the type that readers know, or publish another column beside it.",
            safe="Nothing was migrated.",
        )


def _grant(connection: Connection, table: str) -> None:
    ((may_read,),) = connection.execute("select has_table_privilege(%s, %s, 'select')", [READER, table])
    if not may_read:
        connection.execute(f"grant select on {table} to {READER}")


def _comment(
    connection: Connection, publication: Publication, table: str, columns: Sequence[PublishedColumn], *, history: bool
) -> None:
    said = {c.name: c.description for c in columns}
    said |= publication.said_of_key
    said |= {name: standing_column(name).description for name in ("schema_version", *STAMPS)}
    about = f"{publication.description} As it was on each day." if history else publication.description
    rows = connection.execute(
        """
        select null, obj_description(to_regclass(%(table)s), 'pg_class')
        union all
        select attname, col_description(attrelid, attnum) from pg_attribute
        where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped
        """,
        {"table": table},
    )
    # A comment takes a lock that stands in the way of a publish: only where it says something new.
    for name, comment in rows.fetchall():
        words = about if name is None else said.get(name)
        if words is not None and words != comment:
            what = f"table {table}" if name is None else f"column {table}.{name}"
            connection.execute(f"comment on {what} is {literal(words, 'postgres')}")
