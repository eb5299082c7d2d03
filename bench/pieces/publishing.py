"""Publishing a million rows beside Postgres' own COPY of the same rows into tables with the same indexes."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from bench.measured import Measured, clock
from bench.world import LEARNED_DAYS, learned
from quality.database import own_database
from rekindle.days import ONE_DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

ROWS = 1_000_000
PRODUCT = "ltv"
"""Every user has a row of it each day; no other table is as long."""


class Product(NamedTuple):
    """What publishing wants to know of one."""

    name: str
    table: str


def measured() -> Iterator[Measured]:
    """Yield the lines of aim d."""
    from ml.products import product_named
    from rekindle import publishing, records
    from rekindle.days import Days
    from rekindle.publishing import publications
    from rekindle.settings import settings
    from rekindle.warehouse.spark import session
    from rekindle.warehouse.tables import read_days

    world = learned()
    product = product_named(PRODUCT)
    (day,) = world.days(LEARNED_DAYS + 1, LEARNED_DAYS + 1)
    spark = session()
    if day not in records.builds(product.table, day, day):
        world.run(day)
    few = read_days(spark, product.table, Days.one(day)).toArrow()
    many = _many(few)
    publication = publications.of_table(product.table)
    tables = _Tables(publication.target, publication.history_target)
    told = Product(product.name, product.table)
    with own_database() as url:
        seconds = {}
        with clock() as first:
            publishing.publish({told: many}, day, "bench")
        with clock() as again:
            done = publishing.publish({told: many}, day, "bench again")
        if changed := done.products[0].changed_count:
            raise AssertionError(f"the same rows again have changed {changed} current rows")
        with tables.copied(url) as copied:
            seconds["COPY"] = copied
        moved = many.set_column(
            many.schema.get_field_index("day"), "day", pa.array([day + ONE_DAY] * len(many), pa.date32())
        )
        moved = _moved(moved)
        with clock() as next_day:
            publishing.publish({told: moved}, day + ONE_DAY, "bench next")
        settings.cache_clear()
    beside = "COPY into the same indexed tables, current and history"
    yield Measured("d", f"publishing {ROWS:,} rows of {PRODUCT}", first[0], seconds["COPY"], beside, 2)
    yield Measured("d", "the same rows once more: no current row is written", again[0], seconds["COPY"], beside)
    yield Measured("d", "the next day, each row another", next_day[0], seconds["COPY"], beside)


def _many(few: pa.Table) -> pa.Table:
    """Rows of so many users as are asked for: copies, with ids of their own, in the order of the key."""
    times = 1 + ROWS // len(few)
    copies = []
    for number in range(times):
        ids = pc.binary_join_element_wise(few.column("user_id"), pa.scalar(f"copy{number:04}"), "-")
        copies.append(few.set_column(few.schema.get_field_index("user_id"), "user_id", ids))
    return pa.concat_tables(copies).slice(0, ROWS).sort_by("user_id")


def _moved(rows: pa.Table) -> pa.Table:
    """The same rows, a cent more each: as of a day on which everybody's features have changed."""
    raised = rows
    for name in ("ltv_30", "raw_score"):
        at = raised.schema.get_field_index(name)
        raised = raised.set_column(at, name, pa.array(np.asarray(raised.column(name)) + 0.01))
    return raised


@dataclass(frozen=True)
class _Tables:
    current: str
    history: str

    @contextmanager
    def copied(self, url: str) -> Iterator[float]:
        """Copy what both hold out, and into empty tables with the same indexes; gives the seconds of the latter."""
        with (
            psycopg.connect(url) as connection,
            tempfile.TemporaryFile() as current,
            tempfile.TemporaryFile() as history,
        ):
            for table, file in ((self.current, current), (self.history, history)):
                _out(connection, table, file)
            connection.execute("create schema bench")
            for name, table in (("current", self.current), ("history", self.history)):
                connection.execute(f"create table bench.{name} (like {table} including all)")
            connection.commit()
            with clock() as seconds:
                for name, file in (("current", current), ("history", history)):
                    _into(connection, f"bench.{name}", file)
                connection.commit()
            connection.execute("drop schema bench cascade")
            connection.commit()
        yield seconds[0]


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
