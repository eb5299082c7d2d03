"""Empty tables and a landing zone of its own for each module that loads deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.settings import settings
from rekindle.warehouse import builds, contracts, lineage, tables
from spark_jobs.features import user, user_day, user_item_day
from spark_jobs.ingest import raw

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date
    from pathlib import Path

    from pyspark.sql import SparkSession

EMPTIED = ("raw.", "features.", "permission.")
TILES = (user_day, user_item_day)
BUILT = tuple(job.TABLE for job in (*TILES, user))


@dataclass(frozen=True)
class Warehouse:
    """The tables of the session's platform, and the landing zone that they are filled from."""

    spark: SparkSession
    landing: Path

    def ingest(self, days: Days, sources: Collection[str] = ()) -> dict[str, raw.Ingested]:
        """Load the deliveries of some days, those of users first: of the named sources, else of all that have ever delivered."""
        run_id = records.start_run("test", days)
        named = sources or {source.name for source in self.landing.iterdir()}
        wanted = [source for source in contracts.landing_sources() if source in named]
        return {source: raw.main(self.spark, days, run_id, source=source) for source in wanted}

    def build(self, table: str, days: Days) -> None:
        """Build days of one of the tables of features."""
        (job,) = (job for job in (*TILES, user) if table == job.TABLE)
        job.main(self.spark, days, records.start_run("test", days))

    def rows(self, table: str, where: str = "true") -> list[dict[str, Any]]:
        """What stands in a table."""
        return [row.asDict(recursive=True) for row in self.spark.table(table).where(where).collect()]

    def rebuild_stale(self) -> dict[str, list[date]]:
        """Rebuild what is stale, in the order in which tables are built; returns what was."""
        stale = stale_features()
        for table, days in stale.items():
            self.build(table, Days(tuple(days)))
        return stale


def stale_features() -> dict[str, list[date]]:
    """What of the features is stale."""
    found = builds.state(lineage.graph()).stale
    return {table: days for table, days in found.items() if table in BUILT}


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory, platform: Path) -> Iterator[Path]:  # noqa: ARG001 - sets more
    """An empty landing zone that settings name."""
    folder = tmp_path_factory.mktemp("landing zone")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("REKINDLE_LANDING", str(folder))
        settings.cache_clear()
        yield folder
    settings.cache_clear()


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, landing: Path) -> Iterator[Warehouse]:
    """Tables without rows, for a module; it leaves none behind."""
    empty(spark)
    yield Warehouse(spark, landing)
    empty(spark)


def empty(spark: SparkSession) -> None:
    """Delete all rows of raw and features, and what is known of where they came from."""
    for table in contracts.tables():
        if table.startswith(EMPTIED) and tables.snapshot_id(spark, table) is not None:
            spark.sql(f"DELETE FROM {table}")
    postgres.transact(lambda connection: connection.execute("delete from rekindle.build"))
    postgres.transact(lambda connection: connection.execute("delete from rekindle.expiry"))
