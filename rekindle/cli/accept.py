"""The command about what a person lets pass."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rekindle.cli.common import DayOption, JsonOption, answer, example

if TYPE_CHECKING:
    from rekindle.warehouse.contracts import Contract


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        epilog=example("rekindle accept raw.orders rows_change_by --day 2017-12-25 --because 'shops were closed'")
    )(accept)


def accept(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table whose check stopped the day.")],
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The check, as the error or the report names it.")],
    *,
    day: DayOption,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why the move is true; on the report.")],
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="NAME", help="Who accepts, such as a user of Airflow; beside the user of this machine."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Let one check that has stopped a day pass, for that day only: rows or means that have moved, on the day of a sale.

    Only what compares a day with the days before it can be accepted; keys, nulls, sums, permission never. The check stays failed
    and is called accepted, on the report too. A move that is larger by the next run stops the day again.
    """
    from rekindle import platform
    from rekindle.warehouse.checks import accepting

    platform.attach()
    user = _user()
    done = accepting.accept(table, _contract(table), rule, day, f"{by} (as {user})" if by else user, because)
    told = f"Accepted: {table} {done.condition}, {done.words}.\nRun the day again: rekindle run --day {day}"
    answer(asdict(done), as_json=json, text=told)


def _contract(table: str) -> Contract | None:
    """What is declared of a table: its own contract, or that of the scores which are published as it."""
    from rekindle.publishing import publications
    from rekindle.warehouse import contracts

    if table in contracts.tables():
        return contracts.load(table)
    return next((p.contract for p in publications.declared() if p.target == table), None)


def _user() -> str:
    """Name the user of this machine by the system, and not by what the environment says."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
