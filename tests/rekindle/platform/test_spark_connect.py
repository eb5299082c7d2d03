from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict

import psutil
import pytest
from psycopg.sql import SQL, Literal
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from rekindle.platform import databases, postgres, spark_connect
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.platform.machine import GIB
from tests.rekindle.platform.conftest import connect


@pytest.fixture(scope="module")
def start(home):
    """Start the server on this folder's own Postgres and wait for it; returns its record."""

    def start():
        passwords = credentials(home)
        spark_connect.wait(home, spark_connect.start(home, postgres.start(home, passwords.postgres), passwords))
        return spark_connect.running(home)

    yield start
    spark_connect.stop(home)


def session(port, token):
    return SparkSession.builder.remote(f"sc://localhost:{port}/;token={token}").create()


def test_only_who_has_the_token_gets_in(home, start):
    port = start()["port"]
    spark = session(port, credentials(home).spark_token)

    assert spark.range(3).count() == 3
    spark.stop()
    guess = session(port, "a-guess")
    with pytest.raises(PySparkException, match=r"(?i)unauthenticated|invalid authentication token"):
        guess.range(3).count()
    # A client that is left open calls the server when Python ends, and waits ten minutes for one that is gone.
    guess.client.close()


def test_a_table_is_iceberg_with_the_wiring_of_the_project(home, start):
    spark = session(start()["port"], credentials(home).spark_token)
    spark.sql("create namespace scratch")
    spark.sql("create table scratch.t as select 1 as a")
    told = spark.sql("show create table scratch.t").first()[0]
    spark.stop()

    assert "USING iceberg" in told
    assert "'write.metadata.delete-after-commit.enabled' = 'true'" in told
    assert (home.path / "warehouse" / "scratch" / "t" / "data").is_dir()


def test_no_secret_stands_on_its_command_line(home, start):
    command = " ".join(psutil.Process(start()["pid"]).cmdline())

    assert spark_connect.SERVER_CLASS in command
    assert not [name for name, secret in asdict(credentials(home)).items() if secret in command]
    assert (home.path / "spark" / "place.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("memory_gib", "cores", "heap_mib", "tasks"),
    [(4, 2, 1434, 2), (4, 16, 1434, 2), (8, 4, 2867, 4), (2, 8, 1024, 2), (64, 4, 6144, 4), (64, 64, 6144, 12)],
)
def test_heap_and_tasks_follow_the_machine(monkeypatch, tmp_path, memory_gib, cores, heap_mib, tasks):  # noqa: PLR0917 - a case
    monkeypatch.setattr(spark_connect, "memory_bytes", lambda: memory_gib * GIB)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    home = Home(tmp_path)

    place = spark_connect._place(home, 5432, credentials(home))

    assert f"spark.driver.memory {heap_mib}m\n" in place
    assert f"spark.master local[{tasks}]\n" in place


@pytest.mark.skipif(
    (os.cpu_count() or 1) > spark_connect.FEW_CORES, reason="with more cores Java's usual collector is used"
)
def test_gives_back_what_it_no_longer_needs(home, start):
    """Thirty small queries left 0.8 GiB of garbage behind, a long backfill as much as the heap could hold."""
    server = start()
    spark = session(server["port"], credentials(home).spark_token)
    for _ in range(30):
        spark.range(0, 800, 1, 8).selectExpr("id % 80 as k").groupBy("k").count().orderBy("k").collect()
    spark.stop()

    assert psutil.Process(server["pid"]).memory_info().rss < GIB


def test_comes_back_after_a_kill(home, start):
    before = start()
    os.kill(before["pid"], signal.SIGKILL)
    time.sleep(0.2)

    spark = session(start()["port"], credentials(home).spark_token)
    assert spark.range(3).count() == 3
    spark.stop()


def test_starts_anew_when_postgres_has_moved(home, start):
    before = start()
    spark_connect.start(home, postgres_port=before["port"], passwords=credentials(home))

    assert spark_connect.running(home)["pid"] != before["pid"]
    assert not psutil.pid_exists(before["pid"])


def test_a_catalog_connection_that_postgres_has_closed_is_opened_again(home, start):
    """Spark leaves one open for each session that has ended; without an end to them, Postgres runs out of connections."""
    passwords = credentials(home)
    server = start()
    port = postgres.running_port(home)
    with connect(port, "postgres", passwords.postgres, "postgres", autocommit=True) as admin:

        def idle_for(duration):
            admin.execute(SQL("alter role lake set idle_session_timeout = {}").format(Literal(duration)))

        def connections():
            return admin.execute("select count(*) from pg_stat_activity where usename = 'lake'").fetchone()[0]

        (kept,) = admin.execute(
            "select setconfig from pg_db_role_setting s join pg_roles r on r.oid = setrole"
        ).fetchone()
        idle_for("1s")
        spark = session(server["port"], passwords.spark_token)
        spark.sql("create namespace if not exists scratch")
        spark.sql("create or replace table scratch.u as select 1 as a")
        before = connections()
        time.sleep(2)

        assert kept == [f"idle_session_timeout={databases.CATALOG_IDLE_TIMEOUT}"]
        assert connections() < before
        spark.sql("insert into scratch.u values (2)")
        assert spark.table("scratch.u").count() == 2
        spark.stop()
        idle_for(databases.CATALOG_IDLE_TIMEOUT)
