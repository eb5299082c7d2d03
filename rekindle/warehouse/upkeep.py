"""
Upkeep of the warehouse tables: compaction, expiry of snapshots, branches that a dead attempt left, rows kept for a time only.

Each table is looked after under its lock: compaction while a branch is open would make the branch's release fail.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import postgres, records
from rekindle.errors import InputError
from rekindle.points import durable
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage, tags
from rekindle.warehouse.builds import ALWAYS
from rekindle.warehouse.personal import columns_of
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pyspark.sql import SparkSession

SMALL_FILES = 5
"""Files of a partition that are worth one rewrite; a daily partition has one or two."""


def main(spark: SparkSession, day: date) -> dict[str, dict[str, int]]:
    """Look after all tables as of `day`; returns by table what was done."""
    kept, tagged = kept_from(day), tags.wanted()
    return {table: _table(spark, table, kept.get(table), tagged.get(table, {})) for table in lineage.graph().order}


def kept_from(day: date) -> dict[str, date]:
    """
    The first day of which rows are kept, of tables that keep them for a time only.

    That is counted from the newest day that a table has: a history that ended years ago is kept. What ingestion writes beside the
    sources' tables is no history, and is counted from `day`. Builds stay recorded: what was deleted for its age is not stale,
    and no backfill builds it again.
    """
    found = {}
    for table in lineage.graph().tables.values():
        if table.keep is None:
            continue
        newest = day if table.is_by_product else max(records.builds(table.name, *ALWAYS), default=None)
        if newest is not None:
            found[table.name] = min(newest, day) - timedelta(getattr(settings(), table.keep))
    return found


def _delete_old(spark: SparkSession, table: str, kept_from: date) -> None:
    """
    Delete rows for their age, once it is recorded that they are gone.

    Of a state the latest row before `kept_from` of each key stays: it is what the days after know of it.
    """
    name, old = f"{CATALOG}.{table}", f"day < DATE'{kept_from}'"
    if not spark.table(name).where(old).limit(1).count():
        return
    records.record_expiry(table, kept_from)
    if not lineage.graph().tables[table].is_state:
        spark.sql(f"DELETE FROM {name} WHERE {old}")
        return
    key = ", ".join(f"`{part}`" for part in contracts.load(table).identity)
    spark.sql(
        f"DELETE FROM {name} WHERE {old} AND ({key}, day) IN ("
        f"SELECT {key}, day FROM (SELECT {key}, day, lead(day) OVER (PARTITION BY {key} ORDER BY day) AS next_day"
        f" FROM {name} WHERE day <= DATE'{kept_from}') WHERE next_day IS NOT NULL)"
    )


def _without_statistics(spark: SparkSession, table: str) -> bool:
    """
    Write a table's files anew if their manifests hold the smallest and largest value of a personal column.

    That is so of files that are older than the rule, once; what is written since has none.
    """
    personal = columns_of(table, spark.table(f"{CATALOG}.{table}").columns)
    # Maps have none in any case, and are not listed here.
    names = set(personal) & set(spark.table(f"{CATALOG}.{table}.files").select("readable_metrics.*").columns)
    if not names:
        return False
    told = " OR ".join(f"readable_metrics.`{name}`.lower_bound IS NOT NULL" for name in sorted(names))
    if not spark.sql(f"SELECT 1 FROM {CATALOG}.{table}.files WHERE {told} LIMIT 1").count():
        return False
    spark.sql(
        f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', options => map('rewrite-all', 'true'))"
    ).collect()
    return True


def _drop_dead_branches(spark: SparkSession, table: str) -> int:
    """
    Drop the branches of attempts that died, and of shadows; returns how many.

    Whoever holds the table's lock is the only one with a branch: all that are there are of attempts that died. A shadow keeps
    its branches from table to table, and a lock of its own for as long as it lives.
    """
    name = f"{CATALOG}.{table}"
    with ExitStack() as held:
        try:
            held.enter_context(postgres.shadow_lock(wait_seconds=0))
            is_dead = "name LIKE 'run_%' OR name LIKE 'shadow_%'"
        except InputError:
            is_dead = "name LIKE 'run_%'"
        dead = spark.sql(f"SELECT name FROM {name}.refs WHERE type = 'BRANCH' AND ({is_dead})").collect()
        with durable("dead branches", table):
            for (branch,) in dead:
                spark.sql(f"ALTER TABLE {name} DROP BRANCH IF EXISTS {branch}")
    return len(dead)


def _table(spark: SparkSession, table: str, kept_from: date | None, tagged: Mapping[str, int]) -> dict[str, int]:
    with postgres.table_lock(table):
        dead = _drop_dead_branches(spark, table)
        if kept_from is not None:
            with durable("old rows", table):
                _delete_old(spark, table, kept_from)
        with durable("compaction", table):
            _without_statistics(spark, table)
            (compacted,) = spark.sql(
                f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', "
                f"options => map('min-input-files', '{SMALL_FILES}'))"
            ).collect()
        tags.keep(spark, table, tagged)
        # By the clock and not by a data day: what is kept is for readers and roll-backs of now.
        until = postgres.today() - timedelta(settings().snapshot_keep_days)
        with durable("expiry of snapshots", table):
            (expired,) = spark.sql(
                f"CALL {CATALOG}.system.expire_snapshots(table => '{table}', "
                f"older_than => TIMESTAMP '{until} 00:00:00 UTC', retain_last => 1)"
            ).collect()
    return {
        "dropped_branches": dead,
        "rewritten_files": compacted["rewritten_data_files_count"],
        "deleted_files": expired["deleted_data_files_count"],
    }
