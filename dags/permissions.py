"""
# Permissions

Every hour: new withdrawals, replies that say stop and requests to be erased are read from the landing zone and published, and
rows whose time is over are turned. It takes permission away and never grants any.

* **Blocked by nothing**: it needs Postgres and the landing zone, neither Spark nor dbt nor a lock on a table. It works while
  scoring is broken, while a day waits for its delivery and while a backfill runs.
* **Its time is Postgres' clock**: nobody can give another. `rekindle permissions --at` can, for old or simulated data.
* **A broken file** fails the task, and so alerts, once; all others are published first.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from rekindle.workflow import tasks
from rekindle.workflow.timetable import DayTimetable


@dag(
    schedule=DayTimetable("5 * * * *", dag_id="permissions"),
    start_date=tasks.START,
    catchup=False,
    max_active_runs=1,
    params=tasks.params_of("permissions"),
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    on_failure_callback=tasks.over,
    doc_md=__doc__,
    tags=["tier-1", "permission"],
)
def permissions() -> None:
    chain(tasks.begin(), tasks.take_away(), tasks.end())


permissions()
