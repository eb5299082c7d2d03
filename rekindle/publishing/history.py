"""What was published of a day, as Arrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql

from rekindle.errors import InputError
from rekindle.postgres import transact
from rekindle.publishing.publications import STAMPS, declared, standing_column

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

ROWS_AT_ONCE = 50_000

TYPES = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "double precision": pa.float64(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}
"""Of the types that a publication may declare; numeric(p,s) is decimal128(p, s)."""


def product_publication(name: str) -> Publication:
    """Return what is published of a score product, or say which there are."""
    known = {p.name: p for p in declared() if p.history}
    if name not in known:
        raise InputError(f"There is no score product {name!r}.", todo=f"Choose one of: {', '.join(known)}.")
    return known[name]


def not_published(name: str, day: date) -> InputError:
    """Say that a day of a product was not published."""
    return InputError(
        f"Nothing was published of {name} for {day}.",
        todo="Look at `rekindle status` for the published days.",
        safe="Nothing was changed.",
        code="not_published",
    )


def history_table(publication: Publication, day: date, users: Collection[str] | None = None) -> pa.Table:
    """
    Read the rows of a day, in the order of their key; of some users where they are given.

    Raises InputError `not_published` where the day has no row of anybody.
    """
    schema = _schema(publication)
    history = sql.Identifier(*publication.history_target.split("."))
    query = sql.SQL("select {} from {} where day = %s{} order by {}").format(
        sql.SQL(", ").join(map(sql.Identifier, schema.names)),
        history,
        sql.SQL("" if users is None else " and user_id = any(%s)"),
        sql.SQL(", ").join(map(sql.Identifier, publication.key)),
    )
    values = [day, *([] if users is None else [list(users)])]

    def work(connection: Connection) -> pa.Table | None:
        batches = []
        with connection.cursor(name="history") as cursor:
            cursor.execute(query, values)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                columns = [
                    pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        if not batches:
            there = sql.SQL("select exists (select from {} where day = %s)").format(history)
            if connection.execute(there, [day]).fetchone() == (False,):
                return None
        return pa.Table.from_batches(batches, schema)

    found = transact(work)
    if found is None:
        raise not_published(publication.name, day)
    return found


def _schema(publication: Publication) -> pa.Schema:
    standing = [standing_column(name) for name in ("schema_version", *STAMPS)]
    columns = {column.name: _arrow_type(column.type) for column in (*publication.history_columns, *standing)}
    return pa.schema([*((name, pa.string()) for name in publication.key), *columns.items()])


def _arrow_type(declared_type: str) -> pa.DataType:
    if numeric := re.fullmatch(r"numeric\((\d+),(\d+)\)", declared_type):
        return pa.decimal128(int(numeric[1]), int(numeric[2]))
    return TYPES[declared_type]
