"""
# Weekly training

Every Monday morning: look whether the champion's level still holds on the labels that have become known since, and calibrate it
anew if not; then train each product on the labels that are known by the day that has just finished, judge the model on days it
has not seen, register it, and make it champion if it passes the gate.

* **Refused by name** where history or classes do not suffice; the champion stays. A product that never had one is skipped and
  waits for a longer history.
* Where a model loses to the best naive rule, or its level is off, the rule is registered and scores in its place.
* **Recommendations** are chosen anew, too: what is not surely better than popularity and than the best retriever alone is not
  shown, and the answer says what is shown instead.
* Champions are moved by hand with `rekindle promote` and `rekindle rollback`; both append to the promotion log.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ml.products import PRODUCTS
from rekindle.workflow import tasks
from rekindle.workflow.timetable import DayTimetable


@dag(
    schedule=DayTimetable("0 5 * * 1", dag_id="weekly_training"),
    start_date=tasks.START,
    catchup=False,
    max_active_runs=1,
    params=tasks.params_of("training"),
    default_args=tasks.DEFAULTS | {"on_failure_callback": tasks.failed},
    on_failure_callback=tasks.over,
    doc_md=__doc__,
    tags=["tier-2", "models"],
)
def weekly_training() -> None:
    trained = [tasks.train(product) for product in PRODUCTS if product.is_trained]
    chain(tasks.begin(), [*trained, tasks.train_recommendation()], tasks.end())


weekly_training()
