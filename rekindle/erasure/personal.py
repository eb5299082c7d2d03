"""
What is personal where, in the warehouse and in Postgres: what erasure and `rekindle person` go through.

In Postgres a column is personal by its name alone, as in a table of the warehouse that nobody declares
(rekindle.warehouse.personal). So whoever adds a table adds nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.warehouse import contracts, lineage
from rekindle.warehouse.personal import by_name, columns_of
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

    from rekindle.postgres import Connection
    from rekindle.warehouse.contracts import Personal

NAMES_NOBODY = ("staging",)
"""Namespaces of views, which hold nothing of their own."""

KEPT_IN_POSTGRES: Mapping[str, str] = {
    "rekindle.erasure": "until the feed's days are over: it is what tools are told of",
    "rekindle.phone_opt_out": "for ever: a number that said stop is not texted because its holder was erased",
    "rekindle.tombstone": "for ever: a later delivery of the person is dropped by it",
    "rekindle.erasure_log": "for ever: the audit log, which names nobody",
}
"""Tables of Postgres from which erasure takes nobody, and for how long what they hold stays."""


@dataclass(frozen=True)
class Holding:
    """A table and its personal columns, by kind."""

    table: str
    columns: Mapping[str, Personal]
    optional: frozenset[str] = frozenset()
    """Those that may be null."""

    def of(self, *kinds: Personal) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind in kinds)


def in_warehouse(spark: SparkSession) -> tuple[Holding, ...]:
    """
    Return the tables that hold something personal, each after those that it is made of.

    Also those that are in the catalog and that nobody declares, or no longer: they come last.
    """
    there = _catalog(spark)
    order = [*(name for name in lineage.graph().order if name in there)]
    order += sorted(there - set(order))
    return tuple(holding for name in order if (holding := holding_of(spark, name)).columns)


def holding_of(spark: SparkSession, table: str) -> Holding:
    """What of a table is personal, as it is declared and by the names of its columns."""
    kinds = columns_of(table, spark.table(f"{CATALOG}.{table}").columns)
    if table in contracts.tables():
        return Holding(table, kinds, frozenset(c.name for c in contracts.load(table).columns if c.nullable))
    return Holding(table, kinds, frozenset() if table in lineage.graph().tables else frozenset(kinds))


def _catalog(spark: SparkSession) -> set[str]:
    namespaces = [row[0] for row in spark.sql(f"SHOW NAMESPACES IN {CATALOG}").collect()]
    return {
        f"{name}.{row['tableName']}"
        for name in namespaces
        if name not in NAMES_NOBODY
        for row in spark.sql(f"SHOW TABLES IN {CATALOG}.{name}").collect()
    }


def in_postgres(connection: Connection, schema: str = "rekindle") -> tuple[Holding, ...]:
    """Return the tables of a schema that hold something personal. The months of a history are part of it."""
    rows = connection.execute(
        """
        select c.relname, a.attname, not a.attnotnull
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname = %s and c.relkind in ('r', 'p') and not c.relispartition
        order by c.relname, a.attnum
        """,
        [schema],
    ).fetchall()
    found: dict[str, dict[str, Personal]] = {}
    optional: dict[str, set[str]] = {}
    for table, column, nullable in rows:
        if kind := by_name(column):
            found.setdefault(table, {})[column] = kind
            optional.setdefault(table, set()).update({column} if nullable else set())
    return tuple(Holding(f"{schema}.{t}", columns, frozenset(optional[t])) for t, columns in found.items())
