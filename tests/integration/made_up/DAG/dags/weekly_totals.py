"""
# Weekly totals

A made-up DAG: what adding one takes.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from rekindle.workflow import tasks
from rekindle.workflow.timetable import DayTimetable


@dag(
    schedule=DayTimetable("0 6 * * 1", dag_id="weekly_totals"),
    start_date=tasks.START,
    catchup=False,
    max_active_runs=1,
    params=tasks.params_of("totals"),
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    doc_md=__doc__,
    tags=["tier-3", "tables"],
)
def weekly_totals() -> None:
    chain(tasks.begin(), tasks.end())


weekly_totals()
