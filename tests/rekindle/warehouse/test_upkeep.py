"""Upkeep: what it removes is what nobody reads any more, and what is read stays as it was."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import postgres, records
from rekindle.settings import settings
from rekindle.warehouse import contracts, lineage, shadow, upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

TABLE = "raw.quarantine"
DAY = date(2031, 5, 20)
"""Far from the days of other tests, which share the table."""
SMALL_WRITES = 6


@pytest.fixture(scope="module")
def kept_until() -> date:
    """The last day whose rejected rows are still kept on DAY."""
    return DAY - timedelta(settings().quarantine_keep_days)


@pytest.fixture(scope="module")
def looked_after(spark: SparkSession, kept_until: date) -> Iterator[dict[str, dict[str, int]]]:
    """What upkeep says after a month: many small writes, an attempt that died, and rows that are too old."""
    spark.sql(f"DELETE FROM {TABLE} WHERE true")
    # What other tests have written is theirs, also when they ran before.
    until = f"TIMESTAMP '{postgres.today() + timedelta(1)} 00:00:00 UTC'"
    spark.sql(f"CALL lake.system.expire_snapshots(table => '{TABLE}', older_than => {until}, retain_last => 1)")
    for row in range(SMALL_WRITES):
        _reject(spark, kept_until, row)
    _reject(spark, kept_until - timedelta(1), 0)
    spark.sql(f"ALTER TABLE {TABLE} CREATE BRANCH run_dead")
    a_month_on = postgres.today() + timedelta(31)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(postgres, "today", lambda: a_month_on)
        done = upkeep.main(spark, DAY)
    yield done
    spark.sql(f"DELETE FROM {TABLE} WHERE true")


def test_every_table_is_looked_after(looked_after: dict[str, dict[str, int]]):
    assert set(looked_after) == {*contracts.tables(), *lineage.graph().marts()}


def test_rows_that_are_kept_only_for_a_time_go_and_the_others_stay(
    spark: SparkSession, looked_after: dict[str, Any], kept_until: date
):
    assert looked_after[TABLE]
    found = sorted(tuple(row) for row in spark.table(TABLE).select("day", "row").collect())
    assert found == [(kept_until, row) for row in range(SMALL_WRITES)]


def test_features_are_kept_from_the_newest_day_on_and_not_by_the_clock(database):  # noqa: ARG001 - builds are recorded there
    """Upkeep of a sample of other years is scheduled by today's clock."""
    keep = timedelta(settings().features_keep_days)
    assert "features.user" not in upkeep.kept_from(DAY)

    sample_ends = date(2017, 12, 31)
    records.record_builds([records.Build("features.user", sample_ends, "build", "a run", None)])
    assert upkeep.kept_from(DAY)["features.user"] == sample_ends - keep


def test_small_files_become_one(spark: SparkSession, looked_after: dict[str, Any]):
    assert looked_after[TABLE]["rewritten_files"] == SMALL_WRITES
    assert spark.table(f"{TABLE}.files").count() == 1


def test_the_branch_of_a_dead_attempt_goes(spark: SparkSession, looked_after: dict[str, Any]):
    assert looked_after[TABLE]["dropped_branches"] == 1
    assert [row["name"] for row in spark.table(f"{TABLE}.refs").collect()] == ["main"]


def test_snapshots_that_nobody_goes_back_to_expire_with_their_files(spark: SparkSession, looked_after: dict[str, Any]):
    assert spark.table(f"{TABLE}.snapshots").count() == 1
    assert looked_after[TABLE]["deleted_files"] == SMALL_WRITES + 1


def _reject(spark: SparkSession, day: date, row: int) -> None:
    spark.sql(f"INSERT INTO {TABLE} VALUES (DATE'{day}', 'orders', 'orders.csv', {row}, 'bad_json', NULL, '?')")


def test_each_table_lets_a_session_read_a_branch_without_naming_it(spark: SparkSession):
    """As dbt does on the branch of its run, and of all tables in a shadow."""
    name, value = shadow.BRANCHES

    def said(table: str) -> str | None:
        return {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES lake.{table}").collect()}.get(name)

    assert {table: said(table) for table in lineage.graph().order} == dict.fromkeys(lineage.graph().order, value)
