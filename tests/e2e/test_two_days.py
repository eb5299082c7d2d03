"""The whole workflow on real servers: Airflow's scheduler, Spark Connect, dbt, Great Expectations, MLflow and Postgres."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from rekindle.settings import settings
from tests.e2e.conftest import LAST, USERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Shop

DAY_BEFORE, DAY = LAST - timedelta(1), LAST
HISTORY_END = LAST - timedelta(2)
SCHEDULER_SECONDS = 420
"""A scheduled day starts a Python process per task; on two busy cores that takes minutes."""


def rekindle(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command as a person would, in a process of its own, and return its JSON."""
    answer = subprocess.run(
        [sys.executable, "-c", "from rekindle.cli import main; main()", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert answer.returncode == code, (
        f"{arguments}: exit {answer.returncode}\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"
    )
    return json.loads(answer.stdout)


def select(query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings().database_url) as connection:
        return connection.execute(query, values).fetchall()


@pytest.fixture(scope="module")
def trained(platform, shop: Shop) -> Iterator[Shop]:  # noqa: ARG001 - the servers must be there
    """A history that is built and trained on, up to two days before the last."""
    os.environ["REKINDLE_LANDING"] = str(shop.landing)
    settings.cache_clear()
    rekindle("backfill", "--from", min(shop.orders).isoformat(), "--to", HISTORY_END.isoformat())
    for product in ("recall", "ltv"):
        rekindle("train", product, "--day", HISTORY_END.isoformat())
    yield shop
    del os.environ["REKINDLE_LANDING"]
    settings.cache_clear()


@pytest.fixture(scope="module")
def first_day(trained: Shop) -> Shop:
    """The first of the two days, run from the command line."""
    rekindle("run", "--day", DAY_BEFORE.isoformat())
    return trained


def test_a_day_is_published_for_exactly_its_populations(first_day):
    lapsed = {
        f"u{user}"
        for user in range(USERS)
        if (last := _last_bought(first_day, f"u{user}", DAY_BEFORE)) and 7 <= (DAY_BEFORE - last).days <= 364
    }
    published = {row[0] for row in select("select user_id from sms.recall_scores where in_population")}

    assert published == lapsed
    assert select("select count(*) from sms.ltv_scores where in_population") == [(USERS,)]


def test_nobody_is_eligible_before_permission_is_known(first_day):  # noqa: ARG001 - the day must have run
    assert select("select distinct eligible from sms.audience") == [(False,)]
    assert {row[0] for row in select("select distinct suppression_reason from sms.audience")} <= {
        "no_consent",
        "not_in_population",
    }


def test_a_day_run_again_changes_nothing_that_tools_read(first_day):  # noqa: ARG001 - the day must have run
    tables = ("recall_scores", "ltv_scores", "recall_scores_history", "ltv_scores_history", "audience")
    before = {table: select(f"select * from sms.{table} order by user_id") for table in tables}

    rekindle("run", "--day", DAY_BEFORE.isoformat())

    assert {table: select(f"select * from sms.{table} order by user_id") for table in tables} == before


def test_a_day_goes_through_the_scheduler(first_day, scheduler):  # noqa: ARG001 - the scheduler must run
    """The second day: triggered in Airflow, run by its scheduler task by task."""
    _airflow("dags", "unpause", "daily_scores")
    conf = json.dumps({"day": DAY.isoformat()})
    _airflow("dags", "trigger", "daily_scores", "--run-id", "by-hand", "--conf", conf)

    state = _wait_for_run("by-hand")

    assert state == "success", _task_states("by-hand")
    assert set(_task_states("by-hand").values()) == {"success"}
    assert select("select distinct day from sms.recall_scores_history order by day") == [(DAY_BEFORE,), (DAY,)]
    assert select("select status from rekindle.run where dag_run_id = 'by-hand'") == [("done",)]


def test_reasons_and_baseline_add_up_to_what_ranks(first_day, spark):  # noqa: ARG001 - the day must have run
    total = "aggregate(reasons, 0D, (sum, r) -> sum + r.contribution) + baseline + other_contribution"
    for table in ("scores.recall_daily", "scores.ltv_daily"):
        rows = spark.table(table)
        assert rows.count() > 0
        assert rows.where(f"abs({total} - raw_score) > 1e-6").count() == 0


def test_a_batch_with_half_its_rows_stops_and_yesterday_stays(first_day, spark, monkeypatch):  # noqa: ARG001
    """Half the users of a day vanish from a score table: the named check stops it, exit code 1, main is unchanged."""
    from rekindle import records, tables
    from rekindle.days import Days
    from rekindle.errors import CheckFailedError

    days = Days.one(DAY_BEFORE)
    before = spark.table("scores.recall_daily").where(f"day = DATE'{DAY_BEFORE}'").count()
    half = tables.read_days(spark, "scores.recall_daily", days).where("percentile > 50")
    run_id = records.start_run("test", days)

    with pytest.raises(CheckFailedError, match=r"rows are those of marts\.recall_population"):
        tables.replace_days(spark, "scores.recall_daily", half, days, run_id=run_id)

    assert spark.table("scores.recall_daily").where(f"day = DATE'{DAY_BEFORE}'").count() == before


def _last_bought(shop: Shop, user: str, day: date) -> date | None:
    bought = [on for on, rows in shop.orders.items() if on <= day and any(row["user_id"] == user for row in rows)]
    return max(bought, default=None)


def _airflow(*arguments: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], capture_output=True, text=True, check=False, env=os.environ
    )
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    return answer.stdout


def _airflow_database(query: str, *values: object) -> list[tuple[Any, ...]]:
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


def _task_states(run_id: str) -> dict[str, str]:
    return dict(_airflow_database("select task_id, state from task_instance where run_id = %s", run_id))


def _wait_for_run(run_id: str) -> str:
    until = time.monotonic() + SCHEDULER_SECONDS
    state = ""
    while time.monotonic() < until:
        rows = _airflow_database("select state from dag_run where run_id = %s", run_id)
        state = rows[0][0] if rows else ""
        if state in {"success", "failed"}:
            break
        time.sleep(2)
    return state
