"""Commands about the landing zone: sample, import, simulate, upload."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import (
    FirstOption,
    FromOption,
    JsonOption,
    ToOption,
    WholeDayOption,
    answer,
    example,
    parsed_day,
)
from rekindle.errors import InputError
from rekindle.progress import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rekindle.landing.filling.fill import Filled
    from rekindle.landing.filling.lateness import Lateness
    from rekindle.progress import Progress

LatenessOption = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE:DAYS",
        help="Deliver this share of the facts up to so many days late, as a real delivery would. Example: 0.05:3.",
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace deliveries that are there with other contents.")
]


TOOLS = ("twilio", "braze")
"""Whose exports of messages are read."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle sample completejourney"))(sample)
    app.command("import", epilog=example("rekindle import orders orders.csv --lateness 0.05:3"))(import_)
    app.command(epilog=example("rekindle simulate --users 2000 --days 200"))(simulate)
    app.command(epilog=example("rekindle upload ./landing"))(upload)


def sample(
    name: Annotated[str, typer.Argument(help="completejourney (simulated), cdnow or online-retail (both real).")],
    path: Annotated[Path | None, typer.Argument(help="Where the data lie; only online-retail takes one.")] = None,
    *,
    first: FromOption = None,
    last: ToOption = None,
    lateness: LatenessOption = None,
    consents: Annotated[
        bool,
        typer.Option("--with-consents", help="Add simulated contacts, consents and replies: the data set has none."),
    ] = False,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """
    Fill the landing zone with a public data set.

    completejourney is a year of a grocery chain, simulated by its authors. cdnow is 18 months of a music shop, real.
    online-retail is a year of a gift wholesaler, real, CC BY 4.0, in GBP; it is read from PATH or from REKINDLE_DATA.
    """
    from rekindle.landing.filling import fill

    options = fill.Options(first, last, _lateness(lateness), replace)
    with shown(as_json=json) as progress:
        filled = fill.sample(name, path, options, progress)
        if consents:
            filled = with_consents(filled, replace, progress)
    _tell(filled, as_json=json)


def _day_or_tool(text: str) -> Any:
    return text if text in TOOLS else parsed_day(text)


def with_consents(filled: Filled, replace: bool, progress: Progress) -> Filled:
    """Add simulated contacts, consents and replies to a sample, and say so wherever it is told of the sample."""
    from dataclasses import replace as changed

    from rekindle.landing.filling.simulation import consenting
    from rekindle.landing.filling.writer import delivered_days

    with progress.step("Adding simulated contacts and consents") as step:
        added = consenting.add_consents(filled.zone, replace=replace, advance=step.reached)
    notes, written = (*filled.notes, consenting.SIMULATED), (*filled.written, *added)
    return changed(filled, notes=notes, written=written, delivered=delivered_days(filled.zone))


def import_(
    source: Annotated[
        str, typer.Argument(help="users, orders, events, items, contacts, consents, messages or replies.")
    ],
    path: Annotated[Path, typer.Argument(help="A csv, jsonl or parquet file with the columns of the source.")],
    *,
    day: WholeDayOption = None,
    first: Annotated[
        Any,
        typer.Option(
            "--from",
            parser=_day_or_tool,
            metavar="YYYY-MM-DD|twilio|braze",
            help="First day of the range; of messages also the tool whose export PATH is, a file or a folder of files.",
        ),
    ] = None,
    last: ToOption = None,
    lateness: LatenessOption = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """
    Turn a history in one file into deliveries: each row on the UTC day it occurred.

    Users are delivered on the day they registered, items on the day in a column `day` or else on the first day. Days
    without rows are declared empty. With --day the whole file is the delivery of that one day.

    messages --from twilio or braze reads what the tool has exported, also the replies in it, and delivers messages and replies.
    """
    if first in TOOLS:
        if source != "messages" or day or lateness:
            raise InputError(
                f"Of {first}, messages and the replies to them are imported, each on its own day.",
                todo=f"Write: rekindle import messages PATH --from {first}",
                code="usage",
            )
        from rekindle import platform
        from rekindle.landing.filling import messages

        platform.attach()
        with shown(as_json=json) as progress:
            filled = messages.import_messages(first, path, last=last, replace=replace, progress=progress)
    else:
        from rekindle.landing.filling import fill

        options = fill.Options(first, last, _lateness(lateness), replace)
        with shown(as_json=json) as progress:
            filled = fill.import_history(source, path, day, options, progress)
    _tell(filled, as_json=json)


def simulate(
    *,
    users: Annotated[int, typer.Option(help="How many users there will have been.")],
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days are delivered.")],
    first: FirstOption = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder for what only the simulation knows; default: truth in REKINDLE_HOME.")
    ] = None,
    campaigns: Annotated[bool, typer.Option("--campaigns", help="Send the campaigns of conf/simulation.yml.")] = False,
    choices: Annotated[
        bool, typer.Option("--choices", help="Let users click on and buy what they like, and stay with it.")
    ] = False,
    auctions: Annotated[
        bool, typer.Option("--auctions", help="Let ad exchanges ask for users, and some be shown ads.")
    ] = False,
    sent: Annotated[
        Path | None, typer.Option(help="Parquet file of the messages that were sent: user_id, day, maybe sent_at.")
    ] = None,
    since: FromOption = None,
    until: ToOption = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A source that somebody else delivers; may be given several times.")
    ] = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """
    Fill the landing zone with a simulated business, and tell the truth about it in a folder that no job reads.

    Nobody in it is real. The truth holds, for each user and Sunday, the exact probability of coming back and what a message
    would change. What the business is made of stands in conf/simulation.yml. The same command writes the same bytes.

    With --sent the same users live on with messages that a tool has sent them, and --from and --to deliver some of the
    days only. So a business goes on day by day: give the same --users, --days and --first each time.
    """
    from datetime import timedelta

    from rekindle.days import Days
    from rekindle.landing.filling.fill import Filled
    from rekindle.landing.filling.simulation import simulate as running
    from rekindle.landing.filling.simulation.parameters import parameters
    from rekindle.landing.filling.writer import delivered_days

    begin = first or parameters().first_day
    all_days = Days.between(begin, begin + timedelta(days=days - 1))
    with shown(as_json=json) as progress:
        done = running.simulate(
            users,
            all_days,
            truth,
            sending=running.Sending(campaigns, _messages(sent) if sent else None),
            only=Days.between(since or all_days.first, until or all_days.last),
            without=without or (),
            conf=parameters().adding(
                *(name for name, is_on in (("choices", choices), ("auctions", auctions)) if is_on)
            ),
            replace=replace,
            progress=progress,
        )
    notes = (running.SIMULATED, f"The truth is in {done.truth}.")
    filled = Filled(done.zone, done.days, done.written, notes, delivered_days(done.zone))
    _tell(filled, as_json=json, simulated=True, truth=str(done.truth), ledger=done.ledger)


def upload(
    folder: Annotated[Path, typer.Argument(help="A local landing folder, as import and simulate fill it.")],
    *,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Copy complete deliveries from a local folder to the landing zone, each with its files first and _SUCCESS last."""
    from rekindle.landing.filling import upload as copying
    from rekindle.settings import settings

    zone = settings().landing_zone
    with shown(as_json=json) as progress, progress.step("Copying deliveries") as step:
        done = copying.upload(folder, zone, replace=replace, advance=step.reached)
    text = f"{done.copied:,} deliveries copied to {zone}, {done.kept:,} were there already."
    answer({"landing": zone, "copied": done.copied, "kept": done.kept}, as_json=json, text=text)


def _messages(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    from rekindle.errors import InputError

    try:
        return parquet.read_table(path, partitioning=None)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{path} cannot be read as Parquet.", todo="Give a Parquet file of user_id and day."
        ) from error


def _lateness(text: str | None) -> Lateness | None:
    from rekindle.landing.filling.lateness import Lateness

    return Lateness.parse(text) if text else None


def _tell(filled: Filled, *, as_json: bool, **more: object) -> None:
    data = {
        "landing": str(filled.zone),
        "first_day": filled.days.first,
        "last_day": filled.days.last,
        "sources": {
            w.source: {
                "rows": w.rows,
                "deliveries": w.deliveries,
                "empty": w.empty,
                "unchanged": w.unchanged,
                "replaced": w.replaced,
            }
            for w in filled.written
        },
        "notes": filled.notes,
        "next": _next(filled),
        **more,
    }
    answer(data, as_json=as_json, text="" if as_json else _text(filled, data))


def _next(filled: Filled) -> list[str]:
    """Commands that make use of what the landing zone has now."""
    first, last = min(a for a, _ in filled.delivered.values()), max(b for _, b in filled.delivered.values())
    if filled.delivered.keys().isdisjoint({"events", "orders"}):
        return ["rekindle import orders PATH"]
    if "users" not in filled.delivered:
        return ["rekindle import users PATH"]
    return [
        f"rekindle backfill --from {first} --to {last}",
        f"rekindle train recall --day {last}",
        f"rekindle run --day {last}",
    ]


def _text(filled: Filled, data: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    counts = Table(box=None, pad_edge=False)
    counts.add_column("source")
    for title in ("rows", "deliveries", "empty", "unchanged", "replaced"):
        counts.add_column(title, justify="right")
    for w in filled.written:
        counts.add_row(w.source, *(f"{n:,}" for n in (w.rows, w.deliveries, w.empty, w.unchanged, w.replaced)))
    return Group(
        f"Delivered {filled.days} to {filled.zone}.",
        "",
        counts,
        "",
        *(f"Note: {note}" for note in filled.notes),
        "Next:",
        *(f"  {command}" for command in data["next"]),
    )
