"""What databases and tables hold, as digests by table: two attempts of one step are held against each other row for row."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Any

from chaos.readers import since_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pyspark.sql import SparkSession

    from chaos.world import World

OF_AN_ATTEMPT = (
    *("run_id", "updated_at", "published_at", "recorded_at", "built_at", "started_at", "finished_at", "seconds"),
    *("promoted_at", "snapshot_id", "planned_at", "assigned_at", "read_at", "modified_at", "dag_run_id", "error"),
    *(
        "promotion_id",
        "publish_id",
        "holdout_id",
        "at",
        "erased_at",
        "forgotten_after",
        "ingested_at",
        "logged_at",
        "id",
    ),
)
"""What an attempt says of itself and of its time."""

LOGS = "stage", "publish_log", "run", "run_snapshot", "alembic_version", "erasure_log", "check_result", "reported_day"
"""What was done, and not what is: a second attempt adds to some of them, truly."""

OF_DRILLS = "drill "
"""How the runs of single steps are called in our records."""

_opened: list[SparkSession] = []
"""What `fresh_session` keeps."""


def of_postgres(
    world: World, schemas: Collection[str] = ("sms", "rekindle"), without: Collection[str] = ()
) -> dict[str, str]:
    """Digests of our own tables in Postgres."""
    keys = ", ".join(f"'{name}'" for name in (*OF_AN_ATTEMPT, *since_columns(), *without))
    with world.administrator("scores") as connection:
        names = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables where table_schema = any(%s)"
            " and table_type = 'BASE TABLE' and table_name not in (select inhrelid::regclass::name from pg_inherits)",
            [list(schemas)],
        ).fetchall()
        return {
            name: connection.execute(
                f"select count(*) || ' ' || coalesce(sum(hashtextextended((to_jsonb(t) - array[{keys}])::text, 0)), 0)"
                f" from {name} as t"
            ).fetchone()[0]  # type: ignore[index]
            for (name,) in names
            if name.split(".")[1] not in LOGS
        }


def of_warehouse(spark: SparkSession, tables: Collection[str], without: Collection[str] = ()) -> dict[str, str]:
    """Digests of tables of the warehouse, in one query; an attempt's id is left out."""
    left_out = {"run_id", "ingested_at", *without}
    parts = []
    for table in sorted(tables):
        columns = ", ".join(f"`{name}`" for name in spark.table(table).columns if name not in left_out)
        hashed = f"CAST(xxhash64(to_json(struct({columns}))) AS decimal(38))"
        parts.append(
            f"SELECT '{table}' AS name, concat(count(*), ' ', coalesce(sum({hashed}), 0)) AS digest FROM {table}"
        )
    return {row["name"]: row["digest"] for row in spark.sql(" UNION ALL ".join(parts)).collect()} if parts else {}


def doubled(spark: SparkSession, keys: Mapping[str, Collection[str]]) -> dict[str, int]:
    """How many keys a table has more than once, by table."""
    parts = [
        f"SELECT '{table}' AS name, count(*) AS doubled FROM"
        f" (SELECT 1 FROM {table} GROUP BY {', '.join(f'`{k}`' for k in key)} HAVING count(*) > 1)"
        for table, key in keys.items()
    ]
    found = spark.sql(" UNION ALL ".join(parts)).collect() if parts else []
    return {row["name"]: row["doubled"] for row in found if row["doubled"]}


def keys_of(tables: Collection[str]) -> dict[str, list[str]]:
    """The columns that make a row one of a kind, of tables that have a contract."""
    from rekindle.warehouse import contracts

    known = {table for table in tables if table in contracts.tables()}
    return {table: ["day", *contracts.load(table).identity] for table in known if contracts.load(table).identity}


def catalog(world: World) -> dict[str, str]:
    """Which file says what each table of the warehouse is: it is another one after each change. Views hold nothing."""
    with world.administrator("lake") as connection:
        rows = connection.execute(
            "select table_namespace || '.' || table_name, metadata_location from iceberg_tables"
            " where iceberg_type is distinct from 'VIEW'"
        )
        return dict(rows.fetchall())


def branches(spark: SparkSession, tables: Collection[str]) -> list[str]:
    """Branches that an attempt has left, with their tables."""
    parts = [f"SELECT '{table}' AS t, name FROM lake.{table}.refs WHERE name LIKE 'run_%'" for table in sorted(tables)]
    return [f"{row['t']} {row['name']}" for row in spark.sql(" UNION ALL ".join(parts)).collect()] if parts else []


def running(world: World) -> list[tuple[Any, ...]]:
    """Runs that are said to be running, but for those that single steps belong to, which are Airflow's to end."""
    query = "select kind, first_day, dag_run_id from rekindle.run where status = 'running'"
    return [row for row in select(world, query) if not str(row[2]).startswith(OF_DRILLS)]


def select(world: World, query: str, *values: object) -> list[tuple[Any, ...]]:
    with world.administrator("scores") as connection:
        return connection.execute(query, list(values)).fetchall()


def fresh_session() -> SparkSession:
    """
    A session of our own, on the server that runs now; kept until the process ends.

    pyspark closes a session, also one that was stopped, once more when it is garbage collected: where gRPC is starting a thread
    at that moment, the thread waits for itself for ever.
    """
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(os.environ["SPARK_REMOTE"]).create()
    # When Python ends, each would ask its server for what it cached of models, ten minutes long where that was killed.
    atexit.unregister(session.client._cleanup_ml_cache)  # noqa: SLF001 - pyspark has no other way to say so
    _opened.append(session)
    return session
