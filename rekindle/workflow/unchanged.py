"""
Whether a day has anything to build: what was built of it stands while its inputs, our code, contracts and settings do.

Answered from the records, the landing zone and the registry, without Spark.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rekindle import records
from rekindle.landing.zone import LandingZone
from rekindle.warehouse import builds, lineage, made_by
from rekindle.workflow import due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from ml.products import Product
    from rekindle.records import Run


def run_that_stands(day: date, products: Iterable[Product]) -> Run | None:
    """
    The daily run of a day that did all that another would do now; None where something is to be loaded, built or published.

    It ended well in each of its stages, went by Postgres' own clock, and nothing of the day was built since.
    """
    done = [run for run in records.runs(day) if run.kind == "daily" and run.status == "done"]
    if not done or not _went_well(done[-1]):
        return None
    last, zone = done[-1], LandingZone()
    if zone.missing(day):
        return None
    by_table = {product.table: product for product in products}
    graph = lineage.graph()
    for step in graph.steps({table: product.name for table, product in by_table.items()}):
        if step.kind == "ingest":
            if not due.is_loaded(zone, step.name, day):
                return None
        elif step.kind == "score":
            (table,) = step.tables
            if not is_scored(by_table[table], day, last):
                return None
        elif not all(_stands(table, day, last, made_by.digest()) for table in step.tables):
            return None
    return last


def unless_unanswered(ask: Callable[[], Run | None]) -> Run | None:
    """
    What is answered; None, as where nothing stands, if it cannot be.

    A delivery that cannot be used, and a registry that is down, are told by the task whose business they are.
    """
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again there
        logging.getLogger(__name__).warning("Whether the day stands is not known: %s.", type(error).__name__)
        return None


def are_built(tables: Iterable[str], day: date, kind: str) -> bool:
    """
    Whether a task that builds tables has nothing to do: of the same inputs the same code made them before.

    A day that is scored again by a backfill is scored by tables as they stand, whatever version of the code made them.
    """
    maker = None if kind == "backfill" else made_by.digest()
    return all(builds.unchanged(lineage.graph(), table, day, maker) for table in tables)


def _went_well(run: Run) -> bool:
    """Whether no stage of a run failed, also none that the run goes on without, and nobody gave it the time to go by."""
    stages = records.stages(run_id=run.run_id)
    return all(stage.status == "done" and "at" not in stage.detail for stage in stages)


def is_scored(product: Product, day: date, since: Run | None = None, *, version: str | None = None) -> bool:
    """
    Whether the model that would score a day has done so, or the product has as little to say of it as then.

    Raises what scoring would raise of a model that is not fit to score.
    """
    from ml import registry

    if registry.why_skipped(product, day, version=version) is not None:
        return not records.builds(product.table, day, day)
    about = {}
    if product.is_trained:
        model, is_backfilled = registry.model_for(product, day, backfill=False, version=version)
        about = registry.told_of(model, is_backfilled=is_backfilled)
    return _stands(product.table, day, since, made_by.digest(about))


def _stands(table: str, day: date, since: Run | None, maker: str) -> bool:
    """Whether what there is of a table is what would be built now, and, where a run is given, was there before its end."""
    built = builds.unchanged(lineage.graph(), table, day, maker)
    if built is None:
        return False
    return (
        since is None
        or since.finished_at is None
        or (built.built_at is not None and built.built_at < since.finished_at)
    )
