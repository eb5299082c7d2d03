"""
# Table upkeep

Every night, when nobody writes: who has asked for it is erased (docs/privacy.md), small files are compacted, old snapshots
expired, the branches of attempts and shadows that died dropped, and what is kept only for a time (raw text of quarantined
rows, old deliveries, features and scores) deleted. Under the same lock as a release, because compaction while a branch is open
would make its release fail.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from rekindle.workflow import tasks
from rekindle.workflow.timetable import DayTimetable


@dag(
    schedule=DayTimetable("0 1 * * *", dag_id="table_upkeep"),
    start_date=tasks.START,
    catchup=False,
    max_active_runs=1,
    params=tasks.params_of("upkeep"),
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    on_failure_callback=tasks.over,
    doc_md=__doc__,
    tags=["tier-2", "tables"],
)
def table_upkeep() -> None:
    chain(tasks.begin(), tasks.upkeep(), tasks.end())


table_upkeep()
