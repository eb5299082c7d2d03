"""The command export: what was published, as files for tools."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rekindle.cli.common import AtOption, JsonOption, answer, example
from rekindle.errors import InputError

if TYPE_CHECKING:
    from rekindle.exporting import Exported


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle export audience --for braze --since 2026-03-01T05:10:00+00:00,42"))(export)


def export(
    what: Annotated[Literal["audience", "campaign"], typer.Argument(help="sms.audience, or the list of a campaign.")],
    name: Annotated[str | None, typer.Argument(help="The campaign.")] = None,
    *,
    for_: Annotated[
        Literal["braze", "braze-users", "csv"],
        typer.Option(
            "--for",
            help="braze: JSON lines for Cloud Data Ingestion. braze-users: bodies of requests to /users/track, 75 users each. "
            "csv: who may be texted now, with texts that no spreadsheet takes for formulas.",
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(help="File or folder to write to; default: exports in REKINDLE_HOME.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME,USER", help="Only what has changed since: the watermark that the last export printed."
        ),
    ] = None,
    follow: Annotated[
        Literal["all", "content"],
        typer.Option(help="content: a row that changed in nothing but its valid_until has not changed."),
    ] = "all",
    at: AtOption = None,
    json: JsonOption = False,
) -> None:
    """
    Write what was published to a file for a tool, whole or not at all, readable for its owner alone.

    audience, for braze: all rows that have changed since a watermark, also of who may not be texted any more. It prints the
    next watermark. audience, as csv: who may be texted now. campaign: whom it texts, of whom may be texted now, in its order.
    """
    from rekindle import exporting, platform
    from rekindle.exporting.watermark import Watermark
    from rekindle.settings import settings

    if (what == "campaign") != (name is not None):
        raise InputError("A campaign is named, and the audience has no name.", todo="See --help.", code="usage")
    if name is not None and (since or follow != "all"):
        raise InputError("A campaign's list is written whole.", todo="Leave out --since and --follow.", code="usage")
    watermark = Watermark.parse(since) if since else None
    platform.attach()
    if to is None:
        to = settings().home / "exports"
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    if name is not None:
        done = exporting.export_campaign(name, for_, to, at=at)
    else:
        done = exporting.export_audience(for_, to, since=watermark, follow=follow, at=at)
    _tell(done, as_json=json)


def _tell(done: Exported, *, as_json: bool) -> None:
    data = {
        "file": str(done.path) if done.path else None,
        "rows": done.row_count,
        "eligible": done.eligible_count,
        "left_out": done.left_out_count,
        "watermark": str(done.watermark) if done.watermark else None,
    }
    lines = [
        f"{done.row_count:,} rows to {done.path}, {done.eligible_count:,} of them may be texted."
        if done.path
        else "Nothing has changed, and nothing was written."
    ]
    if done.left_out_count:
        lines.append(
            f"{done.left_out_count:,} whom the campaign wants to text may not be texted now, and are left out."
        )
    if done.watermark:
        lines.append(f"Next: --since '{done.watermark}'")
    answer(data, as_json=as_json, text="\n".join(lines))
