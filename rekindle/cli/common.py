"""What the commands share: options, answers for people and for programs, the platform they need."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rekindle.days import NotADayError, parse_day
from rekindle.errors import InputError
from rekindle.spreadsheets import neutral

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType


def parsed_day(text: str) -> date:
    """Read a day that was given on the command line."""
    try:
        return parse_day(text)
    except NotADayError as error:
        raise typer.BadParameter(str(error)) from error


DayOption = Annotated[
    date, typer.Option("--day", parser=parsed_day, metavar="YYYY-MM-DD", help="UTC day whose delivery is processed.")
]
WholeDayOption = Annotated[
    date | None,
    typer.Option("--day", parser=parsed_day, metavar="YYYY-MM-DD", help="UTC day whose delivery the file is."),
]
FromOption = Annotated[
    date | None, typer.Option("--from", parser=parsed_day, metavar="YYYY-MM-DD", help="First day of the range.")
]
FirstOption = Annotated[
    date | None, typer.Option("--first", parser=parsed_day, metavar="YYYY-MM-DD", help="First day that is delivered.")
]
ToOption = Annotated[
    date | None, typer.Option("--to", parser=parsed_day, metavar="YYYY-MM-DD", help="Last day of the range, included.")
]


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is not a time with a zone. Write it as 2017-06-06T03:00:00Z.")
    return at.astimezone(UTC)


AtOption = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        parser=_time,
        metavar="TIME",
        help="The time that permission goes by, with its zone; Postgres' own unless old or simulated data need theirs.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


def refuse_unfinished(day: date) -> None:
    """A day can be processed when it is over. The database says what day it is: the servers' clock counts."""
    from rekindle import postgres

    today = postgres.today()
    if day >= today:
        raise InputError(
            f"{day} is not over: it is {today} (UTC).",
            todo="Choose a day that has finished.",
            code="day_in_the_future",
        )


def take_over_verdicts() -> list[str]:
    """Take over the verdicts of models that an earlier Rekindle registered, once; a line for each version."""
    from rekindle import records

    # Most databases have none to take over, and asking MLflow takes seconds.
    if records.has_taken_over_gates():
        return []
    from ml import registry

    return registry.take_over().lines()


def example(command: str) -> str:
    """Text for a command's `epilog`."""
    return f"Example: {command}"


def answer(data: Mapping[str, Any], *, as_json: bool, text: RenderableType = "") -> None:
    """Print a command's result: `data` as one JSON object, or `text` for people."""
    if as_json:
        sys.stdout.write(json.dumps(data, default=str, ensure_ascii=False) + "\n")
        return
    console().print(text)


def write_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as CSV, which spreadsheets open: no text in it is a formula there. Numbers are as they are."""
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow(rows[0])
    written.writerows([neutral(value) for value in row.values()] for row in rows)


def console() -> Any:
    """Return the console for people (stdout). Lines are not broken where stdout is not a terminal."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def fail(code: int = 1) -> NoReturn:
    """End a command whose answer was already printed with an exit code."""
    raise typer.Exit(code)
