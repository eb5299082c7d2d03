"""The command line `rekindle`: exit code 0 done, 1 a check or gate said no, 2 wrong use or input."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from rekindle.cli import (
    accept,
    campaigns,
    daily,
    demo,
    erasure,
    experiments,
    export,
    landing,
    metrics,
    models,
    platform,
    prepare,
    rta,
    search,
    serve,
)
from rekindle.cli.common import answer
from rekindle.errors import RekindleError

app = typer.Typer(
    name="rekindle",
    help="Scores every customer once a day: who will come back, and what they will be worth. It sends nothing.",
    epilog="Example: rekindle up && rekindle sample completejourney && rekindle run --day 2017-12-28",
    no_args_is_help=True,
    add_completion=False,
    # Our errors say what to do; a traceback goes to a log file (main).
    pretty_exceptions_enable=False,
    # Plain text: rich would read the brackets of a path or a type as styles.
    rich_markup_mode=None,
)
GROUPS = (
    *(platform, landing, models, search, daily, accept, campaigns, experiments, export),
    *(serve, erasure, metrics, prepare, demo, rta),
)
for group in GROUPS:
    group.register(app)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"rekindle {version('rekindle')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Options without a command."""


def main() -> NoReturn:
    """Entry point `rekindle`: no error leaves it as a traceback."""
    try:
        app()
    except RekindleError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever was not foreseen is written down and named
        _tell(_unforeseen(error))
        sys.exit(RekindleError.exit_code)
    sys.exit(0)


def _tell(error: RekindleError) -> None:
    """Print an error for people to stderr; with `--json` also as an object to stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble((f"{error.code}: " if error.code else "", "bold red"), (error.what, "bold red")))
    console.print(Text(error.todo))
    console.print(Text(error.safe, style="dim"))
    if "--json" in sys.argv:
        told = {"code": error.code, "what": error.what, "todo": error.todo, "safe": error.safe}
        answer({"error": told}, as_json=True)


def _unforeseen(error: Exception) -> RekindleError:
    """Say in one line what nobody foresaw, and keep the traceback in a file."""
    from pydantic import ValidationError

    from rekindle import yml
    from rekindle.settings import PROJECT

    if isinstance(error, ValidationError) and error.title == "Settings":
        return RekindleError(
            f"A setting cannot be used: {yml.wrong(error)}.",
            todo="Correct conf/rekindle.yml or the environment variable REKINDLE_<NAME>.",
        )
    # The settings may be what failed, so the home is found without them.
    home = Path(os.environ.get("REKINDLE_HOME", PROJECT / ".rekindle"))
    log = home / "logs" / f"error-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch(mode=0o600)
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return RekindleError(
        f"Something unforeseen happened: {type(error).__name__}.",
        todo=f"The details are in {log}.",
        safe="What was released or published before is unchanged.",
    )
