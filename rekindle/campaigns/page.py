"""The page about a plan: a pure function from its record to one self-contained HTML text, which names nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekindle import groups
from rekindle.report import charts, words
from rekindle.report import page as reports
from rekindle.report.folder import write as write_whole
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from rekindle.campaigns.plan import Planned

FOLDER = Path(__file__).parent

LEFT_OUT = 0.01
"""Share of the people, the first ones, of whom the chart of the marginal return says nothing."""

ENDED_BY = {
    "budget": "The list ends where the budget does.",
    "capacity": "The list ends where the capacity does; there is budget left.",
    "min_roi": "The list ends where a message would bring less than the return on investment that was asked for.",
    "min_gain": "The list ends where a message would cost more than it is expected to bring; there is budget left.",
    "everyone": "Everyone who may be texted is in it; there is budget left.",
}


def render(planned: Planned) -> str:
    """Make the page."""
    summary = planned.summary
    return reports.template("plan.html.j2", FOLDER, reports.FOLDER).render(
        planned=planned,
        planned_at=words.moment(planned.planned_at),
        smallest=groups.SMALLEST,
        told=summary,
        ended_by=ENDED_BY[summary["ended_by"]],
        charts=_charts(summary),
        power=power_in_words(summary["power"]),
        words=words,
        css=reports.css(),
    )


def write(planned: Planned) -> Path:
    """Write the page of a campaign to campaigns/NAME/plan.html of the home; returns where it is."""
    folder = settings().home / "campaigns" / planned.campaign
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.html"
    write_whole(path, render(planned))
    return path


def _charts(summary: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Draw what more people bring; the dashed line is where the plan's messages end."""
    points, texted = summary["curve"], summary["texted"]
    if not points:
        return []
    by = {name: [(0.0, 0.0), *((p["texted"], p[name]) for p in points)] for name in ("returns", "value", "cost")}
    # The very first pays many times what all others do, and would press their line to the floor.
    few = LEFT_OUT * points[-1]["texted"]
    roi = [(p["texted"], p["marginal_roi"]) for p in points if p["marginal_roi"] is not None and p["texted"] > few]

    def ends(line: Sequence[tuple[float, float]], say: Callable[[float], str]) -> dict[float, str]:
        reached = [value for people, value in line if people <= texted]
        return {float(texted): f"{words.count(texted)} texted{f': {say(reached[-1])}' if reached else ''}"}

    return [
        (
            "Returns that a message causes",
            charts.curve({"r": by["returns"]}, "Returns by people texted", one_digit, ends(by["returns"], one_digit)),
        ),
        (
            f"Value of those returns, and its cost as the thin line, {summary['currency']}",
            charts.curve(
                {"v": by["value"], "c": by["cost"]},
                "Value by people texted",
                words.whole,
                ends(by["value"], words.whole),
            ),
        ),
        (
            "Return on investment of the last one texted: gain for each unit of cost",
            charts.curve(
                {"roi": roi}, "Marginal return on investment by people texted", one_digit, ends(roi, one_digit)
            ),
        ),
    ]


def one_digit(value: float) -> str:
    return words.amount(value, 1)


def power_in_words(power: Mapping[str, Any]) -> str:
    """Say in a few sentences what the campaign will be able to show."""
    expected = points(power["expected"])
    if power["detectable"] is None:
        told = "With these sizes no effect can be told from zero: one of the two groups has hardly anybody, or none."
    else:
        told = (
            f"With {words.count(power['texted'])} texted and {words.count(power['controls'])} controls, 80 of 100 such campaigns "
            f"would tell an effect of {points(power['detectable'])} from zero. We expect {expected}"
            f", which is {'enough' if power['expected'] >= power['detectable'] else 'less: it would probably not be seen'}."
        )
    if power["needed_share"] is not None:
        return f"{told} To see what we expect, a control share of {words.percent(power['needed_share'])} is needed."
    if power["needed_users"] is not None:
        return (
            f"{told} No control share is enough for what we expect: it takes {words.count(power['needed_users'])} users, "
            "half of them control. Several campaigns together, or the global holdout, will show it sooner."
        )
    return told


def points(share: float) -> str:
    """Write a difference of two shares."""
    return f"{100 * share:.2f} points"
