"""
# Weekly training

Every Monday morning: train each product on the labels that are known by the day that has just finished, judge the model on days
it has not seen, register it, and make it champion if it passes the gate.

* **Refused by name** where history or classes do not suffice; the champion stays.
* Where a model loses to the best naive rule, or its level is off, the rule is registered and scores in its place.
* Champions are moved by hand with `rekindle promote` and `rekindle rollback`; both append to the promotion log.
"""

from __future__ import annotations

import steps
from airflow.sdk import CronDataIntervalTimetable, chain, dag

from ml.products import PRODUCTS


@dag(
    schedule=CronDataIntervalTimetable("0 5 * * 1", timezone="UTC"),
    start_date=steps.START,
    catchup=False,
    max_active_runs=1,
    params={"day": steps.PARAMS["day"], "kind": "training"},
    default_args=steps.DEFAULTS | {"on_failure_callback": steps.failed},
    doc_md=__doc__,
    tags=["tier-2", "models"],
)
def weekly_training() -> None:
    chain(steps.begin(), [steps.train(product) for product in PRODUCTS if product.is_trained], steps.end())


weekly_training()
