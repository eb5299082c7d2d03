"""
# Table upkeep

Every night, when nobody writes: small files are compacted, old snapshots expired, the branches of attempts that died dropped, and
what is kept only for a time (raw text of quarantined rows, old features) deleted. Under the same lock as a release, because
compaction while a branch is open would make its release fail.
"""

from __future__ import annotations

import steps
from airflow.sdk import CronDataIntervalTimetable, chain, dag


@dag(
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    start_date=steps.START,
    catchup=False,
    max_active_runs=1,
    params={"day": steps.PARAMS["day"], "kind": "upkeep"},
    default_args=steps.DEFAULTS | {"on_failure_callback": steps.failed},
    doc_md=__doc__,
    tags=["tier-2", "tables"],
)
def table_upkeep() -> None:
    chain(steps.begin(), steps.upkeep(), steps.end())


table_upkeep()
