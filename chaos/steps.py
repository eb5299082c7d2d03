"""
The single steps of a day and beside it, each as a process that can be killed: `python -m chaos.steps STEP RUN_ID`.

A step is what a task of Airflow, or a command, does: the same function with the same arguments. It is given its run's id, so
that another attempt is the one that Airflow would make.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

from chaos import imports
from chaos.contents import OF_DRILLS
from chaos.world import World
from rekindle import platform, records
from rekindle.days import Days

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from pyspark.sql import SparkSession

    from rekindle.postgres import Connection


DAYS_AHEAD = 10
"""Days after the new one that the hourly run looks at: within them somebody says stop."""


@dataclass(frozen=True)
class Step:
    """A step, and which points of the code it comes to: of each table or product that is named, or of any."""

    name: str
    work: Callable[[World, str], object]
    about: str


def _spark() -> SparkSession:
    from rekindle.warehouse.spark import session

    return session()


def _ingest(source: str) -> Callable[[World, str], object]:
    def work(world: World, run_id: str) -> object:
        return import_module("spark_jobs.ingest.raw").main(_spark(), Days.one(world.new), run_id, source=source)

    return work


def _build(table: str) -> Callable[[World, str], object]:
    def work(world: World, run_id: str) -> object:
        return import_module(f"spark_jobs.{table}").main(_spark(), Days.one(world.new), run_id)

    return work


def _marts(group: str) -> Callable[[World, str], object]:
    def work(world: World, run_id: str) -> object:
        from ml.products import PRODUCTS, labels_of, outcomes_of
        from rekindle.settings import settings
        from rekindle.warehouse import marts

        labels, outcomes = labels_of(PRODUCTS, settings()), outcomes_of(PRODUCTS, settings())
        return marts.build(_spark(), group, Days.one(world.new), run_id, labels, outcomes)

    return work


def _score(name: str) -> Callable[[World, str], object]:
    def work(world: World, run_id: str) -> object:
        from ml.products import product_named

        scores = import_module("spark_jobs.scores")
        return scores.main(_spark(), Days.one(world.new), run_id, product=product_named(name))

    return work


def _publish(world: World, run_id: str) -> object:
    day = world.new
    return import_module("spark_jobs.publish").main(_spark(), Days.one(day), run_id, at=world.published_at(day))


def _train(world: World, _run_id: str) -> object:
    return promote_another(world.new)


def promote_another(day: date) -> object:
    """
    What a training as of a day does when it has learnt: the first champion, a little lower, is registered and promoted.

    Days as few as a drill's bring no sample of their own, and of the same rows no version is registered twice.
    """
    from ml import registry
    from ml.model.calibration import Platt
    from ml.model.scorer import Scorer
    from ml.products import product_named
    from ml.training.gate import Verdict
    from ml.training.trainer import succeeds

    product = product_named("recall")
    first = registry.version(product, records.promotions(product.name)[0].version)
    scorer = Scorer.from_files(registry.files_of(first))
    forecast = scorer.forecasts[0]
    known = forecast.calibration
    assert isinstance(known, Platt)  # noqa: S101 - that of every chance
    lower = replace(known, intercept=known.intercept - 0.1)
    verdict = Verdict(passed=True, why="a drill")
    with records.own_run("train", Days.one(day)) as own, records.stage(own, day, "train recall"):
        trained = registry.Trained(
            day=day,
            run_id=own,
            scorer=replace(scorer, forecasts=(replace(forecast, calibration=lower), *scorer.forecasts[1:])),
            verdict=verdict,
            params={"rows": "0"},
            metrics={"1_7.model.auc": 0.5},
            figures=dict(first.judged.figures),
            sample_digest="a drill",
            documents={"pictures/roc.svg": "<svg/>"},
            tags={"test_days": "none"},
        )
        return succeeds(product, registry.register(product, trained), verdict, own)


def _plan(world: World, _run_id: str) -> object:
    from rekindle.campaigns.plan import Asked, plan

    asked = Asked("chaos", world.new, budget=100.0, control_share=0.3, note="Simulated.")
    return plan(asked, {"": "We miss you. Reply STOP to end"}, at=world.published_at(world.new))


def _permissions(world: World, _run_id: str) -> None:
    """The hourly run, of a time at which the next days have been delivered: somebody has said stop on one."""
    from rekindle.cli.daily import permissions

    permissions(at=world.published_at(world.new + timedelta(DAYS_AHEAD)), json=True)


def _upkeep(world: World, _run_id: str) -> object:
    return import_module("rekindle.warehouse.upkeep").main(_spark(), world.new)


def _erase(world: World, _run_id: str) -> object:
    """The same people in each attempt: those of whom the first has taken permission away, or who are to be."""
    from rekindle import erasure, postgres
    from rekindle.workflow.people import learnt_from

    def chosen(connection: Connection) -> list[tuple[str]]:
        begun = connection.execute("select user_id from rekindle.erasure").fetchall()
        return begun or connection.execute("select user_id from sms.audience order by 1 limit 2").fetchall()

    users = [user for (user,) in postgres.transact(chosen)]
    return erasure.erase(_spark(), users, at=world.published_at(world.new), learnt_from=learnt_from)


def _report(world: World, run_id: str) -> None:
    from rekindle import report

    with records.stage(run_id, world.new, "report"):
        records.finish_run(run_id, "done")
        report.write(world.new, run_id)


def _import(world: World, _run_id: str) -> None:
    imports.write(imports.zone_of(world), imports.NEW_ROWS)


STEPS = {
    step.name: step
    for step in (
        Step("ingest", _ingest("events"), "a delivery becomes raw rows"),
        Step("tiles", _build("features.user_day"), "raw rows become tiles"),
        Step("features", _build("features.user"), "tiles become features"),
        Step("marts", _marts("training"), "a group of marts, built and tested by dbt"),
        Step("score", _score("recall"), "features become scores"),
        Step("publish", _publish, "scores become what tools read"),
        Step("permissions", _permissions, "permission is taken away by the hour"),
        Step("plan", _plan, "a campaign and its assignment"),
        Step("train", _train, "a model is registered and promoted"),
        Step("report", _report, "a run ends, and the page about the day is written"),
        Step("upkeep", _upkeep, "the tables are looked after"),
        Step("erase", _erase, "people are erased everywhere"),
        Step("import", _import, "a delivery is put into place"),
    )
}


OF_GRAPH = {
    ("ingest", "events"): "ingest",
    ("build", "features.user_day"): "tiles",
    ("build", "features.user"): "features",
    ("marts", "training"): "marts",
    ("score", "recall"): "score",
}
"""The steps of a day's graph that are drilled, each for its kind."""

KINDS = {"ingest": _ingest, "build": _build, "marts": _marts, "score": _score}


def day_before_publishing(world: World, reached: Callable[[str], None]) -> None:
    """Do the steps of the new day's graph here, and say before each that is drilled that it is reached."""
    from ml.products import PRODUCTS
    from ml.registry import why_skipped
    from rekindle.warehouse import lineage

    run_id = _begun(world, "graph", records.new_run_id())
    idle = {product.name for product in PRODUCTS if why_skipped(product, world.new)}
    for step in lineage.graph().steps({product.table: product.name for product in PRODUCTS}):
        if step.kind == "score" and step.name in idle:
            continue
        if drilled := OF_GRAPH.get((step.kind, step.name)):
            reached(drilled)
        KINDS[step.kind](step.name)(world, run_id)


def watch(world: World) -> None:
    """Count what is published by suppression code, as a day's graph does after publishing."""
    from rekindle.watching import published
    from spark_jobs.watching import WEEK_DAYS

    published.watch(world.new, world.new - timedelta(WEEK_DAYS), _begun(world, "watch", records.new_run_id()))


def _begun(world: World, name: str, run_id: str) -> str:
    """A run of Airflow's has begun, of which a step is a task."""
    return records.start_run("daily", Days.one(world.new), dag_run_id=f"{OF_DRILLS}{name}", run_id=run_id)


def main(name: str, run_id: str) -> None:
    """Do one step on the platform that the environment names."""
    platform.attach()
    world = World()
    _begun(world, name, run_id)
    try:
        STEPS[name].work(world, run_id)
    finally:
        let_go_of_spark()


def let_go_of_spark() -> None:
    """Stop the session of this process, if it has one: one that is left open waits for a server that is gone."""
    if "pyspark" in sys.modules:
        from pyspark.sql import SparkSession

        if session := SparkSession.getActiveSession():
            session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:3])
