"""
The few kinds of task that DAGs are made of.

A task does one thing with one table for one day, records how long it took, returns one line of what it did (`lines`), and turns
our errors into Airflow's: what a check or wrong input has refused is not tried again, what may pass by itself is.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, TaskGroup, chain, task, task_group

from rekindle.publishing import publications
from rekindle.warehouse import lineage
from rekindle.workflow import assets
from rekindle.workflow.waiting import WaitForDeliveries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ml.products import Product
    from rekindle.days import Days

DAY = "{{ params.day or macros.ds_add((dag_run.data_interval_end or dag_run.run_after) | ds, -1) }}"
"""
The day of a run: the parameter, else the day that has just finished, however long the interval is.

A run that is triggered without a logical date has no interval.
"""

SPARK = "spark_default"
"""The Airflow connection (type spark_connect) that says which Spark."""

PARAMS = {
    "day": Param(
        None,
        type=["null", "string"],
        format="date",
        description="Day to process; empty: the day that has just finished.",
    ),
    "kind": Param("daily", type="string", enum=["daily", "backfill"], description="A backfill writes history only."),
    "at": Param(
        None,
        type=["null", "string"],
        format="date-time",
        description="The time that permission goes by; empty: Postgres' own. For old or simulated data.",
    ),
    "model_version": Param(
        None, type=["null", "string"], description="Score with this version instead of the champion."
    ),
    "force": Param(False, type="boolean", description="Build again also what stands, because nothing has changed."),
}

START = datetime(1990, 1, 1, tzinfo=UTC)
"""Airflow runs no task of a day before a DAG's start, and says nothing. This is the earliest time that ingestion takes."""

DEFAULTS = {
    "owner": "crm-data",
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=20),
    "execution_timeout": timedelta(minutes=45),
}

CONTEXT = {
    "day": DAY,
    "airflow_run": "{{ run_id }}",
    "kind": "{{ params.kind }}",
}
"""What every task is told about its run."""


FORCE = "{{ params.force }}"
"""Told to what may find that there is nothing to do."""


def is_forced(force: str) -> bool:
    """Whether a task is to do what it does, though nothing has changed; `force` is FORCE as Airflow has rendered it."""
    return force == "True"


def params_of(kind: str) -> dict[str, Param]:
    """Parameters of a DAG all of whose runs are of one kind: the day alone can be chosen."""
    said = Param(kind, type="string", enum=[kind], description="What the run is called in our records.")
    return {"day": PARAMS["day"], "kind": said}


def begin() -> Any:
    """Record that the run has begun."""

    @task(task_id="begin")
    def record(day: str, airflow_run: str, kind: str) -> str:
        from rekindle.workflow import lines

        days, run_id = _begun(day, airflow_run, kind)
        return lines.begun(kind, days.first, run_id)

    return record(**CONTEXT)


def begin_unless_unchanged() -> Any:
    """Record that the run has begun; where an earlier one has done all that it would do, skip all the rest of it."""

    @task(task_id="begin")
    def record(day: str, airflow_run: str, kind: str) -> str:
        from airflow.sdk import get_current_context
        from airflow.sdk.exceptions import DownstreamTasksSkipped

        from ml.products import PRODUCTS
        from rekindle import records
        from rekindle.workflow import lines, unchanged

        days, run_id = _begun(day, airflow_run, kind)
        context = get_current_context()
        asked = context["params"]
        # Whoever clears a run wants it to run.
        is_repeated = bool(records.stages(run_id=run_id))
        if kind != "daily" or is_repeated or asked["force"] or asked["at"] or asked["model_version"]:
            return lines.begun(kind, days.first, run_id)
        stands = unchanged.unless_unanswered(lambda: unchanged.run_that_stands(days.first, PRODUCTS))
        if stands is None:
            return lines.begun(kind, days.first, run_id)
        unchanged.decide_again(days.first, run_id)
        records.finish_run(run_id, "unchanged")
        line = lines.unchanged(days.first, stands.run_id)
        context["ti"].xcom_push(key="return_value", value=line)
        after = context["task"].get_flat_relatives(upstream=False)
        raise DownstreamTasksSkipped(tasks=[one.task_id for one in after])  # type: ignore[no-untyped-call]

    return record(**CONTEXT)


def _begun(day: str, airflow_run: str, kind: str) -> tuple[Days, str]:
    """The days of a run, and its id in our tables, where it begins with this."""
    from rekindle import records
    from rekindle.days import Days, parse_day

    days, run_id = Days.one(parse_day(day)), _run_id(airflow_run, day)
    records.start_run(kind, days, dag_run_id=airflow_run, run_id=run_id)
    return days, run_id


def wait() -> Any:
    """Wait, without a worker, for the deliveries of the day."""
    return WaitForDeliveries(task_id="wait_for_deliveries", day=DAY, kind=CONTEXT["kind"])


def ingest(source: str) -> Any:
    """Load one source's delivery into raw."""

    @task.pyspark(conn_id=SPARK, task_id=source)
    def load(day: str, airflow_run: str, kind: str, spark: Any = None) -> str:
        from rekindle.landing.zone import LandingZone, no_delivery
        from rekindle.workflow import lines

        with _stage(day, airflow_run, f"ingest {source}", spark) as (run_id, days, notes):
            zone = LandingZone(spark=spark)
            # Whoever clears this task does not wait again, and a delivery that is being replaced is not an empty day.
            if kind != "backfill" and source in zone.holding_up(days.first):
                raise no_delivery(zone, days.first, [source])
            done = import_module("spark_jobs.ingest.raw").main(spark, days, run_id, source=source, zone=zone)
            notes.row_count, notes.detail = done.row_count, done.told
        return lines.ingested(source, days.first, notes.detail)

    return load(**CONTEXT)


def build(table: str) -> Any:
    """Build one table's day with the Spark job that is named after it."""

    @task.pyspark(conn_id=SPARK, task_id=table.split(".")[1])
    def run(day: str, airflow_run: str, kind: str, force: str, spark: Any = None) -> str:
        from rekindle.workflow import lines, unchanged

        with _stage(day, airflow_run, table, spark) as (run_id, days, notes):
            if not is_forced(force) and unchanged.are_built([table], days.first, kind):
                notes.detail = {"kept": True}
                return lines.kept([table], days.first)
            notes.row_count = row_count = import_module(f"spark_jobs.{table}").main(spark, days, run_id).row_count
        return lines.built(table, days.first, row_count)

    return run(force=FORCE, **CONTEXT)


def build_marts(group: str) -> Any:
    """Build and test a group of marts of the day with one dbt invocation, and release them together."""

    # Without a product, what came true of the others is still to be told.
    @task.pyspark(conn_id=SPARK, task_id=f"marts.{group}", trigger_rule="none_failed")
    def run(day: str, airflow_run: str, kind: str, force: str, spark: Any = None) -> str:
        from ml.products import PRODUCTS, labels_of, outcomes_of
        from rekindle.settings import settings
        from rekindle.warehouse import marts
        from rekindle.workflow import lines, unchanged

        with _stage(day, airflow_run, f"marts.{group}", spark) as (run_id, days, notes):
            built = lineage.graph().marts(group)
            if not is_forced(force) and unchanged.are_built(built, days.first, kind):
                notes.detail = {"kept": True}
                return lines.kept(built, days.first)
            labels, outcomes = labels_of(PRODUCTS, settings()), outcomes_of(PRODUCTS, settings())
            done = marts.build(spark, group, days, run_id, labels, outcomes)
            notes.detail = {"tests_passed": done.tests_passed}
        return lines.built_marts(days.first, built, notes.detail)

    return run(force=FORCE, **CONTEXT)


def score(product: str) -> Any:
    """Score the product's population with its champion."""

    @task.pyspark(conn_id=SPARK, task_id="score")
    def run(  # noqa: PLR0917 - a template field each
        day: str, airflow_run: str, kind: str, force: str, name: str, model_version: str, spark: Any = None
    ) -> str:
        from airflow.sdk.exceptions import AirflowSkipException

        from ml.products import product_named
        from rekindle.workflow import lines, unchanged

        with _stage(day, airflow_run, f"score {name}", spark) as (run_id, days, notes):
            product, version, backfill = product_named(name), model_version or None, kind == "backfill"
            registry, job = import_module("ml.registry"), import_module("spark_jobs.scores")
            if why := registry.why_skipped(product, days.last, backfill=backfill, version=version):
                notes.detail = {"skipped": why}
            elif not backfill and not is_forced(force) and unchanged.is_scored(product, days.first, version=version):
                notes.detail = {"kept": True}
                return lines.kept([product.table], days.first)
            else:
                done = job.main(spark, days, run_id, product=product, backfill=backfill, version=version)
                notes.row_count = done.row_count
                notes.detail = {"model": done.model.name, "version": done.model.version} if done.model else {}
        if why:
            raise AirflowSkipException(f"{name} is skipped: {why}.")
        return lines.scored(product.table, days.first, done.row_count, notes.detail)

    return run(name=product, model_version="{{ params.model_version or '' }}", force=FORCE, **CONTEXT)


def recommend(name: str) -> Any:
    """Learn from what is known at the end of the day, by the champion's recipe, and list what to show whom."""

    @task.pyspark(conn_id=SPARK, task_id="recommend")
    def run(  # noqa: PLR0917 - a template field each
        day: str, airflow_run: str, kind: str, force: str, name: str, spark: Any = None
    ) -> str:
        from airflow.sdk.exceptions import AirflowSkipException

        from ml.products import RECOMMENDATION
        from rekindle import records
        from rekindle.workflow import lines, unchanged

        with _stage(day, airflow_run, f"recommend {name}", spark) as (run_id, days, notes):
            backfill, product = kind == "backfill", RECOMMENDATION
            why = import_module("ml.registry").why_skipped(product, days.last, backfill=backfill)
            if backfill and days.first not in records.builds(product.table, days.first, days.first):
                why = "nobody is shown what a backfill would recommend on a day that had nothing"
            if why:
                notes.detail = {"skipped": why}
            elif not backfill and not is_forced(force) and unchanged.is_scored(product, days.first):
                notes.detail = {"kept": True}
                return lines.kept(product.tables, days.first)
            else:
                done = import_module("spark_jobs.recommendations").main(spark, days, run_id, backfill=backfill)
                notes.row_count = done.row_count
                notes.detail = {"version": done.model.version, "rules": list(done.rules), "rows": done.row_counts}
        if why:
            raise AirflowSkipException(f"{name} is skipped: {why}.")
        return lines.recommended(days.first, done.row_count, notes.detail)

    return run(name=name, force=FORCE, **CONTEXT)


def build_tables(products: Iterable[Product], *, after: Any, before: Any, beside: Any) -> None:
    """
    One task for each step of the graph of tables, each after those whose tables it reads.

    `after` is what the first wait for, `before` what waits for all that is published. What nothing is made of and nobody
    publishes holds up no reader: only `beside` waits for it. Sources and Spark's tables stand in one group of the page each, a
    product's task in one of its own. Marts stand alone: some are made of scores that are made of others, and Airflow can show
    no page of groups of which each comes before the other.
    """
    from ml.products import makers

    kinds = {"ingest": ingest, "build": build, "score": score, "recommend": recommend}
    permitted = permission_is_supplied()
    groups: dict[str, TaskGroup] = {}
    made: dict[str, Any] = {}
    steps = lineage.graph().steps(makers(products))
    for_permission = lineage.graph().for_permission(steps)
    for step in steps:
        if step.kind == "marts":
            made[step.id] = build_marts(step.name)
        else:
            named = {"build": step.name.split(".", maxsplit=1)[0], "score": step.name, "recommend": step.name}
            name = named.get(step.kind, step.kind)
            if name not in groups:
                groups[name] = TaskGroup(group_id=name)
            with groups[name]:
                made[step.id] = kinds[step.kind](step.name)
        for earlier in step.tolerates:
            # Two may tolerate the same: it is tried once.
            if f"tried {earlier}" not in made:
                made[f"tried {earlier}"] = _tried(earlier, made[earlier])
        first = [made[f"tried {e}" if e in step.tolerates else e] for e in step.after]
        chain(first or after, made[step.id])
    # Whatever becomes of it: who is published waits for its end, and not for a good one.
    chain([made[step.id] for step in steps if publications.PERMISSION in step.tables], permitted, before)
    followed = {earlier for step in steps for earlier in step.after}
    followed |= {step.id for step in steps if publications.PERMISSION in step.tables}
    decides = [step.id for step in steps if publications.DECISIONS in step.tables]
    chain([_tried(step, made[step]) for step in decides], before)
    followed |= set(decides)
    published = publications.scored_tables()
    chain([made[step.id] for step in steps if published & set(step.tables)] or after, before)
    for step in steps:
        if step.id not in followed and not published & set(step.tables):
            # The page is written whatever has become of the sources of permission, and says so.
            chain(_tried(step.id, made[step.id]) if step.id in for_permission else made[step.id], beside)


def _tried(step: str, made: Any) -> Any:
    """What comes after a step whether it succeeded or not: who waits for this does with what was there before."""
    # Airflow's scheduler calls it done itself, and starts no process for it.
    done = EmptyOperator(task_id=f"{step.replace(' ', '.')}.tried", trigger_rule="all_done")
    chain(made, done)
    return done


def permission_is_supplied() -> Any:
    """Say whether anybody can be permitted anew on the day, and tell the webhook where not; scores are published all the same."""

    @task(task_id="permission_is_supplied", trigger_rule="all_done")
    def run(day: str, airflow_run: str, kind: str) -> str:
        from rekindle.permission import supply
        from rekindle.workflow import alerts, lines

        with _stage(day, airflow_run, "permission") as (_run_id, days, notes):
            why = None if kind == "backfill" else supply.why_no_new_permission(days.first)
            notes.detail = {"no_new_permission": why} if why else {}
        if why:
            alerts.send(alerts.of_no_new_permission(day, airflow_run, why))
        return lines.permitted(days.first, why)

    return run(**CONTEXT)


def publish() -> Any:
    """Publish the day's scores to Postgres in one transaction, and tell who is scheduled on the tables that it renewed."""

    @task.pyspark(conn_id=SPARK, task_id="publish", trigger_rule="none_failed", outlets=assets.outlets())
    def run(  # noqa: PLR0917 - a template field each
        day: str, airflow_run: str, kind: str, at: str, spark: Any = None, outlet_events: Any = None
    ) -> str:
        from rekindle import publishing
        from rekindle.workflow import lines

        with _stage(day, airflow_run, "publish", spark) as (run_id, days, notes):
            time = datetime.fromisoformat(at) if at else None
            notes.detail = {"at": at} if at else {}
            done = import_module("spark_jobs.publish").main(spark, days, run_id, backfill=kind == "backfill", at=time)
            notes.row_count = done.row_count
        assets.announce(outlet_events, publishing.renewed_by(done), run_id)
        return lines.published(days.first, done.products)

    return run(at="{{ params.at or '' }}", **CONTEXT)


def watch() -> Any:
    """Hold what was built and published against a week before; what has moved is a warning and an alert."""

    @task.pyspark(conn_id=SPARK, task_id="watch", trigger_rule="none_failed")
    def run(day: str, airflow_run: str, kind: str, spark: Any = None) -> str:
        from airflow.sdk.exceptions import AirflowSkipException

        from rekindle.watching import page
        from rekindle.workflow import alerts, lines

        if kind == "backfill":
            raise AirflowSkipException("A backfill is no news.")
        with _stage(day, airflow_run, "watch", spark) as (run_id, days, notes):
            found = import_module("spark_jobs.watching").main(spark, days, run_id)
            notes.row_count = len(found)
            page.write(days.first)
        moved = [result.rule for result in found if result.outcome == "failed"]
        if moved:
            alerts.send(alerts.of_moved(day, airflow_run, moved))
        return lines.watched(days.first, len(found), moved)

    return run(**CONTEXT)


def report() -> Any:
    """Write the page about the day."""

    @task(task_id="report", trigger_rule="none_failed")
    def run(day: str, airflow_run: str, kind: str) -> str:
        from rekindle import lifecycle, records, report
        from rekindle.report import campaign
        from rekindle.workflow import alerts, lines

        with _stage(day, airflow_run, "report") as (run_id, days, _notes):
            records.finish_run(run_id, "done")
            if kind == "daily":
                lifecycle.write(days.first)
            page = report.write(days.first, run_id)
        if kind == "daily" and (unbalanced := campaign.unbalanced(days.first)):
            alerts.send(alerts.of_unbalanced(day, airflow_run, unbalanced))
        return lines.reported(days.first, page)

    return run(**CONTEXT)


def train(product: Product) -> Any:
    """Calibrate the champion anew where its level has moved; train, judge, register, and promote what passes; a task group."""

    @task_group(group_id=product.name)
    def group() -> None:
        looked, trained = _recalibrate(product), _train(product)
        chain(looked, trained)
        # A training that goes well must not hide that the look at the champion has failed.
        chain([looked, trained], EmptyOperator(task_id="done", trigger_rule="none_failed"))

    return group()


def _recalibrate(product: Product) -> Any:
    """Look at the champion's level on the labels that came since, and calibrate it anew."""

    @task.pyspark(conn_id=SPARK, task_id="recalibrate")
    def run(day: str, airflow_run: str, kind: str, name: str, spark: Any = None) -> str:  # noqa: ARG001 - every task gets the same
        from airflow.sdk.exceptions import AirflowSkipException

        from rekindle.workflow import alerts, lines

        product = _supplied(name, day)
        if not import_module("ml.registry").has_had_champion(product):
            raise AirflowSkipException(f"{name} is skipped: no model of it has become champion yet.")
        with _stage(day, airflow_run, f"recalibrate {name}", spark) as (run_id, days, notes):
            done = import_module("ml.training.recalibrator").recalibrate(spark, product, days.first, run_id)
            notes.detail = {"recalibration": done.told}
            task_id = f"{name}.recalibrate"
            if done.is_off:
                alerts.send(alerts.of_miscalibrated(day, airflow_run, task_id, name, done.told))
            if done.waits:
                alerts.send(alerts.of_waiting(day, airflow_run, task_id, name, done.version.version))
        return lines.recalibrated(name, days.first, notes.detail)

    return run(name=product.name, **CONTEXT)


def _supplied(name: str, day: str) -> Product:
    """Find a product by its name; skip the task where the sources that it needs are not delivered."""
    from airflow.sdk.exceptions import AirflowSkipException

    from ml.products import product_named
    from rekindle.days import parse_day
    from rekindle.landing.zone import LandingZone

    product = product_named(name)
    if why := LandingZone().why_unsupplied(product.sources, parse_day(day)):
        raise AirflowSkipException(f"{name} is skipped: {why}.")
    return product


def _train(product: Product) -> Any:
    """Train, judge, register, and promote what passes, whatever became of the old champion's calibration."""

    # Training is refused for a reason that an hour does not change, and a fit is not worth repeating blindly.
    @task.pyspark(conn_id=SPARK, task_id="train", retries=0, trigger_rule="all_done")
    def run(day: str, airflow_run: str, kind: str, name: str, spark: Any = None) -> str:  # noqa: ARG001 - every task gets the same
        from airflow.sdk.exceptions import AirflowSkipException

        from rekindle.workflow import alerts, lines

        product = _supplied(name, day)
        with _stage(day, airflow_run, f"train {name}", spark) as (run_id, days, notes):
            trainer, waiting = import_module("ml.training.trainer"), import_module("ml.training.waiting")
            protected = import_module("ml.model.protected")
            done = waiting.unless_waiting(product, lambda: trainer.train(spark, product, days.first, run_id))
            if isinstance(done, waiting.Waits):
                notes.detail = {"waits": done.why}
            else:
                notes.detail = {"version": done.version.version, "gate": done.verdict.why}
                notes.detail |= {"promoted": done.promoted, "why_not_promoted": done.why_not_promoted}
                notes.detail |= {"kept_out": protected.told(done.kept_out)} if done.kept_out else {}
                notes.detail |= {"uplift": done.taught.told} if done.taught else {}
                if done.waits:
                    alerts.send(alerts.of_waiting(day, airflow_run, f"{name}.train", name, done.version.version))
        if "waits" in notes.detail:
            raise AirflowSkipException(lines.waits(name, days.first, notes.detail))
        return lines.trained(name, days.first, notes.detail)

    return run(name=product.name, **CONTEXT)


def train_recommendation() -> Any:
    """Choose how to recommend, judge it, register it, and promote what passes; a task group of its own."""

    @task_group(group_id="recommendation")
    def group() -> None:
        _train_recommendation()

    return group()


def _train_recommendation() -> Any:
    @task.pyspark(conn_id=SPARK, task_id="train", retries=0)
    def run(day: str, airflow_run: str, kind: str, spark: Any = None) -> str:  # noqa: ARG001 - every task gets the same
        from airflow.sdk.exceptions import AirflowSkipException

        from ml.products import RECOMMENDATION
        from rekindle.workflow import alerts, lines

        name = RECOMMENDATION.name
        with _stage(day, airflow_run, f"train {name}", spark) as (run_id, days, notes):
            trainer, waiting = import_module("ml.training.recommending"), import_module("ml.training.waiting")
            done = waiting.unless_waiting(RECOMMENDATION, lambda: trainer.train(spark, days.first, run_id))
            if isinstance(done, waiting.Waits):
                notes.detail = {"waits": done.why}
            else:
                notes.detail = {"version": done.version.version, "gate": done.verdict.why}
                notes.detail |= {"promoted": done.promoted, "why_not_promoted": done.why_not_promoted}
                if done.waits:
                    alerts.send(alerts.of_waiting(day, airflow_run, f"{name}.train", name, done.version.version))
        if "waits" in notes.detail:
            raise AirflowSkipException(lines.waits(name, days.first, notes.detail))
        return lines.trained(name, days.first, notes.detail)

    return run(**CONTEXT)


def take_away() -> Any:
    """Record what takes permission away and publish it, by Postgres' clock: nobody says which time it is."""

    @task(task_id="take_away")
    def run(day: str, airflow_run: str, kind: str) -> str:  # noqa: ARG001 - every task gets the same
        from rekindle.permission import taking_away
        from rekindle.workflow import lines

        with _stage(day, airflow_run, "take_away") as (run_id, _days, notes):
            done = taking_away.main(run_id)
            notes.row_count, notes.detail = done.codes.total(), {"at": done.at.isoformat(), "codes": dict(done.codes)}
            done.refuse_unusable()
        return lines.taken_away(done)

    return run(**CONTEXT)


def upkeep() -> Any:
    """Erase who has asked to be erased, then look after all tables, one after the other."""

    @task.pyspark(conn_id=SPARK, task_id="tables")
    def run(day: str, airflow_run: str, kind: str, spark: Any = None) -> str:  # noqa: ARG001 - every task gets the same
        from rekindle import erasure, records
        from rekindle.workflow import lines, logs, people

        with _stage(day, airflow_run, "upkeep", spark) as (_run_id, days, notes):
            records.close_dead_runs()
            erased = erasure.erase_pending(spark, learnt_from=people.learnt_from)
            tables = import_module("rekindle.warehouse.upkeep").main(spark, days.first)
            deleted = logs.delete_old()
            notes.detail = {**tables, "logs": {"deleted_logs": deleted}}
            notes.detail |= {"history": {"deleted_rows": erasure.delete_old_histories()}}
            notes.detail |= {"erasure": erased.counts()} if erased else {}
        return lines.looked_after(days.first, tables, deleted, erased.counts() if erased else {})

    return run(**CONTEXT)


def end() -> Any:
    """Record that the run is over; with a page about the day where there is one, `report` does so."""

    @task(task_id="end", trigger_rule="none_failed")
    def record(day: str, airflow_run: str, kind: str) -> str:
        from rekindle import records
        from rekindle.days import parse_day
        from rekindle.workflow import lines

        records.finish_run(run_id := _run_id(airflow_run, day), "done")
        return lines.ended(kind, parse_day(day), run_id)

    return record(**CONTEXT)


def failed(context: Any) -> None:
    """Record that a run has failed, and why, and write its page if it has one; for `on_failure_callback` of a DAG's tasks."""
    from airflow.sdk.exceptions import AirflowFailException

    from rekindle import records, report
    from rekindle.days import parse_day
    from rekindle.workflow import alerts

    error = context.get("exception")
    day = context["task"].render_template(DAY, context)
    run_id = _run_id(context["run_id"], day)
    # Only our own errors are known to hold no personal data; of others the type is told, and Airflow's log has the rest.
    text = str(error) if isinstance(error, AirflowFailException) else type(error).__name__
    task_id = context["ti"].task_id
    # First: what is recorded next may be what has failed.
    alerts.send(alert_of(context["dag"].dag_id, day, task_id, context["run_id"], error))
    if task_id in _for_permission():
        # The run goes on: scores are published, and nobody is permitted anew.
        return
    records.finish_run(run_id, "failed", f"{task_id}: {text}")
    # People look at the page exactly when something has failed.
    if context["params"]["kind"] in report.KINDS:
        report.write(parse_day(day), run_id)


def over(context: Any) -> None:
    """
    Record that a run has failed whose last task could not say so; for `on_failure_callback` of a DAG.

    Who is killed, and whose machine is lost, calls nothing: Airflow only counts the attempt.
    """
    from rekindle import records, report
    from rekindle.errors import RekindleError
    from rekindle.workflow import alerts

    error = RekindleError(
        "The last attempt of a task ended without a word: it was killed, or its machine was lost.",
        todo="See Airflow's page of the run for which task it was, and why; then clear the task.",
        safe="What was released or published before is unchanged.",
        code="task_died",
    )
    run = records.close_run_of(context["run_id"], str(error))
    if run is None:
        return
    alerts.send(alert_of(context["dag"].dag_id, str(run.first_day), "", context["run_id"], error))
    if run.kind in report.KINDS:
        report.write(run.first_day, run.run_id)


def _for_permission() -> set[str]:
    """Ids of the tasks that no score waits for."""
    from ml.products import PRODUCTS

    steps = lineage.graph().steps({product.table: product.name for product in PRODUCTS})
    named = {s.id: s.name if s.kind == "build" else f"{s.kind}.{s.name}" for s in steps}
    return {named[step] for step in lineage.graph().for_permission(steps)}


def alert_of(dag: str, day: str, task_id: str, airflow_run: str, error: BaseException | None) -> dict[str, str | None]:
    """What a webhook is told of a failed task."""
    from rekindle.errors import RekindleError

    ours = next((one for one in (error, error and error.__cause__) if isinstance(one, RekindleError)), None)
    told = {"code": ours.code, "what": ours.what, "todo": ours.todo, "safe": ours.safe} if ours else None
    unknown = {"code": None, "what": type(error).__name__, "todo": None, "safe": None}
    return {"dag": dag, "day": day, "task": task_id, "run": airflow_run, **(told or unknown)}


@contextmanager
def _stage(day: str, airflow_run: str, name: str, spark: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Record the stage; a RekindleError that no retry can mend fails the task at once."""
    from airflow.sdk.exceptions import AirflowFailException

    from rekindle import records
    from rekindle.days import Days, parse_day
    from rekindle.errors import RekindleError
    from rekindle.warehouse.spark import with_code

    if spark is not None:
        with_code(spark)
    run_id, days = _run_id(airflow_run, day), Days.one(parse_day(day))
    try:
        with records.stage(run_id, days.first, name) as notes:
            try:
                yield run_id, days, notes
            except RekindleError as error:
                # The command line raises it again in its own process.
                notes.detail = {"error": error.told}
                raise
    except RekindleError as error:
        if error.may_pass:
            raise
        raise AirflowFailException(str(error)) from error


def _run_id(airflow_run: str, day: str) -> str:
    from rekindle import records
    from rekindle.days import parse_day

    return records.run_id_of(airflow_run, parse_day(day))
