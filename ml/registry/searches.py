"""Searches for hyper-parameters, each a run beside a product's trainings: MLflow shows how its trials did, one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ml.registry.acting import TRAINER, acting_as
from ml.registry.versions import experiment_of, mlflow_client

if TYPE_CHECKING:
    from ml.products import Registered
    from ml.training.search import Searched

FILE = "search.json"


@acting_as(TRAINER)
def log_search(product: Registered, searched: Searched, run_id: str) -> str:
    """Record a search with the table of its trials; returns the id of MLflow's run. It registers nothing."""
    from mlflow.entities import Metric, Param

    client = mlflow_client()
    name = f"{product.name} search {searched.day}"
    run = client.create_run(experiment_of(client, product), run_name=name, tags={"run_id": run_id})
    at, its = run.info.start_time, str(run.info.run_id)
    params = {
        "day": searched.day.isoformat(),
        "unseen_from": searched.unseen_from.isoformat(),
        "learner": searched.learner,
        "trials": str(len(searched.tried)),
        "best": json.dumps(dict(searched.best.hyper)),
        "kept": str(searched.is_kept),
    }
    values = [Metric("value", one.value, at, step) for step, one in enumerate(searched.tried)]
    ahead = [Metric("ahead", searched.ahead.value, at, 0)] if searched.ahead else []
    client.log_batch(its, metrics=[*values, *ahead], params=[Param(*one) for one in params.items()])
    client.log_text(its, json.dumps(searched.to_json(), indent=1), FILE)
    client.set_terminated(its)
    return its
