"""The commands of rta: what bids in real-time auctions would have bought, and what they bought and caused."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, example, parsed_day
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from rich.console import RenderableType

    from rekindle.bidding.compare import Comparison, Judged
    from rekindle.bidding.results import Strategy

BUDGETS = ("1/32", "1/16", "1/8", "1/4")

rta = typer.Typer(help="About bids in real-time auctions.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    rta.command(epilog=example("rekindle rta replay ipinyou_2997_test.npz --budget 1/32 --budget 1/8"))(replay)
    rta.command(epilog=example("rekindle rta report --day 2024-05-01"))(report)
    app.add_typer(rta, name="rta")


@rta.callback()
def about() -> None:
    """About bids in real-time auctions."""


def replay(
    log: Annotated[
        Path,
        typer.Argument(
            help="Auctions in order of time: a csv or parquet file with the columns clicked, market_price and predicted,"
            " or a .npz file with click, price and pctr."
        ),
    ],
    *,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHARE", help="Share of what all auctions cost; may be repeated. Default: 1/32, 1/16, 1/8 and 1/4."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Replay ways to bid on a log of auctions, and say which of them is told from the same bid for all.

    Each is chosen on the earlier half of the log and judged on the later one, with the same budget, in second-price auctions.
    docs/bidding.md says what a replay cannot tell.
    """
    from rekindle import bidding

    shares = _shares(budget or BUDGETS)
    found = bidding.compare(bidding.read(log), shares)
    answer(_told(found), as_json=json, text="" if json else _text(found))


def report(
    *,
    day: Annotated[
        Any,
        typer.Option(
            "--day",
            parser=parsed_day,
            metavar="YYYY-MM-DD",
            help="As it was known at the end of this day. Default: the last one.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Say what each strategy has bought within four weeks, and how many more came back than of its control group.

    The weeks end so long before the day that whoever came back is known. The daily report draws the same.
    """
    from rekindle import platform, records
    from rekindle.bidding import results

    platform.attach()
    known = day or records.last_ad_results()
    found = results.of_rows(records.ad_results(known)) if known else ()
    if known is None or not found:
        raise InputError(
            f"Of no ads is anything known{f' at the end of {day}' if day else ''}.",
            todo="Deliver `ad_exposures` and `devices`, and run the days up to recall_horizon_days + lateness_days after them.",
            safe="Nothing was computed.",
            code="nothing_known",
        )
    told = {"day": known, "strategies": {one.name: _bought(one) for one in found}}
    answer(told, as_json=json, text="" if json else _results(known, found))


def _shares(given: Sequence[str]) -> list[Fraction]:
    shares = []
    for text in given:
        try:
            share = Fraction(text)
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        if not 0 < share <= 1:
            raise InputError(
                f"--budget {text} is no share of what a log costs.",
                todo="Write --budget 1/8, or --budget 0.125.",
                safe="Nothing was computed.",
                code="usage",
            )
        shares.append(share)
    return list(dict.fromkeys(shares))


# For programs


def _told(found: Comparison) -> dict[str, Any]:
    return {
        "auctions": found.auction_count,
        "judged": {"auctions": found.judged_count, "clicks": found.judged_clicks, "market_price": found.judged_price},
        "bootstrap": {"draws": found.draws, "block_length": found.block_length},
        "budgets": [
            {
                "share": str(share),
                "budget": judged[0].budget,
                "strategies": {one.strategy.name: _one(one) for one in judged},
            }
            for share, judged in found.by_budget.items()
        ],
    }


def _one(one: Judged) -> dict[str, Any]:
    beside = one.from_flat
    return {
        "number": one.number,
        "clicks": one.outcome.clicks,
        "wins": one.outcome.wins,
        "spend": one.outcome.spend,
        "cost_per_click": one.outcome.cost_per_click,
        "passed": one.outcome.passed,
        "hindsight_clicks": one.hindsight_clicks,
        "from_flat": beside
        and {"clicks": beside.clicks, "interval": [beside.low, beside.high], "says": beside.verdict},
    }


def _bought(one: Strategy) -> dict[str, Any]:
    caused = one.caused
    return {
        "requests": one.requests,
        "won": one.won,
        "clicks": one.clicks,
        "spend": one.spend,
        "users": one.users,
        "returned": one.rate,
        "caused": caused
        and {
            "control": caused.control,
            "control_users": caused.control_users,
            "control_returned": caused.control_rate,
            "per_user": caused.per_user,
            "per_user_interval": caused.per_user_interval,
            "activations": caused.activations,
            "activations_interval": caused.activations_interval,
            "says": caused.verdict,
        },
        "spend_per_activation": one.per_activation,
    }


# For people


def _results(day: date, found: Sequence[Strategy]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True)
    for name in ("requests", "won", "clicks", "spend", "users", "came back", "caused", "one more cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside its control group")
    for one in found:
        caused = one.caused
        figures = [f"{one.requests:,}", f"{one.won:,}", f"{one.clicks:,}", f"{one.spend:,.2f}", f"{one.users:,}"]
        figures.append("-" if one.rate is None else f"{one.rate:.2%}")
        figures.append("-" if caused is None else _between(caused.activations, caused.activations_interval))
        figures.append("-" if one.per_activation is None else f"{one.per_activation:,.2f}")
        table.add_row(*map(Text, [one.name, *figures, caused.verdict if caused else ""]))
    return Group(
        f"Requests of four weeks, as what became of them was known at the end of {day}.",
        "",
        table,
        "",
        "caused: users who came back and would not have, with the 95 % interval, against users who were left alone by lot.",
    )


def _between(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    ends = f"{low:+,.0f}, {high:+,.0f}" if math.isfinite(low) else "not known"
    return f"{value:+,.0f} [{ends}]"


def _text(found: Comparison) -> RenderableType:
    from rich.console import Group

    return Group(
        f"{found.auction_count:,} auctions. Bids were chosen on the earlier half and judged on the later one:"
        f" {found.judged_count:,} auctions, {found.judged_clicks:,} clicks, {found.judged_price:,.0f} at market prices.",
        "",
        _table(found),
        "",
        _summary(found),
        f"more: clicks more than flat, with the 95 % interval of {found.draws:,} draws of blocks of {found.block_length:,}"
        " auctions. best: clicks of the bid that would have been best for the later half, which nobody knew.",
    )


def _table(found: Comparison) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("budget", no_wrap=True)
    for name in ("bid", "clicks", "best", "wins", "spend", "a click", "more"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside flat")
    for share, judged in found.by_budget.items():
        table.add_row(str(share))
        for one in judged:
            table.add_row(f" {one.strategy.name}", *_figures(one), *map(Text, _beside_flat(one)))
    return table


def _figures(one: Judged) -> list[str]:
    outcome = one.outcome
    figures = (one.number, outcome.clicks, one.hindsight_clicks, outcome.wins, outcome.spend, outcome.cost_per_click)
    return ["none" if figure is None else f"{figure:,.0f}" if figure >= 10 else f"{figure:,.4g}" for figure in figures]  # noqa: PLR2004 - digits


def _beside_flat(one: Judged) -> list[str]:
    beside = one.from_flat
    if beside is None:
        return []
    interval = f"{beside.clicks:+,} [{beside.low:+,.0f}, {beside.high:+,.0f}]"
    return [interval, beside.verdict.removesuffix(" from flat")]


def _summary(found: Comparison) -> str:
    from rekindle.bidding.compare import VERDICTS

    verdicts = [one.from_flat.verdict for some in found.by_budget.values() for one in some if one.from_flat]
    nothing = "" if "better" in verdicts else "Nothing beats the flat bid here. "
    said = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in VERDICTS)
    return (
        f"{nothing}Of {len(verdicts)} comparisons: {said}. Where there is no difference, one in twenty is called better or"
        " worse by chance."
    )
