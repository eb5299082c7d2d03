"""
Whether a day has anything to build: what was built of it stands while its inputs, our code, contracts and settings do.

Answered from the records, the landing zone and the registry; Spark is asked of deliveries that are tables, and of nothing else.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import publishing, records
from rekindle.landing.zone import LandingZone
from rekindle.publishing import publications
from rekindle.warehouse import builds, lineage, made_by
from rekindle.workflow import due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime

    from ml.products import Product, Registered
    from rekindle.records import Run
    from rekindle.warehouse.lineage import Step


PUBLISH = "publish"
"""The stage that publishes a day."""


def run_that_stands(day: date, products: Iterable[Product]) -> Run | None:
    """
    The run that published a day and did all that another would do now; None where something is to be loaded, built or published.

    It is the last that published the day: a daily one that ended well in each of its stages and went by Postgres' own clock.
    All that it published was built before it began to; what nobody publishes may have been built beside it.
    """
    published = [s for s in records.stages(day=day) if s.stage == PUBLISH and s.status == "done"]
    last = records.find_run(published[-1].run_id) if published else None
    if last is None or last.kind != "daily" or last.status != "done" or not _went_well(last):
        return None
    zone = LandingZone()
    if zone.missing(day):
        return None
    before = published[-1].recorded_at - timedelta(seconds=published[-1].seconds)
    from ml.products import filled_by

    filled = filled_by(products)
    steps = lineage.graph().steps({table: product.name for table, product in filled.items()})
    published_of, maker = _published_of(steps), made_by.digest()
    for step in steps:
        by = before if step.id in published_of else None
        if step.kind == "ingest":
            stands = due.is_loaded(zone, step.name, day)
        elif (product := filled.get(step.tables[0])) is not None:
            stands = is_scored(product, day, by)
        else:
            stands = all(_stands(table, day, by, maker) for table in step.tables)
        if not stands:
            return None
    return last


def _published_of(steps: Sequence[Step]) -> set[str]:
    """Ids of the steps (in order) whose tables are published, or made into what is."""
    tables = {*publications.scored_tables(), publications.PERMISSION}
    found: set[str] = set()
    for step in reversed(steps):
        if step.id in found or tables & set(step.tables):
            found |= {step.id, *step.after}
    return found


def decide_again(day: date, run_id: str) -> None:
    """Decide once more who may be sent to of a day that stands: campaigns may have been planned, and time has gone on."""
    permitting = [one.table for one in publications.declared() if one.permits and one.query]
    publishing.refresh(permitting, day, run_id)


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
    graph = lineage.graph()
    if kind == "backfill":
        return all(builds.unchanged(graph, table, day) for table in tables)
    maker = made_by.digest()
    return all(not graph.tables[table].always_built and _stands(table, day, None, maker) for table in tables)


def _went_well(run: Run) -> bool:
    """Whether no stage of a run failed, also none that the run goes on without, and nobody gave it the time to go by."""
    stages = records.stages(run_id=run.run_id)
    return all(stage.status == "done" and "at" not in stage.detail for stage in stages)


def is_scored(product: Registered, day: date, before: datetime | None = None, *, version: str | None = None) -> bool:
    """
    Whether the model that would score a day has done so, in a daily run that ended well, or the product has nothing to say of it.

    Of other runs nobody knows that what they scored was served. Raises what scoring would raise of a model that is not fit.
    """
    from ml import registry

    made = [records.builds(table, day, day).get(day) for table in product.tables]
    if registry.why_skipped(product, day, version=version) is not None:
        return not any(made)
    runs = [records.find_run(run_id) for run_id in {build.run_id for build in made if build}]
    if not all(made) or any(run is None or run.kind != "daily" or run.status != "done" for run in runs):
        return False
    about = {}
    if product.is_trained:
        model, is_backfilled = registry.model_for(product, day, backfill=False, version=version)
        about = registry.told_of(model, is_backfilled=is_backfilled)
    maker = made_by.digest(about)
    return all(_stands(table, day, before, maker) for table in product.tables)


def _stands(table: str, day: date, before: datetime | None, maker: str) -> bool:
    """Whether what there is of a table is what would be built now, and, where a time is given, was there by then."""
    built = builds.unchanged(lineage.graph(), table, day, maker)
    return built is not None and (before is None or (built.built_at is not None and built.built_at < before))
