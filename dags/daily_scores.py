"""
# Daily scores

Every morning: load what was delivered for the day that has just finished, build its features, score every product's
population with its champion, publish, and write the report.

* **Waits** for `_SUCCESS` of every expected source, then fails with `no_delivery`; yesterday's tables stay as they are.
* **Safe to run again**: a task replaces its own day. To repeat a day, clear the task and what follows it.
* **A failed check** stops what follows. It names the table, the rule and how many rows; see the day's report and Data Docs.
* **A history**: `airflow backfill create --dag-id daily_scores …`, or `rekindle backfill`, which builds raw and features of the
  range in one pass first.
"""

from __future__ import annotations

from datetime import UTC, datetime

import steps
from airflow.sdk import CronDataIntervalTimetable, chain, dag, task_group

from ml.products import PRODUCTS

STATES, FACTS = ("users", "items"), ("events", "orders")
"""Landing sources that are loaded daily; rows of facts are looked up in the users, so states come first."""


@task_group
def ingest() -> None:
    """Raw: one task a source, so that one source can be loaded again."""
    chain([steps.ingest(source) for source in STATES], [steps.ingest(source) for source in FACTS])


@task_group
def features() -> None:
    """Tiles of the delivery, then windows over tiles."""
    chain([steps.build("features.user_day"), steps.build("features.user_item_day")], steps.build("features.user"))


@dag(
    # The data interval makes `ds` the day that has just finished.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2017, 1, 1, tzinfo=UTC),
    catchup=False,
    # One may wait for its deliveries while another day is repeated; a late older day is published into history only.
    max_active_runs=2,
    max_active_tasks=2,
    params=steps.PARAMS,
    default_args=steps.DEFAULTS | {"on_failure_callback": steps.failed},
    doc_md=__doc__,
    tags=["tier-1", "scores"],
)
def daily_scores() -> None:
    chain(
        steps.begin(),
        steps.wait(),
        ingest(),
        features(),
        steps.build_marts(),
        [steps.score(product) for product in PRODUCTS],
        steps.publish(),
        steps.report(),
    )


daily_scores()
