"""
`python -m rekindle.workflow.airflow_run DAG FAILURE RUN…`: run a DAG once per run in this process, without a scheduler.

A run is JSON: its id in Airflow, and its configuration, which names its day. An error outside of a task is written to the
file FAILURE, so that whoever started this process can say it.
"""

from __future__ import annotations

import gc
import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekindle import postgres, records
from rekindle.days import parse_day
from rekindle.errors import RekindleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date


def main(dag_id: str, failure: str, *runs: str) -> int:
    """Run and return the exit code: 0 if all runs succeeded, 1 at the first that did not."""
    try:
        return _run_all(dag_id, [json.loads(run) for run in runs])
    except BaseException as error:
        # The text of a foreign error may hold a secret or data: its name is told, and the log has the rest.
        told = error.told if isinstance(error, RekindleError) else {"name": type(error).__name__}
        Path(failure).write_text(json.dumps(told), encoding="utf-8")
        raise


def _run_all(dag_id: str, runs: list[dict[str, Any]]) -> int:
    # A process of some minutes has little to collect, and what it imports is imported a fifth faster.
    gc.disable()
    from airflow.utils.cli import get_bagged_dag

    dag = get_bagged_dag(bundle_names=None, dag_id=dag_id)
    with _one_session():
        for run in runs:
            day = parse_day(run["conf"]["day"])
            with postgres.run_lock(day), _named(run["run_id"]):
                records.close_dead_runs(held_day=day)
                done = dag.test(logical_date=_logical_date(day), run_conf=run["conf"])
            if done.state != "success":
                return 1
            if run is not runs[-1]:
                gc.collect()
    return 0


def _logical_date(day: date) -> datetime:
    """
    The day, so that Airflow's grid shows data days, at this time of day; the tasks read the parameter.

    Airflow has one run per logical date: at midnight sharp, a day's second run would delete what Airflow knows of its first.
    """
    return datetime.combine(day, datetime.now(UTC).time(), UTC)


@contextmanager
def _named(run_id: str) -> Iterator[None]:
    """
    Give the run that `dag.test` makes this id, and the time at which it really starts.

    It names a run by the time and lets it start at its logical date: a minute's work on a day of 2017 is shown as years.
    """
    from airflow.models import dagrun

    create = dagrun.get_or_create_dagrun
    dagrun.get_or_create_dagrun = lambda **told: create(**{**told, "run_id": run_id, "start_date": datetime.now(UTC)})
    try:
        yield
    finally:
        dagrun.get_or_create_dagrun = create


@contextmanager
def _one_session() -> Iterator[None]:
    """
    Let all tasks of this process share one Spark session, which Airflow's operator would stop after each.

    A new session starts new Python workers, which takes longer than most tasks. And pyspark closes a stopped session once
    more when it is garbage collected: where gRPC is starting a thread at that moment, the thread waits for itself for ever.
    """
    from pyspark.sql.connect.session import SparkSession

    stop = SparkSession.stop
    SparkSession.stop = lambda _session: None  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        SparkSession.stop = stop  # type: ignore[method-assign]
        if session := SparkSession.getActiveSession():
            session.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
