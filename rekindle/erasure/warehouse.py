"""
Removing people from a table of the warehouse: from its rows, from its earlier snapshots, and from files that nobody names.

Each table is looked after under its lock, upstream first. A job reads what it is made of while it holds the lock of what it
writes: so whoever began before a table was cleaned is waited for, and whoever begins after reads tables without the person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from rekindle import postgres
from rekindle.erasure.people import DEVICES, IDS, PHONES, TEXTS, is_hmac
from rekindle.points import durable
from rekindle.warehouse import tags
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from pyspark.sql import SparkSession

    from rekindle.erasure.personal import Holding

NO_TAGS: Mapping[str, int] = {}

DELETED = 2
"""Status of a manifest's entry about a file that its snapshot has deleted."""

FOUND = "path string"
"""A row is a file."""

TARGET_SIZE = "commit.manifest.target-size-bytes"

SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:/*")


@dataclass(frozen=True)
class Cleaned:
    """What was done with a table."""

    removed_rows: int
    blanked_texts: int
    dropped_refs: int
    orphan_files: int

    def to_json(self) -> dict[str, int]:
        return dict(vars(self))


def condition(holding: Holding) -> str | None:
    """
    SQL that is true for a row about one of the people of the views; None where no column names anybody.

    By the ids, where a table has some: a phone or a device may have had another holder before.
    """
    if ids := holding.of("id"):
        return " or ".join(f"`{name}` in (select user_id from {IDS})" for name in ids)
    found = [f"`{name}` in (select phone_hmac from {PHONES})" for name in holding.of("phone") if is_hmac(name)]
    found += [f"`{name}` in (select id_hash from {DEVICES})" for name in holding.of("device")]
    return " or ".join(found) or None


def texts_to_blank(holding: Holding) -> tuple[str, ...]:
    """Texts that may quote anybody: those of tables in which no column names whom a row is about."""
    if condition(holding) is not None:
        return ()
    return tuple(name for name in holding.of("text") if name in holding.optional)


def quotes(column: str) -> str:
    """SQL that is true for a text in which one of the people is named, be it within a longer word: rather one too many."""
    escaped = r"replace(replace(text, '\\', '\\\\'), '\"', '\\\"')"
    return f"exists (select 1 from {TEXTS} where contains(`{column}`, text) or contains(`{column}`, {escaped}))"


def rows_of(spark: SparkSession, holding: Holding) -> int:
    """Count what a table holds of the people of the views."""
    table = spark.table(f"{CATALOG}.{holding.table}")
    wanted = [condition(holding), *map(quotes, texts_to_blank(holding))]
    where = " or ".join(f"({one})" for one in wanted if one)
    return table.where(where).count() if where else 0


def clean(spark: SparkSession, holding: Holding, tagged: Mapping[str, int] = NO_TAGS) -> Cleaned:
    """
    Remove the people of the views from a table: rows, snapshots, files. Done twice, the second finds nothing.

    `tagged` are tags that are needed still: what is left gets them, under another name.
    """
    name = f"{CATALOG}.{holding.table}"
    with postgres.table_lock(holding.table) as lock:
        dropped = drop_refs(spark, holding.table)
        removed = 0
        if (where := condition(holding)) and (removed := spark.table(name).where(where).count()):
            with durable("rows of the erased", holding.table):
                spark.sql(f"DELETE FROM {name} WHERE {where}")
        blanked = sum(_blank(spark, name, column) for column in texts_to_blank(holding))
        drop_bounds(spark, holding)
        expire(spark, holding.table)
        tags.keep_what_is_left(spark, holding.table, tagged)
        lock.verify()
        return Cleaned(removed, blanked, dropped, remove_orphans(spark, holding.table))


def _blank(spark: SparkSession, name: str, column: str) -> int:
    # Which texts: collected as a view first, because an UPDATE takes no subquery that is more than IN.
    found = spark.table(name).where(quotes(column)).select(column).distinct()
    count = found.count()
    if count:
        found.createOrReplaceTempView("quoting")
        spark.sql(f"UPDATE {name} SET `{column}` = NULL WHERE `{column}` IN (SELECT `{column}` FROM quoting)")
    return count


def drop_bounds(spark: SparkSession, holding: Holding) -> None:
    """
    Let manifests forget the files that were deleted last, which they list with the smallest and largest value of each column.

    Of personal columns there are none, where a table was made by a contract or migrated since. A commit that changes nothing
    drops manifests that list deleted files alone; the others are written anew.
    """
    name = f"{CATALOG}.{holding.table}"
    listed = set(spark.table(f"{name}.entries").select("readable_metrics.*").columns) & set(holding.columns)
    bounds = " or ".join(f"readable_metrics.`{column}`.lower_bound is not null" for column in sorted(listed))
    if not bounds:
        return
    told = f"status = {DELETED} and ({bounds})"
    if spark.table(f"{name}.entries").where(told).limit(1).count():
        spark.sql(f"INSERT INTO {name} SELECT * FROM {name} WHERE false")
    if spark.table(f"{name}.entries").where(told).limit(1).count():
        (size,) = spark.sql(f"SELECT max(length) FROM {name}.manifests").first() or (0,)
        # Iceberg leaves a single manifest as it is that is not too large.
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{TARGET_SIZE}' = '{max(1, size // 2)}')")
        spark.sql(
            f"CALL {CATALOG}.system.rewrite_manifests(table => '{holding.table}', use_caching => false)"
        ).collect()
        spark.sql(f"ALTER TABLE {name} UNSET TBLPROPERTIES ('{TARGET_SIZE}')")


def drop_refs(spark: SparkSession, table: str) -> int:
    """Drop tags and branches, which keep old snapshots. Who holds the lock is the only one with a branch."""
    refs = spark.sql(f"SELECT name, type FROM {CATALOG}.{table}.refs WHERE name <> 'main'").collect()
    for ref in refs:
        spark.sql(f"ALTER TABLE {CATALOG}.{table} DROP {ref['type']} IF EXISTS `{ref['name']}`")
    return len(refs)


def expire(spark: SparkSession, table: str) -> None:
    """Expire all snapshots but the current one, with the files that only they have."""
    until = postgres.today() + timedelta(1)
    spark.sql(
        f"CALL {CATALOG}.system.expire_snapshots(table => '{table}', "
        f"older_than => TIMESTAMP '{until} 00:00:00 UTC', retain_last => 1)"
    ).collect()


def remove_orphans(spark: SparkSession, table: str) -> int:
    """
    Delete files in a table's folder that no snapshot names: what attempts have left that were killed while they wrote.

    Iceberg's own procedure refuses files of less than a day, because it knows of no lock. Whoever calls this holds the table's.
    The workers list and delete: they alone need to be allowed to reach the warehouse's files.
    """
    name = f"{CATALOG}.{table}"
    named = spark.sql(
        f"SELECT file FROM {name}.metadata_log_entries "
        f"UNION SELECT manifest_list FROM {name}.snapshots "
        f"UNION SELECT path FROM {name}.all_manifests "
        f"UNION SELECT file_path FROM {name}.all_files"
    )
    reachable = {plain(row[0]) for row in named.collect() if row[0]}
    location = _location(spark, name)
    files = spark.range(1).coalesce(1).mapInArrow(partial(_listed, location), FOUND).collect()
    orphans = [(file.path,) for file in files if plain(file.path) not in reachable]
    if orphans:
        spark.createDataFrame(orphans, FOUND).coalesce(1).mapInArrow(partial(_deleted, location), FOUND).count()
    return len(orphans)


def _listed(location: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the paths of all files below a folder."""
    import pyarrow as pa
    from pyarrow import fs

    for _ in batches:
        system, folder = _opened(location)
        found = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        paths = [file.path for file in found if file.type == fs.FileType.File]
        yield pa.record_batch({"path": pa.array(paths, pa.string())})


def _deleted(location: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: delete files, and pass their paths on."""
    system, _ = _opened(location)
    for batch in batches:
        for path in batch.column("path").to_pylist():
            system.delete_file(path)
        yield batch


def _opened(location: str) -> tuple[FileSystem, str]:
    from pyarrow import fs

    if "://" in location and not location.startswith("file:"):
        return fs.FileSystem.from_uri(location.replace("s3a://", "s3://", 1))
    return fs.LocalFileSystem(), "/" + plain(location)


def _location(spark: SparkSession, name: str) -> str:
    described = spark.sql(f"DESCRIBE TABLE EXTENDED {name}").where("col_name = 'Location'").collect()
    return described[0]["data_type"]


def plain(path: str) -> str:
    """A path without its scheme, as Spark and Arrow write it differently."""
    return SCHEME.sub("", path).lstrip("/")
