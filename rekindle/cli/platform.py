"""Commands about the local platform: up, down, status, ui."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, console, example, take_over_verdicts
from rekindle.errors import CheckFailedError
from rekindle.progress import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from rekindle.platform import Service


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle up"))(up)
    app.command(epilog=example("rekindle down"))(down)
    app.command(epilog=example("rekindle status --json"))(status)
    app.command(epilog=example("rekindle ui"))(ui)


def up(*, json: JsonOption = False) -> None:
    """Start the local platform, Postgres and Spark Connect; at first also set up Airflow, MLflow and all tables."""
    from rekindle import platform
    from rekindle.settings import settings

    with shown(as_json=json) as progress, progress.step("Starting the platform"):
        services = platform.up(settings().home, _quiet if json else _tell)
        taken_over = take_over_verdicts()
    told = _as_data(services) | {"taken_over": taken_over}
    answer(told, as_json=json, text=_stacked([_as_table(services), *taken_over]))


def down(
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Also delete all data of this platform.")] = False,
    json: JsonOption = False,
) -> None:
    """Stop what this platform started, and nothing else. Data stay."""
    from rekindle import platform
    from rekindle.settings import settings

    stopped = platform.down(settings().home)
    text = f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running."
    if delete:
        platform.delete(settings().home)
        text += " All data of this platform are deleted."
    answer({"stopped": stopped, "deleted": delete}, as_json=json, text=text)


def status(
    *,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Only ask whether yesterday is published, as it must be by a set hour; exit code 1 if not."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """
    Show what runs and where, which days are published, and which partitions are stale.

    `--fresh` is for a monitor beside the scheduler: where that is down, nothing fails and nobody is told.
    """
    from rekindle import platform
    from rekindle.settings import settings

    home = settings().home
    if fresh:
        platform.attach()
        _refuse_outdated(as_json=json)
        return
    services = platform.status(home)
    told = {"home": str(home), **_as_data(services)}
    text: list[RenderableType] = [f"Home: {home}", _as_table(services)]
    if all(service.address for service in services if service.name in platform.NEEDED_SERVICES):
        platform.attach()
        with shown(as_json=json) as progress, progress.step("Looking at the deliveries"):
            warehouse = _warehouse()
        told |= warehouse
        text.append("\n".join(_in_words(warehouse)))
    answer(told, as_json=json, text=_stacked(text))


def _refuse_outdated(*, as_json: bool) -> None:
    """End with exit code 1 where a published table is older than it must be by now."""
    from rekindle.publishing import days_published, due_day

    due, days = due_day(), days_published()
    late = {table: day for table, day in days.items() if day < due}
    told = [f"{table} is about {day}: {due} is not published." for table, day in late.items()]
    if not days:
        told = ["Nothing was ever published."]
    data = {"due": due, "is_fresh": not told, "outdated": late}
    answer(data, as_json=as_json, text="\n".join(told) or f"{due} or a later day is published.")
    if told:
        raise typer.Exit(CheckFailedError.exit_code)


def _warehouse() -> dict[str, Any]:
    """What is published, what was delivered again and not loaded, and what was built from something else than is there now."""
    from rekindle import records
    from rekindle.publishing import freshness
    from rekindle.workflow import due

    waiting = {product: records.waiting(product) for product in records.judged_products()}
    return {
        "published": freshness(),
        "waiting": {product: gate.version for product, gate in waiting.items() if gate},
        "redelivered": due.redelivered(),
        "stale": due.stale_partitions(),
        "inputs_expired": due.inputs_expired(),
    }


def _in_words(warehouse: dict[str, Any]) -> Iterator[str]:
    from rekindle.days import Days

    for row in warehouse["published"]:
        yield f"{row['table_name']}: {row['day']}, {row['row_count']:,} rows, {row['status']}"
    for product, version in warehouse["waiting"].items():
        yield f"Passed the gate and waits for you: version {version} of {product}; rekindle promote {product} {version}"
    for source, days in warehouse["redelivered"].items():
        yield f"Delivered again and not loaded yet: {source} of {Days(tuple(days))}"
    for table, days in warehouse["stale"].items():
        yield f"Stale: {table} of {Days(tuple(days))}"
    for table, days in warehouse["inputs_expired"].items():
        yield f"Stays as it is, inputs_expired: {table} of {Days(tuple(days))}"
    if warehouse["redelivered"] or warehouse["stale"]:
        yield "Rebuild with: rekindle backfill --stale"


def _stacked(parts: Sequence[RenderableType]) -> RenderableType:
    from rich.console import Group

    return Group(*parts)


def ui(*, json: JsonOption = False) -> None:
    """Add the web pages of Airflow, with a scheduler, and of MLflow; print where they are and how to log in."""
    from rekindle import platform
    from rekindle.settings import settings

    with shown(as_json=json) as progress, progress.step("Starting the platform and its pages"):
        pages = platform.ui(settings().home, _quiet if json else _tell)
        taken_over = "".join(f"{line}\n" for line in take_over_verdicts())
    text = taken_over + (
        f"Airflow  {pages.airflow}  log in as {pages.airflow_user}, password {pages.airflow_password}\n"
        f"MLflow   {pages.mlflow}\n"
        "They answer on this machine only. `rekindle down` stops them."
    )
    answer(asdict(pages), as_json=json, text=text)


def _tell(step: str, seconds: float) -> None:
    console().print(f"  {step}: {seconds:.0f} s")


def _quiet(_step: str, _seconds: float) -> None:
    """Say nothing: who asked for JSON gets one object."""


def _as_data(services: Sequence[Service]) -> dict[str, dict[str, str | None]]:
    return {"services": {service.name: service.address for service in services}}


def _as_table(services: Sequence[Service]) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for service in services:
        table.add_row(service.name, service.address or "not running")
    return table
