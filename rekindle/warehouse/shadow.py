"""
Shadows: what a run would build, on branches of its own that it reads itself and nobody else does.

While one is cast, whoever in this process writes a table writes the shadow's branch of it, and whoever reads one reads that
branch where the shadow has written it, else main. dbt, a process of its own, does the same by Iceberg's `spark.wap.branch`,
through views too. Nothing is released, and at the end the branches are dropped.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rekindle import postgres
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from pyspark.sql import SparkSession

PREFIX = "shadow_"
"""How the names of shadows' branches begin."""

BRANCHES = ("write.wap.enabled", "true")
"""The property of a table that lets a session read a branch of it without naming it."""

PATIENCE_SECONDS = 30.0
"""For upkeep, which looks for the dead of a table in moments; another shadow takes longer."""


@dataclass
class Shadow:
    """A shadow that is cast: its branch, and the tables that it has written."""

    branch: str
    written: list[str] = field(default_factory=list)


_CAST: list[Shadow] = []
"""The shadow of this process, where it casts one."""


def cast() -> Shadow | None:
    """Return the shadow that this process casts, if it does."""
    return _CAST[-1] if _CAST else None


def of(table: str) -> str:
    """Name what is to be read of a table: the shadow's branch where it has written one, else the table."""
    shadow = cast()
    return f"{table}.branch_{shadow.branch}" if shadow and table in shadow.written else table


def wrote(*tables: str) -> None:
    """Let tables be read as the shadow has written them from now on."""
    shadow = cast()
    assert shadow is not None  # noqa: S101 - asked for by who writes into one
    shadow.written += [table for table in tables if table not in shadow.written]


@contextmanager
def casting(spark: SparkSession, run_id: str, tables: Sequence[str]) -> Iterator[Shadow]:
    """
    Cast a shadow on some tables during the block, the only one anywhere; however the block ends, its branches are dropped.

    What a killed one leaves, upkeep drops. Raises InputError where a table is of before a session could read a branch of it.
    """
    shadow = Shadow(f"{PREFIX}{run_id}")
    with postgres.shadow_lock(wait_seconds=PATIENCE_SECONDS):
        _refuse_unmigrated(spark, tables)
        _CAST.append(shadow)
        try:
            yield shadow
        finally:
            _CAST.remove(shadow)
            drop(spark, shadow.branch, tables)


def drop(spark: SparkSession, branch: str, tables: Iterable[str]) -> None:
    """Drop a branch of the tables that have it."""
    for table in with_branch(spark, branch, tables):
        spark.sql(f"ALTER TABLE {table} DROP BRANCH IF EXISTS {branch}")


def with_branch(spark: SparkSession, branch: str, tables: Iterable[str]) -> dict[str, int]:
    """Find the branch's snapshot of each table that has it, in one query."""
    refs = [f"SELECT '{table}' AS of_table, name, snapshot_id FROM {table}.refs" for table in tables]
    found = spark.sql(
        f"SELECT of_table, snapshot_id FROM ({' UNION ALL '.join(refs)}) WHERE name = '{branch}'"
    ).collect()
    return {row["of_table"]: row["snapshot_id"] for row in found}


def rows_of(spark: SparkSession, shadow: Shadow, day: date) -> dict[str, tuple[int, int]]:
    """Count the rows of a day, by table that the shadow has written: those that readers have now, and the shadow's."""
    if not shadow.written:
        return {}
    counted = [
        f"SELECT '{table}' AS of_table, {place} AS place, count(*) AS rows FROM {name} WHERE day = DATE'{day}'"
        for table in shadow.written
        for place, name in enumerate((table, f"{table}.branch_{shadow.branch}"))
    ]
    found = {(row["of_table"], row["place"]): row["rows"] for row in spark.sql(" UNION ALL ".join(counted)).collect()}
    return {table: (found[table, 0], found[table, 1]) for table in shadow.written}


def _refuse_unmigrated(spark: SparkSession, tables: Iterable[str]) -> None:
    name, value = BRANCHES
    for table in tables:
        there = {r["key"]: r["value"] for r in spark.sql(f"SHOW TBLPROPERTIES {table}").collect()}
        if there.get(name) != value:
            raise InputError(
                f"{table} is of an earlier version: a shadow could not read its own rows of it.",
                todo="Bring tables up to date: rekindle migrate",
                code="not_migrated",
            )
