"""Publishing a million rows beside Postgres' own COPY of the same rows into tables with the same indexes."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from typing import IO, TYPE_CHECKING

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from bench.measured import Measured, clock
from bench.world import YEAR, learned
from quality.database import own_database
from rekindle.days import ONE_DAY, Days

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from ml.products import Product
    from rekindle.publishing.publications import Publication

ROWS = 1_000_000
PRODUCT = "ltv"
"""Every user has a row of it each day; no other table is as long."""


def measured() -> Iterator[Measured]:
    """Yield the lines of aim d."""
    from ml.products import product_named
    from rekindle import publishing, records
    from rekindle.publishing import publications

    product = product_named(PRODUCT)
    day = learned().days(1, YEAR).last
    rows = _many(_scored(product, Days.one(day)))
    another = _another_day(rows)
    with own_database() as url, records.own_run("bench", Days.one(day)) as run_id:
        with clock() as first:
            publishing.publish({product: rows.to_reader()}, day, run_id)
        with clock() as again:
            done = publishing.publish({product: rows.to_reader()}, day, run_id)
        if changed := done.products[0].changed_count:
            raise AssertionError(f"the same rows again have changed {changed} current rows")
        copied = _copied(url, publications.of_table(product.table))
        with clock() as next_day:
            publishing.publish({product: another.to_reader()}, day + ONE_DAY, run_id)
    beside = "COPY into the same indexed tables, current and history"
    yield Measured("d", f"publishing {ROWS:,} rows of {PRODUCT}", first[0], copied, beside, 2)
    yield Measured("d", "the same rows once more: no current row is written", again[0], copied, beside)
    yield Measured("d", "the next day, each row another", next_day[0], copied, beside)


def _scored(product: Product, days: Days) -> pa.Table:
    """Scores of a day that was built, by the champion."""
    from ml.registry.champions import champion
    from rekindle import records
    from rekindle.warehouse.spark import session
    from rekindle.warehouse.tables import read_days
    from spark_jobs import scores

    with records.own_run("bench", days) as run_id:
        scores.main(session(), days, run_id, product=product, backfill=True, version=champion(product).version)
    return read_days(session(), product.table, days).toArrow()


def _many(few: pa.Table) -> pa.Table:
    """Rows of so many users as are asked for: copies, with ids of their own, in the order of the key."""
    copies = []
    for number in range(1 + ROWS // len(few)):
        ids = pc.binary_join_element_wise(few.column("user_id"), pa.scalar(f"copy{number:04}"), "-")
        copies.append(few.set_column(few.schema.get_field_index("user_id"), "user_id", ids))
    return pa.concat_tables(copies).slice(0, ROWS).sort_by("user_id")


def _another_day(rows: pa.Table) -> pa.Table:
    """The same rows of the next day, a cent more each, as when everybody's features have changed."""
    cent = pa.scalar(Decimal("0.01"), pa.decimal128(18, 2))
    moved = {
        "day": pc.add(rows.column("day").cast(pa.int32()), pa.scalar(1, pa.int32())),
        "ltv_30": pc.add(rows.column("ltv_30"), cent),
        "raw_score": pc.add(rows.column("raw_score"), 0.01),
    }
    for name, column in moved.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), column.cast(rows.schema.field(at).type))
    return rows


def _copied(url: str, publication: Publication) -> float:
    """Copy what both tables hold out, and into empty ones with the same indexes; returns the seconds of the latter."""
    tables = {"current": publication.target, "history": publication.history_target}
    with psycopg.connect(url) as connection, tempfile.TemporaryFile() as current, tempfile.TemporaryFile() as history:
        files = {"current": current, "history": history}
        connection.execute("create schema bench")
        for name, table in tables.items():
            _out(connection, table, files[name])
            connection.execute(f"create table bench.{name} (like {table} including all)")
        connection.commit()
        with clock() as seconds:
            for name, file in files.items():
                _into(connection, f"bench.{name}", file)
            connection.commit()
        connection.execute("drop schema bench cascade")
    return seconds[0]


def _out(connection: Connection, table: str, file: IO[bytes]) -> None:
    with connection.cursor().copy(sql.SQL("copy (select * from {}) to stdout").format(_named(table))) as rows:
        for block in rows:
            file.write(block)


def _into(connection: Connection, table: str, file: IO[bytes]) -> None:
    file.seek(0)
    with connection.cursor().copy(sql.SQL("copy {} from stdin").format(_named(table))) as rows:
        while block := file.read(1 << 20):
            rows.write(block)


def _named(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
