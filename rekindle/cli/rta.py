"""The commands of rta: what bids in real-time auctions would have bought."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rekindle.cli.common import JsonOption, answer, example
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from rekindle.bidding.compare import Comparison, Judged

BUDGETS = ("1/32", "1/16", "1/8", "1/4")

rta = typer.Typer(help="About bids in real-time auctions.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    rta.command(epilog=example("rekindle rta replay ipinyou_2997_test.npz --budget 1/32 --budget 1/8"))(replay)
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


# For people


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
