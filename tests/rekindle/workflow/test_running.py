"""Running a DAG from the command line: only what the record says has happened, and every error arrives by its name."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psycopg
import pytest

from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import InputError, RekindleError
from rekindle.settings import PROJECT, settings
from rekindle.workflow import alerts, running, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rekindle.records import Run

DAY = date(1996, 2, 29)
"""Long before the sample, and before any DAG of ours was written."""

PROBE = """
import sys
sys.path.insert(0, {project!r})
from datetime import UTC, datetime
from rekindle.workflow import tasks
from airflow.sdk import chain, dag, task

DEFAULTS = tasks.DEFAULTS | {{"retries": 0, "on_failure_callback": tasks.failed}}

@task(task_id="work")
def work():
    {body}

@dag(schedule=None, start_date={start}, params=tasks.PARAMS, default_args=DEFAULTS)
def probe():
    chain(tasks.begin(), work(), tasks.end())

probe()
"""


@pytest.fixture
def probe(airflow_ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:  # noqa: ARG001 - must be there
    """Write a DAG of a task or two into a folder that Airflow takes its DAGs from."""

    def write(body: str = "pass", start: str = "tasks.START") -> Path:
        file = tmp_path / "probe.py"
        file.write_text(PROBE.format(project=str(PROJECT), body=body, start=start))
        return file

    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    yield write
    settings.cache_clear()


def run(days: Days) -> list[Run]:
    return running.run_days("probe", days, {"kind": "daily"})


def logs_of(day: date) -> set[Path]:
    return set((settings().home / "logs").glob(f"probe-{day}-*.log"))


def in_airflow(dag_run_id: str) -> tuple[datetime, datetime, datetime]:
    """Logical date, start and end of a DAG run."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url) as connection:
        query = "select logical_date, start_date, end_date from dag_run where run_id = %s"
        return connection.execute(query, [dag_run_id]).fetchone()


def test_days_of_any_history_are_run_and_lie_in_airflow_as_what_they_were(probe):
    """Named by their day, dated by it, and as long as they took; a second run of a day does not delete the first."""
    probe()
    logs, begun = logs_of(DAY), datetime.now(UTC)
    first, second = run(Days.between(DAY, DAY + timedelta(1)))
    (again,) = run(Days.one(DAY))

    for done, day in ((first, DAY), (second, DAY + timedelta(1)), (again, DAY)):
        logical_date, started, ended = in_airflow(done.dag_run_id)
        assert done.status == "done"
        assert done.dag_run_id.startswith(f"probe__{day}__")
        assert logical_date.date() == day
        assert begun <= started <= ended <= datetime.now(UTC)
    assert len({first.dag_run_id, second.dag_run_id, again.dag_run_id}) == 3
    assert len(logs_of(DAY) - logs) == 2, "a run writes into another's log"


def test_a_run_of_which_nothing_is_recorded_is_an_error(probe):
    """Airflow calls it a success: no task of it was due."""
    probe(start="datetime(2010, 1, 1, tzinfo=UTC)")

    with pytest.raises(RekindleError, match=rf"not_run: .*{DAY}.*nothing is recorded"):
        run(Days.one(DAY))


def test_the_dags_of_the_house_start_before_any_history():
    """As early as the earliest time that ingestion takes."""
    from spark_jobs.ingest.rules import EARLIEST

    files = sorted((PROJECT / "dags").glob("*.py"))
    dated = [file.name for file in files if "start_date=" in file.read_text()]

    assert len(dated) == len(files) == 4
    assert all("start_date=tasks.START" in (PROJECT / "dags" / name).read_text() for name in dated)
    assert (
        f"START = datetime({int(EARLIEST[:4])}, 1, 1, tzinfo=UTC)"
        in (PROJECT / "rekindle" / "workflow" / "tasks.py").read_text()
    )


def test_who_loses_a_race_for_a_day_hears_why(probe, monkeypatch):
    """Both commands have found the day free; the lock is taken in between."""
    probe()
    free = postgres.run_lock
    with free(DAY):
        monkeypatch.setattr(postgres, "run_lock", lambda _day: free(date(1990, 1, 1)))
        with pytest.raises(InputError, match="already_running: Another process holds the run of 1996-02-29"):
            run(Days.one(DAY))


def test_a_dag_that_cannot_be_loaded_is_told_by_the_errors_name_and_log(probe):
    probe().write_text("import nothing_of_that_name")
    before = logs_of(DAY)

    with pytest.raises(
        RekindleError, match=r"run_failed: Airflow's process ended outside of a task: .*Exception"
    ) as told:
        run(Days.one(DAY))
    assert "nothing_of_that_name" not in told.value.what
    (log,) = logs_of(DAY) - before
    assert str(log) in told.value.todo


def test_a_process_that_is_killed_leaves_no_run_that_seems_to_run(probe):
    probe(body="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    with pytest.raises(RekindleError, match=r"run_failed: .*its process ended before the run did"):
        run(Days.one(DAY))
    assert records.runs(DAY)[-1].status == "failed"


def test_a_task_that_fails_for_an_unforeseen_reason_is_not_called_a_missing_delivery(probe):
    """The landing zone is empty here, and has nothing to do with it."""
    probe(body="raise ZeroDivisionError('customer 4711')")

    with pytest.raises(RekindleError, match=r"run_failed: .*work: ZeroDivisionError") as told:
        run(Days.one(DAY))
    assert "4711" not in str(told.value)


@pytest.mark.usefixtures("airflow_ready")
def test_a_run_whose_only_attempt_was_killed_is_recorded_as_failed_and_told_once(monkeypatch: pytest.MonkeyPatch):
    """Who is killed calls nothing: Airflow's own end of the run does."""
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(alerts, "send", sent.append)
    context = {"run_id": "probe__killed", "dag": SimpleNamespace(dag_id="probe")}
    run_id = records.start_run("upkeep", Days.one(DAY), dag_run_id="probe__killed")

    tasks.over(context)
    tasks.over(context)

    found = records.find_run(run_id)
    assert found.status == "failed" and found.error.startswith("task_died: ")
    assert [(told["dag"], told["day"], told["code"]) for told in sent] == [("probe", str(DAY), "task_died")]
