"""Commands about campaigns: plan, messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import AtOption, DayOption, JsonOption, answer, example, fail
from rekindle.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rekindle.campaigns.messages import Checked
    from rekindle.campaigns.plan import Planned

messages = typer.Typer(help="About the texts of messages.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog=example("rekindle plan --campaign spring --day 2017-12-28 --budget 5000"))(plan)
    messages.command(
        "check", epilog=example('rekindle messages check "We miss you. Reply STOP to end" --offer ten_percent')
    )(check)
    app.add_typer(messages, name="messages")


@messages.callback()
def about() -> None:
    """About the texts of messages."""


def plan(
    *,
    campaign: Annotated[
        str, typer.Option(help="Name of the campaign; a plan is never changed, so a new one has a new name.")
    ],
    day: DayOption,
    budget: Annotated[
        float, typer.Option(help="What may be spent on messages and offers, in the deployment's currency.")
    ],
    cost: Annotated[
        float | None, typer.Option(min=0, help="Cost of one message; default: that of its segments, by country.")
    ] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="At most so many messages.")] = None,
    min_roi: Annotated[
        float | None, typer.Option(help="Expected gain for each unit of cost that every message must reach.")
    ] = None,
    min_gain: Annotated[
        float,
        typer.Option(
            help="Expected gain that every message must exceed; below 0 to pay for what an experiment teaches."
        ),
    ] = 0.0,
    holdout: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Share of the campaign that is not texted; default: control_share."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help="""Who may be in it, for example 'country=DE,FR segment="regular, just lapsed" value>=20'."""
        ),
    ] = "",
    arms: Annotated[
        str, typer.Option(help="Arms to text as NAME[:OFFER][=WEIGHT],… , for example plain,coupon:ten_percent=2.")
    ] = "treatment",
    offers: Annotated[
        str | None, typer.Option(help="Offers to pick from for each user, by name; default: all of conf/offers.yml.")
    ] = None,
    message: Annotated[
        list[str] | None, typer.Option(help="File with the text, or ARM=FILE; its segments say what a message costs.")
    ] = None,
    at: AtOption = None,
    note: Annotated[
        str, typer.Option(help="Said on the page wherever figures are, for example that they are simulated.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be planned, and write nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """
    Choose whom to text under a budget, and who is left untexted to measure the effect; write both to sms.campaign_list.

    Nothing is sent. The same plan again gives the same list.
    """
    from rekindle import platform
    from rekindle.campaigns import page
    from rekindle.campaigns import plan as planning
    from rekindle.settings import settings

    texts = dict(_message(one) for one in message or [])
    platform.attach()
    asked = planning.Asked(
        campaign=campaign,
        day=day,
        budget=budget,
        control_share=settings().control_share if holdout is None else holdout,
        arms=arms,
        offers=tuple(filter(None, offers.split(","))) if offers is not None else None,
        where=where,
        cost=cost,
        capacity=capacity,
        min_roi=min_roi,
        min_gain=min_gain,
        note=note,
    )
    planned = planning.plan(asked, texts, at=at, dry_run=dry_run)
    path = page.write(planned) if planned.is_written else None
    told = {
        "campaign": campaign,
        "day": day,
        "planned_at": planned.planned_at,
        "is_new": planned.is_new,
        "is_written": planned.is_written,
        **planned.summary,
        "page": str(path) if path else None,
    }
    answer(told, as_json=json, text="" if json else _text(planned, path))


def check(
    text: Annotated[str, typer.Argument(help="The text, or a file that holds it.")],
    *,
    offer: Annotated[str, typer.Option(help="The offer that comes with it, as conf/offers.yml names it.")] = "none",
    country: Annotated[
        str | None, typer.Option(help="Country of the phones, for the cost; default: message_cost.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Count the segments of a text and what it costs.

    Exit code 1 without an opt-out, or with a claim that the offer does not make.
    """
    from rekindle.campaigns.messages import check as checked
    from rekindle.campaigns.offers import offers

    found = checked(_text_or_file(text), offers().named(offer))
    cost = found.segments.count * offers().cost_of_segment(country)
    told = {
        "alphabet": found.segments.alphabet,
        "units": found.segments.units,
        "segments": found.segments.count,
        "costly_characters": found.segments.costly,
        "cost": round(cost, 6),
        "says_how_to_stop": found.says_how_to_stop,
        "unbacked_claims": found.unbacked,
    }
    answer(told, as_json=json, text="\n".join(_about(found, cost)))
    if found.problems:
        fail()


def _about(found: Checked, cost: float) -> list[str]:
    from rekindle.settings import settings

    one = found.segments
    many = "segment" if one.count == 1 else "segments"
    told = [f"{one.units} units of {one.alphabet}: {one.count} {many}, {cost:.4f} {settings().currency} a message."]
    if one.costly:
        told.append(f"Not in GSM-7, and so costly: {' '.join(one.costly)}")
    return [*told, *(found.problems or ["It says how to opt out, and promises nothing that the offer does not."])]


def _message(text: str) -> tuple[str, str]:
    """Read `FILE` or `ARM=FILE`; returns the arm and the text. The empty arm is any."""
    from rekindle.campaigns.plan import ANY_ARM

    arm, found, path = text.partition("=")
    file = Path(path if found else arm)
    if not file.is_file():
        raise InputError(
            f"There is no file {file.name} to read a message from.",
            todo="Give --message FILE or --message ARM=FILE.",
            code="usage",
        )
    return (arm if found else ANY_ARM), _read(file)


def _text_or_file(text: str) -> str:
    try:
        file = Path(text)
        return _read(file) if file.is_file() else text
    except OSError:  # longer than a path may be
        return text


def _read(file: Path) -> str:
    try:
        # Editors end a file with a line feed that nobody means to send.
        return file.read_text(encoding="utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file.name} is not UTF-8 at byte {error.start}.", todo="Save it as UTF-8.", code="usage"
        ) from None


def _text(planned: Planned, path: Path | None) -> RenderableType:
    from rich.console import Group

    from rekindle.campaigns.page import ENDED_BY, power_in_words
    from rekindle.report import words

    told = planned.summary
    people = f"{told['chosen']:,} of {told['eligible']:,} who may be texted"
    head = f"{planned.campaign}: {people}, {told['controls']:,} of them controls."
    was = [] if planned.is_new else [f"It was planned on {words.moment(planned.planned_at)}; nothing was changed."]
    end = [f"The page: {path}"] if path else ["A dry run: nothing was written."]
    note = [told["note"]] if told["note"] else []
    return Group(
        head, *was, *note, ENDED_BY[told["ended_by"]], "", _strategies(told), "", power_in_words(told["power"]), *end
    )


def _strategies(told: Any) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("who is texted")
    for title in ("people", "cost", "respond", "returns caused", "their value", "beyond cost"):
        table.add_column(title, justify="right")
    lines = {"this campaign": told["expected"], **told["strategies"]}
    lines["the plan's order, no control"] = lines.pop("plan")
    for name, one in lines.items():
        returns, value = (
            f"{one[what]['expected']:,.1f} ({one[what]['low']:,.1f} to {one[what]['high']:,.1f})"
            for what in ("returns", "value")
        )
        table.add_row(
            name,
            f"{one['texted']:,}",
            f"{one['cost']:,.2f}",
            f"{one['responses']:,.0f}",
            returns,
            value,
            f"{one['gain']:,.2f}",
        )
    return table
