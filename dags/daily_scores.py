"""
# Daily scores

Every morning: load what was delivered for the day that has just finished, build its features, score every product's
population with its champion, publish, hold it against a week before, and write the report.

* **Waits** for `_SUCCESS` of every expected source, then fails with `no_delivery`; yesterday's tables stay as they are.
* **Permission** never stops scores: without contacts, consents, messages or replies of the day, or where they cannot be used,
  nobody is permitted anew; an alert says so, and permission is still taken away.
* **Safe to run again**: a task replaces its own day, or leaves it where neither inputs nor code, contracts and settings have
  changed. Where that is so of the whole day, the first task decides once more who may be sent to, and skips the rest. To repeat
  a day, clear the task and what follows it; the parameter `force` builds what has not changed, too.
* **A failed check** stops what follows. It names the table, the rule and how many rows; see the day's report and Data Docs.
* **A history**: `airflow backfill create --dag-id daily_scores …`, or `rekindle backfill`, which builds raw and features of the
  range in one pass first.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ml.products import PRODUCTS
from rekindle.workflow import tasks
from rekindle.workflow.timetable import DayTimetable


@dag(
    schedule=DayTimetable("0 3 * * *", dag_id="daily_scores"),
    start_date=tasks.START,
    catchup=False,
    # One may wait for its deliveries while another day is repeated; a late older day is published into history only.
    max_active_runs=2,
    max_active_tasks=2,
    params=tasks.PARAMS,
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    on_failure_callback=tasks.over,
    doc_md=__doc__,
    tags=["tier-1", "scores"],
)
def daily_scores() -> None:
    deliveries, published, page = tasks.wait(), tasks.publish(), tasks.report()
    chain(tasks.begin_unless_unchanged(), deliveries)
    tasks.build_tables(PRODUCTS, after=deliveries, before=published, beside=page)
    chain(published, tasks.watch(), page)


daily_scores()
