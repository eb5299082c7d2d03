"""The command search: hyper-parameters of a product's learners, for a person to commit."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from rekindle.cli.common import DayOption, JsonOption, answer, example, refuse_unfinished
from rekindle.cli.models import ProductArgument, named_product, refuse_unsupplied, refuse_untrained
from rekindle.progress import shown

if TYPE_CHECKING:
    from ml.training.search import Searched


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle search recall --day 2017-12-28"))(search)


def search(
    product: ProductArgument,
    *,
    day: DayOption,
    trials: Annotated[
        int,
        typer.Option("--trials", min=2, max=1000, help="How many are tried; the first is what the learner declares."),
    ] = 20,
    to: Annotated[
        Path | None, typer.Option("--to", help="Where it is written; by default conf/learners/PRODUCT.yml.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Search hyper-parameters for a product's boosted trees on what was known at the end of a day, and store what holds.

    So many trials, seeded, are compared on blocks of days before the validation days of a training as of that day. The best is
    kept where it is better than what the learner declares, beyond chance, on the validation days, which no trial has seen; the
    test days are not looked at. The file then says what trainings fit with: read it and commit it. Where nothing
    is ahead it says so, and learners are fitted as they declare. The trials are a run in the product's experiment in MLflow.
    Nothing is trained.
    """
    from rekindle import platform, records
    from rekindle.days import Days

    chosen = named_product(product)
    refuse_untrained(chosen)
    refuse_unsupplied(chosen, day)
    platform.attach()
    refuse_unfinished(day)
    from ml import registry
    from ml.training import samples, tuned
    from ml.training import search as searching
    from rekindle.settings import settings
    from rekindle.warehouse.spark import session

    with (
        shown(as_json=json) as progress,
        records.own_run("search", Days.one(day)) as run_id,
        progress.step(f"Searching for {chosen.name}"),
    ):
        with progress.step("reading the sample"):
            spark = session()
            samples.refuse_undelivered(spark, day)
            sample = samples.sample(spark, chosen, day, settings())
        found = searching.search(chosen, sample, samples.split(sample, settings()), trials, progress)
        logged = registry.log_search(chosen, found, run_id)
    path = tuned.write(chosen, found.found, to)
    data = {**found.to_json(), "file": path, "mlflow_run": logged}
    answer(data, as_json=json, text=f"{_told(found)}\nWritten to {path}; `git diff` shows what it changes.")


def _told(found: Searched) -> str:
    head = f"{len(found.tried)} trials for {found.learner}"
    if found.ahead is None:
        return f"{head}: none did better than what it declares, and that stays."
    ahead, hyper = found.ahead, ", ".join(f"{name} {value:g}" for name, value in found.best.hyper.items())
    seen = f"ahead by {ahead.value:.5f} ({ahead.low:.5f} to {ahead.high:.5f}) on later days"
    said = "it is kept" if found.is_kept else "what it declares stays"
    return f"{head}: the best, {hyper}, is {seen}: {said}."
