"""Commands about the local platform: up, down, status, ui."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rekindle.cli.common import JsonOption, answer, console, example

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    services = platform.up(settings().home, _quiet if json else _tell)
    answer(_as_data(services), as_json=json, text=_as_table(services))


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


def status(*, json: JsonOption = False) -> None:
    """Show what runs, and where."""
    from rekindle import platform
    from rekindle.settings import settings

    services = platform.status(settings().home)
    answer(_as_data(services), as_json=json, text=_as_table(services))


def ui(*, json: JsonOption = False) -> None:
    """Add the web pages of Airflow, with a scheduler, and of MLflow; print where they are and how to log in."""
    from rekindle import platform
    from rekindle.settings import settings

    pages = platform.ui(settings().home, _quiet if json else _tell)
    text = (
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
