"""House rules of the DAGs, and what their tasks are told, recorded in files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import macros

from tests.dags.conftest import DAGS

GOLDEN = Path(__file__).parent / "golden"
DAG_IDS = {file.stem for file in DAGS.glob("*.py")}

OPTIONAL = ("contacts", "consents", "messages", "replies")
"""Sources without which scoring goes on."""

DAILY_TASKS = {
    "begin",
    "wait_for_deliveries",
    *(f"ingest.{source}" for source in ("users", "items", "blocked_items", "events", "orders")),
    *(f"ingest.{source}" for source in ("devices", "ad_exposures")),
    *(f"ingest.{source}" for source in OPTIONAL),
    "ingest.blocked_items.tried",
    "ingest.consents.tried",
    "ingest.messages.tried",
    "ingest.devices.tried",
    "ingest.ad_exposures.tried",
    "marts.campaigns.tried",
    *(f"features.{table}" for table in ("user_day", "user_item_day", "user")),
    *(f"permission.{table}" for table in ("numbers", "opt_outs")),
    "marts.training",
    "marts.campaigns",
    "marts.permission",
    "marts.outcomes",
    "marts.rta",
    "marts.rta.tried",
    "campaigns.assignment",
    "recall.score",
    "ltv.score",
    "return_value.score",
    "vip_30.score",
    "recommendation.recommend",
    "permission_is_supplied",
    "publish",
    "watch",
    "report",
}

MORNING = datetime(2018, 1, 1, 5, tzinfo=UTC)

MEASURE = """
import sys, time
sys.path.insert(0, sys.argv[1])
begun = time.process_time()
import airflow.sdk, airflow.triggers.base, airflow.sdk.definitions.decorators
import airflow.providers.standard.operators.empty
theirs = time.process_time() - begun
__import__(sys.argv[2])
print((time.process_time() - begun - theirs) / theirs)
print(sorted({"pandas", "pyspark", "mlflow", "great_expectations", "sklearn", "lightgbm"} & set(sys.modules)))
"""


def test_these_dags_are_there(dags):
    recorded = {file.stem for file in GOLDEN.glob("*.json")}

    assert set(dags) == DAG_IDS, "A file of dags/ defines one DAG, and is named like it."
    assert recorded == DAG_IDS, "Record what a new DAG tells its tasks with `make golden`, and name it in the README."
    assert "daily_scores" in DAG_IDS


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_dag_says_what_it_is_and_whose(dags, dag_id):
    dag = dags[dag_id]

    assert dag.doc_md and dag.doc_md.strip().startswith("#"), "The file's docstring is the DAG's documentation."
    assert dag.tags, "Give the DAG a tier, so that who is on call knows how much it matters."
    assert not dag.catchup, "A history is built on purpose, with `rekindle backfill` or `airflow backfill create`."
    waits = any(task.task_id == "wait_for_deliveries" for task in dag.tasks)
    assert dag.max_active_runs == (2 if waits else 1), "A run that waits holds a slot: leave one for a repeated day."


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_the_runs_of_a_dag_are_called_by_its_name(dags, dag_id):
    assert dags[dag_id].timetable.dag_id == dag_id, "Give the DAG a DayTimetable with its own id."


@pytest.mark.parametrize(
    ("dag_id", "kinds"),
    [
        ("daily_scores", ["daily", "backfill"]),
        ("weekly_training", ["training"]),
        ("table_upkeep", ["upkeep"]),
        ("permissions", ["permissions"]),
    ],
)
def test_a_run_by_hand_can_be_of_no_kind_that_the_dag_does_not_know(dags, dag_id, kinds):
    """A run of another kind would write the page of a day, or say in our records what it is not."""
    kind = dags[dag_id].params.get_param("kind")

    assert kind.schema.get("enum") == kinds
    assert kind.resolve() == kinds[0]


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_task_has_an_owner_an_end_and_another_try(dags, dag_id):
    for task in dags[dag_id].tasks:
        assert task.owner == "crm-data", f"{task.task_id}: say whose it is in steps.DEFAULTS."
        assert task.execution_timeout and task.execution_timeout <= timedelta(hours=1), (
            f"{task.task_id} may run for ever."
        )
        assert task.retry_exponential_backoff, f"{task.task_id}: a server that is down is not helped by hammering."
        assert task.retries >= (0 if task.task_id.endswith(".train") else 1), f"{task.task_id} is not tried again."
        assert task.has_on_failure_callback, f"{task.task_id}: a failure must reach the run's record."


def test_the_daily_dag_has_a_task_for_each_thing_one_would_run_again(dags):
    assert {task.task_id for task in dags["daily_scores"].tasks} == DAILY_TASKS


def test_every_product_of_the_list_has_its_group(dags):
    from ml.products import PRODUCTS

    for dag_id, step in (("daily_scores", "score"), ("weekly_training", "train")):
        found = {task.task_id for task in dags[dag_id].tasks if task.task_id.endswith(f".{step}")}
        wanted = {product.name for product in PRODUCTS if step == "score" or product.is_trained}
        assert found - {"recommendation.train"} == {f"{name}.{step}" for name in wanted}
    assert "recommendation.train" in {task.task_id for task in dags["weekly_training"].tasks}


def test_every_landing_source_is_loaded(dags):
    from rekindle.warehouse import contracts

    loaded = {task.task_id.split(".")[1] for task in dags["daily_scores"].tasks if task.task_id.startswith("ingest.")}
    assert loaded == set(contracts.landing_sources()), "A source is loaded because its contract has `landing`."


def test_the_page_of_the_daily_dag_shows_the_graph_of_tables(dags):
    """Between two tasks that write tables there is a way exactly where there is one between their tables."""
    from ml.products import PRODUCTS, RECOMMENDATION
    from rekindle.warehouse import lineage

    graph = lineage.graph()
    writers = {t: f"ingest.{t.removeprefix('raw.')}" for t in graph.written_by("ingest")}
    writers |= {table: table for table in graph.written_by("build")}
    writers |= {mart: f"marts.{graph.tables[mart].group}" for mart in graph.marts()}
    writers |= {product.table: f"{product.name}.score" for product in PRODUCTS}
    writers |= dict.fromkeys(RECOMMENDATION.tables, f"{RECOMMENDATION.name}.recommend")
    by_products = {name for name, table in graph.tables.items() if table.is_by_product}
    assert set(writers) == set(graph.tables) - by_products

    def before(task_id: str) -> set[str]:
        """The tasks that write what the tables of a task are made of, and whatever those wait for."""
        read = {name for table, writer in writers.items() if writer == task_id for name in graph.tables[table].reads}
        read |= {name for by_product in read & by_products for name in graph.tables[by_product].reads}
        direct = {writers[name] for name in read - by_products} - {task_id}
        return direct.union(*map(before, direct))

    dag = dags["daily_scores"]
    for task_id in set(writers.values()):
        shown = set(dag.get_task(task_id).get_flat_relative_ids(upstream=True)) - {"begin", "wait_for_deliveries"}
        # Who comes after a step whether it succeeded or not waits for a task of its own.
        shown = {name for name in shown if not name.endswith(".tried")}
        made_of = before(task_id)
        assert shown == made_of, f"{task_id} waits for {shown}, but its tables are made of what {made_of} write."


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_airflow_can_show_the_grid_and_the_graph_of_a_dag(dags, dag_id):
    """Its pages put groups in order too: two of which each has a task before one of the other are an error 500 there."""
    from airflow.serialization.serialized_objects import DagSerialization

    shown = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id])).task_group

    assert next(child.node_id for child in shown.topological_sort()) == "begin"


def test_nothing_is_published_before_everything_is_scored(dags):
    publish = dags["daily_scores"].get_task("publish")
    assert {"recall.score", "ltv.score"} <= publish.get_flat_relative_ids(upstream=True)


def test_no_score_waits_for_a_good_end_of_what_permission_is_made_of(dags):
    """Between a source of permission and a score, a publish or the page stands what comes after it however it ended."""
    from rekindle.workflow import tasks

    dag, for_permission = dags["daily_scores"], tasks._for_permission()
    assert for_permission >= {*(f"ingest.{source}" for source in OPTIONAL), "permission.numbers", "permission.opt_outs"}
    assert "marts.permission" in for_permission

    for task in dag.tasks:
        if task.trigger_rule != "all_done" and task.task_id not in for_permission:
            assert not for_permission & task.upstream_task_ids, f"{task.task_id} waits for a good end."
    ended = dag.get_task("permission_is_supplied")
    assert (ended.trigger_rule, ended.upstream_task_ids) == ("all_done", {"marts.permission"})
    assert "permission_is_supplied" in dag.get_task("publish").upstream_task_ids


def test_others_can_be_scheduled_on_whatever_is_published(dags):
    """Offered as aliases: only what a run renews has an event, and no backfill wakes anybody."""
    from rekindle.publishing import publications

    offered = {outlet.name for outlet in dags["daily_scores"].get_task("publish").outlets}

    assert offered == {f"rekindle://sms/{publication.table}" for publication in publications.declared()}
    assert offered >= {"rekindle://sms/recall_scores", "rekindle://sms/audience"}


def test_what_came_true_holds_up_the_page_and_no_reader(dags):
    dag = dags["daily_scores"]
    assert "marts.outcomes" not in dag.get_task("publish").get_flat_relative_ids(upstream=True)
    assert dag.get_task("marts.outcomes").downstream_task_ids == {"report"}
    assert dag.get_task("marts.outcomes").trigger_rule == "none_failed", "A product without sources is skipped."


def test_spark_comes_from_the_airflow_connection(dags):
    with_spark = [task for task in dags["daily_scores"].tasks if hasattr(task, "conn_id")]
    beside = {"begin", "wait_for_deliveries", "permission_is_supplied", "report"}
    beside |= {task_id for task_id in DAILY_TASKS if task_id.endswith(".tried")}
    assert len(with_spark) == len(DAILY_TASKS - beside)
    assert {task.conn_id for task in with_spark} == {"spark_default"}


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_dag_file_imports_in_half_the_time_of_airflow_and_without_a_database(dag_id):
    """Parsed every few seconds by the scheduler; what it imports beside Airflow takes less than half of that. CPU seconds."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW__DATABASE", "REKINDLE_DATABASE"))},
        "PYTHONPATH": str(DAGS.parent),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    }
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, str(DAGS), dag_id], env=environment, capture_output=True, text=True, check=True
    )
    ratio, heavy = answer.stdout.strip().splitlines()[-2:]
    assert heavy == "[]", f"{dag_id} imports {heavy} at its top: import them inside the task."
    assert float(ratio) < 0.5


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_what_the_tasks_are_told_is_what_was_recorded(dags, dag_id, golden):
    recorded = {
        task.task_id: {
            "type": type(task).__name__,
            "upstream": sorted(task.upstream_task_ids),
            "trigger_rule": str(task.trigger_rule.value if hasattr(task.trigger_rule, "value") else task.trigger_rule),
            "retries": task.retries,
            "told": _rendered(task),
        }
        for task in dags[dag_id].tasks
    }
    golden(GOLDEN / f"{dag_id}.json", json.dumps(recorded, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize(
    ("interval_end", "day_asked", "day"),
    [
        (MORNING, None, "2017-12-31"),
        # Triggered by hand without a logical date.
        (None, None, "2018-01-01"),
        (None, "2017-06-05", "2017-06-05"),
    ],
)
def test_a_run_is_of_the_day_asked_for_or_of_the_one_that_has_just_finished(dags, interval_end, day_asked, day):
    for dag in dags.values():
        told = [_rendered(task, interval_end, day_asked) for task in dag.tasks]
        # An empty task is told nothing.
        assert {each["day"] for each in told if each} == {day}


def _rendered(task: object, interval_end: datetime | None = MORNING, day: str | None = None) -> dict[str, object]:
    """The templated arguments of a task, rendered by Airflow's own templates; the default is after the sample."""
    context = {
        "params": {"day": day, "kind": "daily", "model_version": None, "at": None, "force": False},
        # A week has just ended: `ds`, its first day, is not the day that has just finished.
        "ds": "2017-12-25",
        "dag_run": SimpleNamespace(data_interval_end=interval_end, run_after=datetime(2018, 1, 2, 9, tzinfo=UTC)),
        "macros": macros,
        "run_id": "scheduled__2017-12-31",
    }
    told = {"day": task.day, "kind": task.kind} if hasattr(task, "day") else getattr(task, "op_kwargs", {})
    return {name: task.render_template(value, context) for name, value in told.items() if name != "spark"}
