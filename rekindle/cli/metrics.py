"""The command metrics: what a monitor watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.metrics import Metric


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle metrics --port 9108"))(metrics)


def metrics(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Serve them at /metrics of this port.")] = None,
    host: Annotated[str, typer.Option(help="Address to serve at; who may connect to it may read them.")] = "127.0.0.1",
    json: JsonOption = False,
) -> None:
    """
    Tell what a monitor watches, in Prometheus' form: freshness, runs, checks, deliveries, champions.

    Without --port once, and to the terminal. docs/metrics.md says what each is, and what to be woken for.
    """
    from rich.text import Text

    from rekindle import metrics as watched
    from rekindle import platform
    from rekindle.platform.processes import not_served
    from rekindle.settings import settings

    if not settings().database_url:
        platform.attach()
    if port is None:
        found = watched.gather()
        answer({"metrics": _as_data(found)}, as_json=json, text=Text(watched.exposition(found).rstrip("\n")))
        return
    try:
        watched.serve(host, port)
    except OSError as error:
        raise not_served(host, port, error) from error


def _as_data(found: Sequence[Metric]) -> list[dict[str, Any]]:
    return [{"name": m.name, "labels": dict(s.labels), "value": s.value} for m in found for s in m.samples]
