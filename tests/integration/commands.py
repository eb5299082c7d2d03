"""What people type, and what they look at afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg

from rekindle.settings import settings
from tests import command_line

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEDULER_SECONDS = 600
"""A scheduled day starts a Python process per task; on two busy cores that takes minutes."""


def rekindle(*arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a command that must exit with `code`, and return its JSON."""
    answer = command_line.rekindle(*arguments, "--json", env=env)
    said = f"{arguments}: exit {answer.returncode}\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"
    assert answer.returncode == code, said
    return json.loads(answer.stdout)


def airflow(*arguments: str) -> str:
    """Run one of Airflow's own commands and return what it prints."""
    answer = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], capture_output=True, text=True, check=False, env=os.environ
    )
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    return answer.stdout


def select(query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the database that tools read."""
    with psycopg.connect(settings().database_url) as connection:
        return connection.execute(query, values).fetchall()


def airflow_records(query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask Airflow's database."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


def task_states(run_id: str) -> dict[str, str]:
    """The state of each task of a DAG run."""
    return dict(airflow_records("select task_id, state from task_instance where run_id = %s", run_id))


def lines_of(run_id: str) -> dict[str, str]:
    """What each task of a DAG run has returned."""
    returned = "select task_id, value from xcom where key = 'return_value' and run_id = %s"
    return dict(airflow_records(returned, run_id))


def seconds_of(run_id: str) -> float:
    """From the start of a DAG run's first task to the end of its last."""
    taken = "select extract(epoch from max(end_date) - min(start_date)) from task_instance where run_id = %s"
    return float(airflow_records(taken, run_id)[0][0])


def wait_for_run(run_id: str) -> str:
    """Wait until a DAG run is over, and return its state."""
    until = time.monotonic() + SCHEDULER_SECONDS
    state = ""
    while time.monotonic() < until:
        rows = airflow_records("select state from dag_run where run_id = %s", run_id)
        state = rows[0][0] if rows else ""
        if state in {"success", "failed"}:
            break
        time.sleep(2)
    return state
