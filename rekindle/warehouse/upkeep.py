"""
Upkeep of the warehouse tables: compaction, expiry of snapshots, branches that a dead attempt left, rows kept for a time only.

Each table is looked after under its lock: compaction while a branch is open would make the branch's release fail.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import postgres, records
from rekindle.settings import settings
from rekindle.warehouse import lineage
from rekindle.warehouse.builds import ALWAYS
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

SMALL_FILES = 5
"""Files of a partition that are worth one rewrite; a daily partition has one or two."""


def main(spark: SparkSession, day: date) -> dict[str, dict[str, int]]:
    """Look after all tables as of `day`; returns by table what was done."""
    kept = kept_from(day)
    return {table: _table(spark, table, kept.get(table)) for table in lineage.graph().order}


def kept_from(day: date) -> dict[str, date]:
    """
    The first day of which rows are kept, of tables that keep them for a time only.

    Of features that is counted from the newest day that has any: a history that ended years ago is kept. Their builds
    stay recorded: what was deleted for its age is not stale, and no backfill builds it again.
    """
    conf = settings()
    newest = max(records.builds("features.user", *ALWAYS), default=day)
    return {
        "raw.quarantine": day - timedelta(conf.quarantine_keep_days),
        "features.user": min(newest, day) - timedelta(conf.features_keep_days),
    }


def _table(spark: SparkSession, table: str, kept_from: date | None) -> dict[str, int]:
    name = f"{CATALOG}.{table}"
    with postgres.table_lock(table):
        # Whoever holds the lock is the only one with a branch: all that are there are of attempts that died.
        dead = [
            row[0]
            for row in spark.sql(f"SELECT name FROM {name}.refs WHERE type = 'BRANCH' AND name LIKE 'run_%'").collect()
        ]
        for branch in dead:
            spark.sql(f"ALTER TABLE {name} DROP BRANCH IF EXISTS {branch}")
        if kept_from is not None:
            spark.sql(f"DELETE FROM {name} WHERE day < DATE'{kept_from}'")
        (compacted,) = spark.sql(
            f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', "
            f"options => map('min-input-files', '{SMALL_FILES}'))"
        ).collect()
        # By the clock and not by a data day: what is kept is for readers and roll-backs of now.
        until = postgres.today() - timedelta(settings().snapshot_keep_days)
        (expired,) = spark.sql(
            f"CALL {CATALOG}.system.expire_snapshots(table => '{table}', "
            f"older_than => TIMESTAMP '{until} 00:00:00 UTC', retain_last => 1)"
        ).collect()
    return {
        "dropped_branches": len(dead),
        "rewritten_files": compacted["rewritten_data_files_count"],
        "deleted_files": expired["deleted_data_files_count"],
    }
