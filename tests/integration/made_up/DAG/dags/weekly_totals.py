"""
# Weekly totals

A made-up DAG: what adding one takes.
"""

from __future__ import annotations

from airflow.sdk import CronDataIntervalTimetable, chain, dag

from rekindle.workflow import tasks


@dag(
    schedule=CronDataIntervalTimetable("0 6 * * 1", timezone="UTC"),
    start_date=tasks.START,
    catchup=False,
    max_active_runs=1,
    params={"day": tasks.PARAMS["day"], "kind": "totals"},
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    doc_md=__doc__,
    tags=["tier-3", "tables"],
)
def weekly_totals() -> None:
    chain(tasks.begin(), tasks.end())


weekly_totals()
