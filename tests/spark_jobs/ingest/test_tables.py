"""
Sources that are tables: the same raw tables as the same rows in files.

The rows arrive on four days: late ones, a duplicate, one that is quarantined, a user who is updated, a day without any. Iceberg
dates its snapshots by the clock, so its log is told other times here.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict
from pyarrow import parquet

from rekindle.days import ONE_DAY, Days
from rekindle.errors import InputError
from rekindle.landing import tables
from rekindle.landing.zone import LandingZone
from rekindle.settings import settings
from rekindle.warehouse import contracts
from rekindle.workflow import due
from spark_jobs.ingest import raw
from tests.spark_jobs.conftest import Warehouse, empty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

DAYS = Days.between(date(2024, 5, 1), date(2024, 5, 4))
ONE, TWO, THREE, FOUR = DAYS
FIVE = FOUR + ONE_DAY
SOURCES = ("users", "orders")

UTC_TIME = pa.timestamp("us", "UTC")
TYPES = {
    "users": {"user_id": pa.string(), "registered_at": UTC_TIME, "country": pa.string()},
    "orders": {
        "id": pa.string(),
        "line": pa.int32(),
        "customer": pa.string(),
        "ordered_at": UTC_TIME,
        "kind": pa.string(),
    },
}
TYPES["users"] |= {"attributes": pa.map_(pa.string(), pa.string())}
TYPES["orders"] |= {"amount": pa.decimal128(18, 2), "currency": pa.string()}
NAMES = {"id": "order_id", "line": "line_id", "customer": "user_id", "ordered_at": "occurred_at"}
MAPPED = {name: column for column, name in NAMES.items()}


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def user(user_id: str, country: str, **attributes: str) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "registered_at": noon(ONE - ONE_DAY),
        "country": country,
        "attributes": list(attributes.items()),
    }


def order(name: str, day: date, amount: str = "10.50", **changes: object) -> dict[str, Any]:
    row = {"id": name, "line": 0, "customer": "ada", "ordered_at": noon(day), "kind": "sale", "currency": "USD"}
    return row | {"amount": Decimal(amount)} | changes


ADA, BEN, CHO = user("ada", "GB", plan="gold", note='a "quote"'), user("ben", "US"), user("cho", "KR", plan="basic")
ROWS: dict[str, dict[date, list[dict[str, Any]]]] = {
    "users": {ONE: [ADA, BEN], TWO: [ADA | {"country": "FR"}], THREE: [], FOUR: [CHO]},
    "orders": {
        ONE: [order("first", ONE), order("twice", ONE), order("twice", ONE), order("negative", ONE, "-1.00")],
        TWO: [
            order("late", ONE),
            order("of a stranger", TWO, customer="dov"),
            order("other money", TWO, currency="EUR"),
        ],
        THREE: [],
        FOUR: [order("first", ONE), order("last", FOUR, "0.05")],
    },
}


def arrow(source: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema(TYPES[source]))


@pytest.fixture
def declare(monkeypatch) -> Iterator[Any]:
    """Let sources be tables."""

    def said(**sources: object) -> None:
        monkeypatch.setenv("REKINDLE_SOURCES", json.dumps(sources))
        settings.cache_clear()

    yield said
    monkeypatch.undo()
    settings.cache_clear()


def in_raw(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """What stands in raw, but for the names of files, rows within them, and runs."""
    unsaid = {"run_id", "file", "row", "files", "content_digest", "version"}
    return {
        table: sorted(
            ({name: value for name, value in row.items() if name not in unsaid} for row in warehouse.rows(table)),
            key=str,
        )
        for table in ("raw.users", "raw.orders", "raw.quarantine", "raw.deliveries")
    }


@pytest.fixture(scope="module")
def of_files(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """What raw holds when the rows have come as files."""
    for source in SOURCES:
        for day, rows in ROWS[source].items():
            folder = warehouse.landing / source / f"day={day}"
            folder.mkdir(parents=True)
            if rows:
                table = arrow(source, rows)
                parquet.write_table(
                    table.rename_columns([NAMES.get(n, n) for n in table.column_names]), folder / "a.parquet"
                )
            (folder / "_SUCCESS").touch()
    told = warehouse.ingest(DAYS, SOURCES)
    found = in_raw(warehouse)
    empty(warehouse.spark)
    assert [told["orders"].told[name] for name in ("delivered", "loaded", "duplicates", "quarantined")] == [9, 6, 1, 2]
    assert {name: told["orders"].told[name] for name in ("late", "repeated", "unknown_user")} == {
        "late": 2,
        "repeated": 1,
        "unknown_user": 1,
    }
    return found


@pytest.fixture
def lake(spark: SparkSession) -> Iterator[str]:
    """A namespace of the catalogue that is none of ours."""
    spark.sql("create namespace if not exists lake.shop")
    yield "lake.shop"
    for source in SOURCES:
        spark.sql(f"drop table if exists lake.shop.{source} purge")


def write(spark: SparkSession, table: str, source: str, rows: list[dict[str, Any]]) -> None:
    write_arrow(spark, table, arrow(source, rows))


def write_arrow(spark: SparkSession, table: str, rows: pa.Table) -> None:
    written = spark.createDataFrame(rows).coalesce(1).writeTo(table)
    if spark.catalog.tableExists(table):
        written.append()
    else:
        written.using("iceberg").create()


def test_an_iceberg_table_gives_the_same_raw_tables_as_files(
    warehouse: Warehouse, of_files: dict[str, Any], lake: str, declare: Any, monkeypatch: pytest.MonkeyPatch
):
    """Orders only grow, in several commits and around a compaction; of users rows are changed and deleted as well."""
    spark, shown = warehouse.spark, {}

    def committed(source: str, day: date) -> None:
        """Take what was committed since for commits of the day."""
        log = spark.sql(f"select snapshot_id from {lake}.{source}.history").collect()
        shown.update({row["snapshot_id"]: noon(day) for row in log if row["snapshot_id"] not in shown})

    for source in SOURCES:
        for day, rows in ROWS[source].items():
            if source == "users" and day == TWO:
                spark.sql(f"update {lake}.users set country = 'FR' where user_id = 'ada'")
            elif source == "orders" and day == TWO:
                write(spark, f"{lake}.orders", source, rows[:1])
                spark.sql(
                    "call lake.system.rewrite_data_files(table => 'shop.orders', options => map('rewrite-all','true'))"
                )
                write(spark, f"{lake}.orders", source, rows[1:])
            elif rows:
                write(spark, f"{lake}.{source}", source, rows)
            committed(source, day)
        if source == "users":
            spark.sql(f"delete from {lake}.users where user_id = 'ben'")
            committed(source, FOUR)
        write(spark, f"{lake}.{source}", source, ROWS[source][FOUR])
        committed(source, FIVE)
    real = tables.SnapshotTable.log

    def dated(table: tables.SnapshotTable) -> Any:
        log = real(table)
        return tables.SnapshotLog(
            [(shown[snapshot], snapshot) for _, snapshot in log.shown], log.snapshots, log.closing
        )

    monkeypatch.setattr(tables.SnapshotTable, "log", dated)
    snapshots = {"delivered": "snapshots"}
    declare(users=snapshots | {"iceberg": f"{lake}.users"}, orders=snapshots | MAPPED | {"iceberg": f"{lake}.orders"})
    zone = LandingZone()

    assert zone.days_of("users") == zone.days_of("orders") == list(DAYS)
    assert zone.missing(FOUR) == []
    assert zone.missing(FIVE) == ["users", "orders"]
    contract = contracts.landing_contract("orders")
    alone = raw.delivered_rows(spark, contract, zone.deliveries(contract, Days.one(FOUR)), zone)
    assert {row["order_id"] for row in alone.collect()} == {"first", "last"}, "One day is read by its files alone."
    warehouse.ingest(DAYS, SOURCES)
    try:
        assert in_raw(warehouse) == of_files
        assert due.redelivered() == {}
        assert {
            row["day"]: len(row["files"]) for row in warehouse.rows("raw.deliveries", "source = 'orders'")
        } == dict.fromkeys(DAYS, 1)
    finally:
        empty(spark)


def test_an_iceberg_table_is_loaded_by_the_night_that_its_rows_arrive_in(
    warehouse: Warehouse, of_files: dict[str, Any], lake: str, declare: Any
):
    """A column says when; a job at three in the morning brings the day before, so days close at six."""
    spark = warehouse.spark
    night = {day: datetime.combine(day + ONE_DAY, time(3), UTC) for day in (*DAYS, FIVE)}
    for source in SOURCES:
        for day, rows in (*ROWS[source].items(), (FIVE, ROWS[source][FOUR])):
            if rows:
                arrived = arrow(source, rows).append_column("arrived_at", pa.array([night[day]] * len(rows), UTC_TIME))
                write_arrow(spark, f"{lake}.{source}", arrived)
    by_night = {"delivered": "arrived_at", "closes_after_hours": 6}
    declare(users=by_night | {"iceberg": f"{lake}.users"}, orders=by_night | MAPPED | {"iceberg": f"{lake}.orders"})
    zone = LandingZone()

    assert zone.days_of("users") == zone.days_of("orders") == list(DAYS)
    assert zone.missing(FIVE) == ["users", "orders"], "Nothing has arrived after it."
    told = warehouse.ingest(DAYS, SOURCES)
    try:
        assert told["orders"].told["late"] == 2, "By when it happened, not by when it arrived."
        assert in_raw(warehouse) == of_files
        assert due.redelivered() == {}
    finally:
        empty(spark)


@pytest.fixture
def shop(platform: Path) -> Iterator[Any]:  # noqa: ARG001 - must run
    """A database that is not ours: `shop("sql")`, and rows by `shop("users", rows, arrived)`."""
    with psycopg.connect(settings().database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists shop cascade")
        connection.execute("create schema shop")
        connection.execute("create table shop.done (day date)")
        connection.execute(
            "create table shop.users (user_id text primary key, registered_at timestamptz, country text, attributes jsonb,"
            " updated_at timestamptz)"
        )
        connection.execute(
            "create table shop.orders (id text, line int, customer text, ordered_at timestamptz, kind text,"
            " amount numeric(18,2), currency text, loaded_at timestamptz)"
        )
        yield connection
        connection.execute("drop schema shop cascade")


def arrives(connection: psycopg.Connection[Any], source: str, day: date) -> None:
    """Write a day's rows as they arrive: users are changed where they stand."""
    for row in ROWS[source][day]:
        values = [json.dumps(dict(value)) if isinstance(value, list) else value for value in row.values()]
        update = "on conflict (user_id) do update set country = excluded.country, updated_at = excluded.updated_at"
        columns = [*row, {"users": "updated_at", "orders": "loaded_at"}[source]]
        connection.execute(
            f"insert into shop.{source} ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
            + (update if source == "users" else ""),
            [*values, noon(day)],
        )


def test_a_table_of_postgres_gives_the_same_raw_tables_as_files(  # noqa: PLR0917 - fixtures
    warehouse: Warehouse,
    of_files: dict[str, Any],
    shop: psycopg.Connection[Any],
    declare: Any,
    monkeypatch: pytest.MonkeyPatch,
    platform: Path,
):
    """Users are loaded as they change; a query says that a day is ready, or something later has arrived."""
    database = conninfo_to_dict(settings().database_url)
    url = f"jdbc:postgresql://{database['host']}:{database['port']}/{database['dbname']}"
    monkeypatch.setenv("SHOP_URL", settings().database_url)
    monkeypatch.setenv("SHOP_PASSWORD", str(database["password"]))
    users = {"jdbc": "SHOP_URL", "table": "shop.users", "delivered": "updated_at"}
    users |= {"ready": "select count(*) > 0 from shop.done where day = date '{day}'"}
    of_shop = {"jdbc": url, "user": "scores", "password": "SHOP_PASSWORD", "table": "shop.orders"}
    orders = of_shop | MAPPED | {"delivered": "loaded_at", "kind": "lower(kind)"}
    declare(users=users, orders=orders)
    # When each day of users is loaded, the next has not begun.
    arrives(shop, "users", ONE)
    assert "users" in LandingZone().missing(ONE), "Neither is anything later there, nor does the query say so."
    shop.execute("insert into shop.done values (%s)", [ONE])
    warehouse.ingest(Days.one(ONE), ["users"])
    for day in (TWO, FOUR):
        arrives(shop, "users", day)
        shop.execute("insert into shop.done values (%s)", [day])
    for day in DAYS:
        arrives(shop, "orders", day)
    assert LandingZone().missing(FOUR) == ["orders"]
    shop.execute("insert into shop.orders (id, loaded_at) values ('of the day after', %s)", [noon(FIVE)])
    assert LandingZone().missing(FOUR) == []
    warehouse.ingest(Days.between(TWO, FOUR), ["users"])
    warehouse.ingest(DAYS, ["orders"])

    assert in_raw(warehouse) == of_files
    assert due.redelivered() == {}
    shop.execute(
        "insert into shop.orders (id, customer, ordered_at, kind, amount, currency, loaded_at)"
        " values ('committed late', 'ada', %(at)s, 'SALE', 1, 'USD', %(at)s)",
        {"at": noon(TWO)},
    )
    assert due.redelivered() == {"orders": [TWO]}
    assert warehouse.ingest(DAYS, ["orders"])["orders"].told["delivered"] == 10
    assert due.redelivered() == {}

    monkeypatch.setenv("SHOP_PASSWORD", "hunter2-of-nobody")
    with pytest.raises(InputError, match=r"source_unavailable: shop.orders, .* for orders, did not answer") as refused:
        LandingZone().missing(FOUR)
    del orders["user"], orders["password"]
    declare(orders=orders | {"jdbc": "SHOP_URL", "item_id": "no_such_column"})
    with pytest.raises(InputError, match=r"source_unreadable: shop.orders"):
        LandingZone().deliveries(contracts.landing_contract("orders"), Days.one(ONE))
    log = (platform / "logs" / "spark.log").read_text()
    for secret in ("hunter2-of-nobody", str(database["password"])):
        assert secret not in log + str(refused.value)
    empty(warehouse.spark)
