"""`python -m rekindle.airflow_run DAG CONF…`: run a DAG once per configuration (JSON) in this process, without a scheduler."""

from __future__ import annotations

import gc
import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rekindle import records
from rekindle.days import parse_day

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(dag_id: str, *confs: str) -> int:
    """Run and return the exit code: 0 if all runs succeeded, 1 at the first that did not."""
    # A process of some minutes has little to collect, and what it imports is imported a fifth faster.
    gc.disable()
    from airflow.utils.cli import get_bagged_dag

    dag = get_bagged_dag(bundle_names=None, dag_id=dag_id)
    configurations = [json.loads(conf) for conf in confs]
    with _one_session():
        for conf in configurations:
            # The run is dated by its day, so that Airflow's grid shows data days; the tasks read the parameter.
            day = parse_day(conf["day"])
            with records.run_lock(day):
                run = dag.test(logical_date=datetime(day.year, day.month, day.day, tzinfo=UTC), run_conf=conf)
            if run.state != "success":
                return 1
            if conf is not configurations[-1]:
                gc.collect()
    return 0


@contextmanager
def _one_session() -> Iterator[None]:
    """
    Let all tasks of this process share one Spark session, which Airflow's operator would stop after each.

    A new session starts new Python workers, which takes longer than most tasks. And pyspark closes a stopped session once
    more when it is garbage collected: where gRPC is starting a thread at that moment, the thread waits for itself for ever.
    """
    from pyspark.sql.connect.session import SparkSession

    stop = SparkSession.stop
    SparkSession.stop = lambda _session: None
    try:
        yield
    finally:
        SparkSession.stop = stop
        if session := SparkSession.getActiveSession():
            session.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
