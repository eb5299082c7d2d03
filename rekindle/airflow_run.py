"""`python -m rekindle.airflow_run DAG CONF…`: run a DAG once per configuration (JSON) in this process, without a scheduler."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from rekindle import records
from rekindle.days import parse_day


def main(dag_id: str, *confs: str) -> int:
    """Run and return the exit code: 0 if all runs succeeded, 1 at the first that did not."""
    from airflow.utils.cli import get_bagged_dag

    dag = get_bagged_dag(bundle_names=None, dag_id=dag_id)
    for conf in map(json.loads, confs):
        # The run is dated by its day, so that Airflow's grid shows data days; the tasks read the parameter.
        day = parse_day(conf["day"])
        with records.run_lock(day):
            run = dag.test(logical_date=datetime(day.year, day.month, day.day, tzinfo=UTC), run_conf=conf)
        if run.state != "success":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
