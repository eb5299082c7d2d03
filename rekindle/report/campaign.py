"""The page about a campaign: what it caused, from one function of what is known of it to one self-contained HTML text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from rekindle import groups, records
from rekindle.experiments.compare import FROM_ZERO
from rekindle.report import charts, folder, words
from rekindle.report.effects import Effects, measure
from rekindle.report.gathering import sample_notes
from rekindle.report.page import Headline, css, template
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from markupsafe import Markup

    from rekindle.experiments.worth import Ratio
    from rekindle.records import Measured
    from rekindle.report.effects import Caused, Kind, OfLabel

PAGE = "result.html"

HOLDOUT = "holdout"

COUNTED = {"active": "Returns", "redeemed": "Redeemed offers"}
"""What outcomes are called; others speak for themselves."""

PER_HUNDRED = 100
"""Shares of users are said as people of a hundred: a difference of per cents is taken for a per cent of the per cents."""


@dataclass(frozen=True)
class Line:
    """An arm against the control in words: of so many users, and of all."""

    name: str
    value: str
    interval: str
    told: str
    total: str
    total_interval: str


@dataclass(frozen=True)
class Section:
    """An outcome, as it is shown."""

    of: OfLabel
    title: str
    unit: str
    lines: tuple[Line, ...]
    chart: Markup
    segments: tuple[Line, ...]
    segment_chart: Markup | None


def write_known(day: date) -> list[Path]:
    """Write the pages of all campaigns of which a day's delivery made something known; returns where they are."""
    return [write(campaign, day) for campaign in records.measured_on(day)]


def write(campaign: Measured, until: date) -> Path:
    """Write the page of a campaign to campaigns/NAME/result.html of the home, with what is known until a day."""
    path = path_of(campaign)
    path.parent.mkdir(parents=True, exist_ok=True)
    effects = measure(campaign, records.campaign_results(campaign, until))
    folder.write(path, render(effects, settings().currency, settings().margin, sample_notes()))
    return path


def unbalanced(day: date) -> list[str]:
    """Name the campaigns of which a day's delivery made something known, and whose arms are not of the sizes planned."""
    found = [(one, measure(one, records.campaign_results(one, day))) for one in records.measured_on(day)]
    return [one.campaign_id for one, effects in found if effects.ratio and effects.ratio.verdict == "alarm"]


def path_of(campaign: Measured) -> Path:
    """Return where a page is: that of the holdout among the reports, of a campaign by its name, which may be any text."""
    home = settings().home
    if campaign.kind == HOLDOUT:
        return home / "reports" / f"{HOLDOUT}.html"
    name = quote(campaign.campaign_id, safe=" ")
    return home / "campaigns" / (name.replace(".", "%2E") if set(name) <= {"."} else name) / PAGE


def pages() -> dict[str, str]:
    """Name the pages that there are, by their addresses as seen from the daily reports."""
    home = settings().home
    found = sorted(path.parent.name for path in (home / "campaigns").glob(f"*/{PAGE}"))
    of_holdout = f"{HOLDOUT}.html"
    return {
        **({of_holdout: "What all messages caused"} if (home / "reports" / of_holdout).is_file() else {}),
        **{f"../campaigns/{quote(name)}/{PAGE}": f"What {unquote(name)} caused" for name in found},
    }


def render(effects: Effects, currency: str, margin: float, notes: Sequence[str] = ()) -> str:
    """Make the page. `margin` is the share of net revenue that is left when goods are paid."""
    sections = [] if effects.is_too_small else [_section(of, currency) for of in effects.labels]
    return template("campaign.html.j2").render(
        effects=effects,
        name="The global holdout" if effects.campaign.kind == HOLDOUT else effects.campaign.campaign_id,
        finding=_finding(effects),
        sections=sections,
        responses=[] if effects.is_too_small else list(_responses(effects)),
        currency=currency,
        margin=margin,
        notes=notes,
        least=groups.SMALLEST,
        ratio_of=ratio_of,
        say=say,
        words=words,
        css=css(),
    )


def say(value: float, kind: Kind) -> str:
    """Write what one user is worth, or how many of a hundred do something."""
    return words.amount(PER_HUNDRED * value, 1) if kind == "share" else words.amount(value)


def ratio_of(ratio: Ratio | None, digits: int = 2) -> str:
    """Write a ratio with its interval, as far as there is one."""
    if ratio is None or ratio.value is None:
        return "no figure"
    value = words.amount(ratio.value, digits)
    if ratio.interval is None:
        return f"{value} (any value is possible)"
    low, high = ratio.interval
    return (
        f"{value} ({_between(words.amount(low, digits), words.amount(high, digits) if math.isfinite(high) else None)})"
    )


def _between(low: str, high: str | None) -> str:
    return f"{low} or more" if high is None else f"{low} to {high}"


def _finding(effects: Effects) -> Headline:
    returns = effects.returns or next(iter(effects.labels))
    if effects.is_too_small:
        return Headline("open", f"An arm has fewer than {groups.SMALLEST} users, so nothing is shown.")
    if effects.ratio is not None and effects.ratio.verdict == "alarm":
        return Headline("failed", effects.ratio.told)
    if not returns.caused:
        return Headline("open", "Without a control nobody knows what would have happened anyway.")
    first = returns.caused[0]
    it = "It" if len(returns.caused) == 1 else first.arm
    value, low, high = (say(v, returns.kind) for v in (first.comparison.effect.value, *first.comparison.corrected))
    what = "returns of a hundred users" if returns.kind == "share" else "of a user"
    if first.comparison.corrected[0] > 0:
        return Headline("passed", f"{it} caused {value} more {what} ({low} to {high}).")
    if first.comparison.corrected[1] < 0:
        return Headline("failed", f"{it} cost {value} {what} ({low} to {high}): those left alone did better.")
    return Headline(
        "open", f"What {it.lower() if it == 'It' else it} caused {FROM_ZERO}: {value} {what} ({low} to {high})."
    )


def _section(of: OfLabel, currency: str) -> Section:
    unit = "of a hundred users" if of.kind == "share" else f"{currency} of a user"
    return Section(
        of=of,
        title=f"{COUNTED.get(of.counts, of.counts.replace('_', ' ').capitalize())}, {of.window} after the assignment",
        unit=unit,
        lines=tuple(_line(one, one.arm, of.kind) for one in of.caused),
        chart=_drawn({one.arm: one for one in of.caused}, of.kind, f"Effect on {of.label}, {unit}"),
        segments=tuple(_line(one, name, of.kind) for name, one in _named(of)),
        segment_chart=_drawn(dict(_named(of)), of.kind, f"By segment, {unit}") if of.segments else None,
    )


def _named(of: OfLabel) -> Iterator[tuple[str, Caused]]:
    """Name the arms of each segment; a single arm needs no name."""
    for segment, some in of.segments.items():
        for one in some:
            yield (segment if len(some) == 1 else f"{segment}, {one.arm}"), one


def _drawn(found: dict[str, Caused], kind: Kind, name: str) -> Markup:
    rows = {label: (one.comparison.effect.value, one.comparison.corrected) for label, one in found.items()}
    return charts.intervals(rows, name, lambda value: say(value, kind))


def _line(one: Caused, name: str, kind: Kind) -> Line:
    low, high = one.comparison.corrected
    known = math.isfinite(high - low)
    digits = 0
    total_low, total_high = one.total_interval
    return Line(
        name=name,
        value=say(one.comparison.effect.value, kind),
        interval=f"{say(low, kind)} to {say(high, kind)}" if known else "not known",
        told=one.comparison.told,
        total=words.amount(one.total, digits),
        total_interval=f"{words.amount(total_low, digits)} to {words.amount(total_high, digits)}"
        if known
        else "not known",
    )


@dataclass(frozen=True)
class Response:
    """An arm's response beside what the claim is about, and beside what was caused."""

    arm: str
    response: str
    control: str
    ratio: str
    cost: str


def _responses(effects: Effects) -> Iterator[Response]:
    """Say what came of each arm, as a claim would: all returns count, also those of who would have come anyway."""
    returns = effects.returns
    if returns is None or not returns.arms or not returns.arms[-1].is_control:
        return
    control = returns.arms[-1].response.value
    costs = {paid.arm: paid.per_response for paid in effects.paid}
    for arm in returns.arms[:-1]:
        cost = costs.get(arm.name)
        yield Response(
            arm=arm.name,
            response=words.percent(arm.response.value),
            control=words.percent(control),
            ratio=words.amount(arm.response.value / control) if control > 0 else "\u2013",
            cost=words.amount(cost) if cost is not None else "\u2013",
        )
