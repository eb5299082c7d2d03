"""Shadows: what is built in one it reads itself, and nobody else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.warehouse import contracts, migrate, shadow, tables, upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

TABLE = "darkness.chances"
CONTRACT = """
table: darkness.chances
is: Chances that were made up.
owner: crm-data
key: [day, user_id]
partition: day
columns:
  day: shared
  user_id: shared
  chance: {type: double, between: [0, 1], is: A probability.}
"""
MONDAY = date(2024, 6, 3)
TUESDAY = MONDAY + timedelta(1)


@pytest.fixture(scope="module", autouse=True)
def contract(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A table of its own with four rows of Monday, whose contract stands where the project's are looked for."""
    folder = tmp_path_factory.mktemp("contracts")
    (folder / "shared.yml").write_text((contracts.FOLDER / "shared.yml").read_text())
    (folder / f"{TABLE}.yml").write_text(CONTRACT)
    cached = (contracts.tables, contracts.landing_sources, contracts.load)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(contracts, "FOLDER", folder)
        for one in cached:
            one.cache_clear()
        migrate.create_tables(spark)
        replace(spark, MONDAY, users=4)
        yield
    for one in cached:
        one.cache_clear()
    spark.sql(f"DROP TABLE {TABLE} PURGE")
    spark.sql("DROP NAMESPACE darkness")


def batch(spark: SparkSession, day: date, users: int, chance: float) -> DataFrame:
    return spark.createDataFrame(
        [(day, f"user-{n}", chance) for n in range(users)], "day date, user_id string, chance double"
    )


def replace(spark: SparkSession, day: date, users: int, chance: float = 0.5) -> tables.Release:
    days = Days.one(day)
    run_id = records.start_run("test", days)
    return tables.replace_days(spark, TABLE, batch(spark, day, users, chance), days, run_id=run_id)


def read(spark: SparkSession, day: date) -> int:
    return tables.read_days(spark, TABLE, Days.one(day)).count()


def refs(spark: SparkSession) -> dict[str, int]:
    return {row["name"]: row["snapshot_id"] for row in spark.table(f"{TABLE}.refs").collect()}


@pytest.fixture
def main(spark: SparkSession) -> Iterator[dict[str, int]]:
    """The refs of the table, which are the same after the test."""
    before = refs(spark)
    assert list(before) == ["main"]
    yield before
    assert refs(spark) == before


def test_a_shadow_reads_what_it_has_built_and_nobody_else_does(spark: SparkSession, main: dict[str, int]):
    with shadow.casting(spark, "one", [TABLE]) as mine:
        assert read(spark, MONDAY) == 4
        replace(spark, MONDAY, users=3)
        replace(spark, TUESDAY, users=2)

        assert (read(spark, MONDAY), read(spark, TUESDAY)) == (3, 2)
        assert tables.read_between(spark, TABLE, None, TUESDAY).count() == 5
        assert spark.table(TABLE).count() == 4
        assert refs(spark)["main"] == main["main"]
        assert shadow.rows_of(spark, mine, MONDAY) == {TABLE: (4, 3)}
    assert read(spark, MONDAY) == 4


@pytest.mark.usefixtures("main")
def test_a_session_of_another_process_reads_it_through_views_too(spark: SparkSession):
    """As dbt's does, which is told the branch by a setting and names none."""
    spark.sql(f"CREATE VIEW darkness.seen AS SELECT * FROM {TABLE}")
    try:
        with shadow.casting(spark, "two", [TABLE]) as mine:
            spark.conf.set("spark.wap.branch", mine.branch)
            assert spark.table("darkness.seen").count() == 4
            spark.conf.unset("spark.wap.branch")
            replace(spark, MONDAY, users=3)
            spark.conf.set("spark.wap.branch", mine.branch)
            assert spark.table("darkness.seen").count() == 3
            spark.conf.unset("spark.wap.branch")
            assert spark.table("darkness.seen").count() == 4
    finally:
        spark.conf.unset("spark.wap.branch")
        spark.sql("DROP VIEW darkness.seen")


@pytest.mark.usefixtures("main")
def test_what_fails_its_contract_leaves_the_shadow_as_it_was(spark: SparkSession):
    with shadow.casting(spark, "three", [TABLE]) as mine:
        with pytest.raises(CheckFailedError, match="chance is between 0 and 1"):
            replace(spark, MONDAY, users=3, chance=2.0)
        assert (mine.written, list(refs(spark))) == ([], ["main"])
        replace(spark, MONDAY, users=3)
        with pytest.raises(CheckFailedError, match="chance is between 0 and 1"):
            replace(spark, MONDAY, users=2, chance=2.0)
        assert read(spark, MONDAY) == 3


@pytest.mark.usefixtures("main")
def test_however_a_shadow_ends_its_branches_go(spark: SparkSession):
    def broken_off() -> None:
        with shadow.casting(spark, "four", [TABLE]) as mine:
            spark.sql(f"ALTER TABLE {TABLE} CREATE BRANCH {mine.branch}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert shadow.cast() is None


@pytest.mark.usefixtures("main")
def test_upkeep_drops_what_a_killed_shadow_has_left_and_no_living_one(spark: SparkSession):
    def look_after() -> Any:
        return upkeep._drop_dead_branches(spark, TABLE)

    with shadow.casting(spark, "alive", [TABLE]) as mine:
        spark.sql(f"ALTER TABLE {TABLE} CREATE BRANCH {mine.branch}")
        assert look_after() == 0
        assert mine.branch in refs(spark)
    spark.sql(f"ALTER TABLE {TABLE} CREATE BRANCH shadow_killed")
    assert look_after() == 1


@pytest.mark.usefixtures("main")
def test_there_is_one_shadow_at_a_time(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shadow, "PATIENCE_SECONDS", 0.0)
    with (
        postgres.shadow_lock(),
        pytest.raises(InputError, match="already_running"),
        shadow.casting(spark, "five", [TABLE]),
    ):
        pass


@pytest.mark.usefixtures("main")
def test_a_table_of_an_earlier_version_is_migrated_first(spark: SparkSession):
    """Else dbt would silently read what readers have."""
    spark.sql(f"ALTER TABLE {TABLE} UNSET TBLPROPERTIES ('{shadow.BRANCHES[0]}')")
    try:
        with pytest.raises(InputError, match="not_migrated"), shadow.casting(spark, "six", [TABLE]):
            pass
    finally:
        spark.sql(f"ALTER TABLE {TABLE} SET TBLPROPERTIES ('{shadow.BRANCHES[0]}' = '{shadow.BRANCHES[1]}')")
