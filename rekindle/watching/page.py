"""The page over time: how far each watched figure was from a week before, and which share of users had which code."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rekindle import records
from rekindle.report import charts, folder, words
from rekindle.report.index import TREND_DAYS, days_shown
from rekindle.report.page import css, template
from rekindle.settings import settings
from rekindle.watching.judging import DRIFT, SHARE, WATCHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from markupsafe import Markup

    from rekindle.records import RecordedCheck


@dataclass(frozen=True)
class Watched:
    """A figure over the days: the latest, how it went, and whether it has moved on the last day."""

    table: str
    name: str
    latest: str
    day: date
    has_moved: bool
    note: str
    chart: Markup
    rank: float
    """How far it is from its limit: 1 is at it."""


def write(day: date) -> Path:
    """Write `<home>/reports/watching/index.html` from what was recorded up to `day`, and return its path."""
    path = settings().home / "reports" / folder.WATCHING
    path.parent.mkdir(parents=True, exist_ok=True)
    found = records.checks_since(day - timedelta(TREND_DAYS - 1), f"%{WATCHED}")
    folder.write(path, render([check for check in found if check.day <= day], day))
    return path


def render(found: Sequence[RecordedCheck], day: date) -> str:
    """Make the page of checks of one or many days; the figures that have moved come first."""
    oldest = min((check.day for check in found), default=day)
    shown = days_shown(oldest, day)
    drifts = sorted(_figures(found, DRIFT, "index", shown), key=lambda one: -one.rank)
    return template("watching.html.j2", Path(__file__).parent, Path(words.__file__).parent).render(
        day=day,
        shown=shown,
        moved=[one for one in drifts if one.has_moved],
        steady=[one for one in drifts if not one.has_moved],
        shares=sorted(_figures(found, SHARE, "share", shown), key=lambda one: one.name),
        words=words,
        css=css(),
    )


def _figures(found: Iterable[RecordedCheck], prefix: str, value: str, shown: Sequence[date]) -> list[Watched]:
    by_name: dict[tuple[str, str], list[RecordedCheck]] = defaultdict(list)
    for check in found:
        if check.rule.startswith(prefix) and value in check.detail:
            by_name[check.table_name.removesuffix(WATCHED), check.rule.removeprefix(prefix)].append(check)
    return [_figure(table, name, checks, value, shown) for (table, name), checks in by_name.items()]


def _figure(table: str, name: str, checks: Sequence[RecordedCheck], value: str, shown: Sequence[date]) -> Watched:
    values = {check.day: float(check.detail[value]) for check in checks}
    last = max(checks, key=lambda check: check.day)
    limit = float(last.detail["limit"])
    is_share = value == "share"
    say = words.percent if is_share else words.amount
    distance = abs(values[last.day] - float(last.detail["before"])) if is_share else values[last.day]
    return Watched(
        table,
        name,
        say(values[last.day]),
        last.day,
        last.outcome == "failed",
        _note(last, is_share=is_share),
        charts.trend(values, shown, name, say, level=None if is_share else limit),
        distance / limit if limit else 0.0,
    )


def _note(check: RecordedCheck, *, is_share: bool) -> str:
    detail: Mapping[str, float] = check.detail
    if check.outcome == "not_judged":
        return f"too few rows for a verdict: {words.count(int(detail['rows']))}"
    if is_share:
        return f"{words.percent(detail['before'])} a week before; news from {words.percent(detail['limit'])} apart"
    return f"limit {words.amount(detail['limit'])}"
