"""Tables: nothing that was not audited becomes visible, and what was built from what is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.warehouse import contracts, migrate, tables
from tests.traps import trap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

TABLE = "drafts.chances"
CONTRACT = """
table: drafts.chances
is: Chances that were made up.
owner: crm-data
key: [day, product, user_id]
partition: [day, product]
columns:
  day: shared
  product: {type: string, is: A product.}
  user_id: shared
  chance: {type: double, between: [0, 1], is: A probability.}
stop_if: {rows_change_by: 0.4}
"""
MONDAY = date(2024, 6, 3)
DAYS = tuple(MONDAY + timedelta(n) for n in range(7))
SCHEMA = "user_id string, chance float, product string, day date, not_in_the_contract string"


@pytest.fixture(scope="module", autouse=True)
def contract(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A table of its own, whose contract stands where the project's are looked for."""
    folder = tmp_path_factory.mktemp("contracts")
    (folder / "shared.yml").write_text((contracts.FOLDER / "shared.yml").read_text())
    (folder / f"{TABLE}.yml").write_text(CONTRACT)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(contracts, "FOLDER", folder)
        forget()
        migrate.create_tables(spark)
        yield folder / f"{TABLE}.yml"
    forget()
    spark.sql(f"DROP TABLE {TABLE} PURGE")
    spark.sql("DROP NAMESPACE drafts")


def forget() -> None:
    for cached in (contracts.tables, contracts.landing_sources, contracts.load):
        cached.cache_clear()


@pytest.fixture
def batch(spark: SparkSession):
    """Rows of a product: `users` a day, each with a chance; columns in another order, and one too many."""

    def made(*days: date, product: str = "recall", users: int = 4, chance: float | None = 0.5) -> DataFrame:
        rows = [(f"user-{n}", chance, product, day, "x") for day in days for n in range(users)]
        return spark.createDataFrame(rows, SCHEMA)

    return made


def replace(spark: SparkSession, rows: DataFrame, *days: date, **more: Any) -> tables.Release:
    wanted = Days(days)
    return tables.replace_days(spark, TABLE, rows, wanted, run_id=records.start_run("test", wanted), **more)


def counts(spark: SparkSession) -> dict[tuple[date, str], int]:
    rows = spark.table(TABLE).groupBy("day", "product").count().collect()
    return {(row["day"], row["product"]): row["count"] for row in rows}


def branches(spark: SparkSession) -> set[str]:
    return {row["name"] for row in spark.table(f"lake.{TABLE}.refs").collect()}


def test_a_table_is_what_its_contract_says(spark: SparkSession):
    described = {row["col_name"]: row for row in spark.sql(f"DESCRIBE TABLE EXTENDED {TABLE}").collect()}
    partition = spark.table(f"lake.{TABLE}.partitions").schema["partition"].dataType

    assert [(c.name, c.dataType.simpleString()) for c in spark.table(TABLE).schema] == [
        ("day", "date"),
        ("product", "string"),
        ("user_id", "string"),
        ("chance", "double"),
    ]
    assert described["chance"]["comment"] == "A probability."
    assert described["Comment"]["data_type"] == "Chances that were made up."
    assert "rekindle.owner=crm-data" in described["Table Properties"]["data_type"]
    assert partition.fieldNames() == ["day", "product"]


def test_a_column_that_a_contract_has_gained_is_added(spark: SparkSession, contract: Path, batch):
    replace(spark, batch(DAYS[0]), DAYS[0])
    contract.write_text(CONTRACT.replace("stop_if", "  note: {type: string, nullable: true, is: A note.}\nstop_if"))
    forget()
    try:
        migrate.create_tables(spark)
        (stored,) = {row["note"] for row in spark.table(TABLE).collect()}
        assert stored is None
    finally:
        spark.sql(f"ALTER TABLE {TABLE} DROP COLUMN note")
        contract.write_text(CONTRACT)
        forget()


@trap("yesterday's scores overwritten")
def test_days_are_replaced_and_no_others(spark: SparkSession, batch):
    replace(spark, batch(*DAYS[:2]), *DAYS[:2])
    done = replace(spark, batch(DAYS[1], users=3), DAYS[1])

    assert counts(spark) == {(DAYS[0], "recall"): 4, (DAYS[1], "recall"): 3}
    assert (done.row_count, done.snapshot_id) == (3, tables.snapshot_id(spark, TABLE))
    assert branches(spark) == {"main"}


def test_nothing_replaces_what_was_there(spark: SparkSession, batch):
    """A dynamic overwrite with zero rows would leave yesterday's wrong rows."""
    replace(spark, batch(*DAYS[:2]), *DAYS[:2])
    done = replace(spark, batch(), DAYS[0])

    assert done.row_count == 0
    assert counts(spark) == {(DAYS[1], "recall"): 4}


def test_a_part_of_a_day_is_replaced_alone(spark: SparkSession, batch):
    replace(spark, batch(*DAYS[:2]), *DAYS[:2])
    replace(spark, batch(DAYS[0], product="ltv"), DAYS[0], part={"product": "ltv"})
    replace(spark, batch(product="ltv"), DAYS[0], part={"product": "ltv"})

    assert counts(spark) == {(DAYS[0], "recall"): 4, (DAYS[1], "recall"): 4}


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"chance": 1.2}, r"chance is between 0 and 1, 4 rows"),
        ({"chance": None}, "chance is not null, 4 rows"),
        ({"users": 2}, r"rows change by at most 0\.4 of the week's median \(for example 2024-06-06: 0\.5\)"),
    ],
)
def test_a_bad_batch_leaves_all_as_it_was(spark: SparkSession, batch, bad: dict[str, Any], rule: str):
    replace(spark, batch(*DAYS[:3]), *DAYS[:3])
    before = tables.snapshot_id(spark, TABLE), counts(spark)

    with pytest.raises(CheckFailedError, match=rf"drafts\.chances of 2024-06-06 broke its contract: {rule}") as refused:
        replace(spark, batch(DAYS[3], **bad), DAYS[3])

    assert refused.value.exit_code == 1
    assert (tables.snapshot_id(spark, TABLE), counts(spark)) == before
    assert branches(spark) == {"main"}


def test_what_a_refused_batch_was_told_is_recorded(spark: SparkSession, batch):
    run_id = records.start_run("test", Days.one(DAYS[6]))
    with pytest.raises(CheckFailedError):
        tables.replace_days(spark, TABLE, batch(DAYS[6], chance=2.0), Days.one(DAYS[6]), run_id=run_id)
    failed = [one for one in records.checks(run_id=run_id) if one.outcome == "failed"]

    assert [(one.table_name, one.rule, one.failed_rows) for one in failed] == [(TABLE, "chance is between 0 and 1", 4)]


def test_a_range_is_judged_day_by_day(spark: SparkSession, batch):
    """The fourth day of the range has half the rows of the three before it."""
    rows = batch(*DAYS[:3]).unionAll(batch(DAYS[3], users=2))
    spark.sql(f"DELETE FROM {TABLE}")

    with pytest.raises(CheckFailedError, match=r"2024-06-06: 0\.5"):
        replace(spark, rows, *DAYS[:4])


def test_a_branch_that_moved_after_its_audit_is_not_released(spark: SparkSession, batch):
    replace(spark, batch(DAYS[0]), DAYS[0])
    before = tables.snapshot_id(spark, TABLE)
    with tables.attempt(spark, TABLE) as (branch, _):
        audited = tables.snapshot_id(spark, TABLE, branch)
        batch(DAYS[1]).select(*spark.table(TABLE).columns).writeTo(f"{TABLE}.branch_{branch}").append()
        with pytest.raises(CheckFailedError, match="branch_moved"):
            tables.release(spark, TABLE, branch, audited)

    assert tables.snapshot_id(spark, TABLE) == before
    assert branches(spark) == {"main"}


def test_two_writers_come_one_after_the_other(spark: SparkSession, batch):
    spark.sql(f"DELETE FROM {TABLE}")
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(replace, spark, batch(day), day) for day in DAYS[:2]]
        snapshots = {writer.result().snapshot_id for writer in writers}

    assert counts(spark) == {(DAYS[0], "recall"): 4, (DAYS[1], "recall"): 4}
    assert len(snapshots) == 2
    assert branches(spark) == {"main"}


def test_a_writer_that_waits_too_long_says_so(spark: SparkSession, batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgres, "table_lock", partial(postgres.table_lock, wait_seconds=0.2))
    held, done = Event(), Event()

    def hold() -> None:
        with postgres.table_lock(TABLE):
            held.set()
            done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        held.wait(60)
        try:
            with pytest.raises(InputError, match=r"already_running.*holds the table drafts\.chances"):
                replace(spark, batch(DAYS[0]), DAYS[0])
        finally:
            done.set()
        holder.result()


def test_days_are_read_by_partition(spark: SparkSession, batch):
    replace(spark, batch(*DAYS[:4]), *DAYS[:4])

    def read(rows: DataFrame) -> set[date]:
        return {row["day"] for row in rows.select("day").distinct().collect()}

    assert read(tables.read_days(spark, TABLE, Days((DAYS[0], DAYS[2])))) == {DAYS[0], DAYS[2]}
    assert read(tables.read_days(spark, TABLE, Days.between(DAYS[1], DAYS[2]))) == {DAYS[1], DAYS[2]}
    assert read(tables.read_between(spark, TABLE, None, DAYS[1])) == {DAYS[0], DAYS[1]}
    assert read(tables.read_between(spark, TABLE, DAYS[2], DAYS[3])) == {DAYS[2], DAYS[3]}
