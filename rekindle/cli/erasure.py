"""Commands about people: erase somebody everywhere, and tell what is held on somebody."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, example
from rekindle.errors import InputError
from rekindle.progress import shown

if TYPE_CHECKING:
    from rekindle.erasure import Erased


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle erase u-1047"))(erase)
    app.command(epilog=example("rekindle person u-1047 --to u-1047.json"))(person)


def erase(
    users: Annotated[list[str] | None, typer.Argument(metavar="[USER]...", help="Ids of users.")] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", help="A file with an id a line, beside or instead.")] = None,
    json: JsonOption = False,
) -> None:
    """
    Erase people everywhere: tables and their earlier snapshots, what is published, pages, logs. It cannot be undone.

    What stays, and for how long, is said in docs/privacy.md. Whoever was interrupted runs it again: it goes on. Many people
    cost as much as one. Models that have learnt from them are listed: train them again.
    """
    from rekindle import erasure, platform

    wanted = [*(users or ()), *(_listed(file) if file else ())]
    platform.attach()
    from rekindle.warehouse.spark import session
    from rekindle.workflow.people import learnt_from

    with shown(as_json=json) as progress, progress.step("Erasing"):
        done = erasure.erase(session(), wanted, learnt_from=learnt_from, progress=progress)
    answer(done.to_json(), as_json=json, text="\n".join(_in_words(done)))


def person(
    user: Annotated[str, typer.Argument(metavar="USER", help="Id of a user.")],
    *,
    to: Annotated[Path, typer.Option("--to", help="The file to write; only you can read it.")],
    json: JsonOption = False,
) -> None:
    """Write all that is held on a person, by table, into a JSON file that only you can read."""
    from rekindle import erasure, platform

    if to.exists():
        raise InputError(
            f"{to} is there already.", todo="Name another file.", safe="Nothing was written.", code="exists"
        )
    platform.attach()
    from rekindle.erasure.held import as_text
    from rekindle.platform.home import write_private
    from rekindle.warehouse.spark import session

    with shown(as_json=json) as progress, progress.step("Looking"):
        told = erasure.held(session(), user)
        write_private(to.absolute(), as_text(told))
    counts = {table: len(rows) for table, rows in told["tables"].items()}
    text = f"{sum(counts.values()):,} rows of {len(counts)} tables: {to}."
    if told["is_erased"]:
        text += " This person was erased: what is here is what stays until the feed's days are over."
    answer({"file": to, "is_erased": told["is_erased"], "rows": counts}, as_json=json, text=text)


def _listed(file: Path) -> list[str]:
    if not file.is_file():
        raise InputError(f"There is no file {file}.", todo="Name a file with an id a line.", code="no_such_file")
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _in_words(done: Erased) -> list[str]:
    lines = [f"{done.user_count:,} erased."]
    lines += [f"  {table}: {count:,} rows" for table, count in done.removed_rows.items()]
    lines += [f"  {folder}: {count:,} files masked" for folder, count in done.masked_files.items()]
    if done.kept_opt_outs:
        lines.append(f"  Phones that stay closed: {done.kept_opt_outs:,}.")
    lines += [f"  {_model(one)}" for one in done.models]
    lines.append("Deliveries in the landing zone are the business's own: take the people out there, too.")
    return lines


def _model(one: Any) -> str:
    return f"{one['product']} version {one['version']} has learnt from them: rekindle train {one['product']} --day D"
