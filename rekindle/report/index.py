"""The index: a pure function from what the reports of all days said, in figures, to one self-contained HTML text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from rekindle.records import ReportedDay
from rekindle.report import charts, words
from rekindle.report.came_true import window_of
from rekindle.report.page import css, judge, template

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from markupsafe import Markup

    from rekindle.report.facts import DayFacts

TREND_DAYS = 90
"""A quarter: a season's turn is seen, and a day is still a mark of its own."""

SHOWN_MIN_DAYS = 14
"""A history of three days is not drawn as if it were a long one."""

OPEN_MONTHS = 2
"""Months that are shown unfolded: on the first of a month there is still something to see."""


NO_OTHERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Trend:
    """A figure over the last days: its latest value in words, and how it went."""

    name: str
    latest: str
    day: date
    """Of the latest value."""
    lowest: str
    highest: str
    chart: Markup


@dataclass(frozen=True)
class Line:
    """A day of the list: what its report said, and whether its page is here."""

    day: date
    told: ReportedDay | None
    """None of a page that was written before there was an index, or whose records are gone."""
    has_page: bool


@dataclass(frozen=True)
class Month:
    first: date
    lines: Sequence[Line]
    is_open: bool

    @property
    def warnings(self) -> int:
        return sum(line.told.warnings for line in self.lines if line.told)

    @property
    def failed(self) -> int:
        return sum(line.told.severity == "failed" for line in self.lines if line.told)


def reported(facts: DayFacts) -> ReportedDay:
    """Say in figures what the page about a day says."""
    judged = judge(facts)
    published = {}
    for product in facts.products:
        if (rows := product.populations.get(facts.day)) is None:
            continue
        score = next((s for s in product.scores if s.column == product.headline and s.day), None)
        published[product.name] = {
            "rows": rows,
            "figure": product.headline,
            "kind": score.kind if score else None,
            "mean": score.day.mean if score and score.day else None,
        }
    return ReportedDay(
        day=facts.day,
        run_id=facts.run.run_id,
        kind=facts.run.kind,
        severity=judged.headline.severity,
        headline=judged.headline.text,
        failed_checks=judged.outcomes["failed"],
        warnings=sum(finding.severity == "warned" for finding in judged.findings),
        seconds=sum(stage.seconds for stage in facts.stages),
        at_stake=facts.top.total if facts.top else None,
        published=published,
    )


def render(
    days: Sequence[ReportedDay], pages: Collection[date], currency: str, others: Mapping[str, str] = NO_OTHERS
) -> str:
    """Make the index of days, the newest first; those with a page link it. `others` are further pages and their titles."""
    told = {one.day: one for one in days}
    lines = [Line(day, told.get(day), day in pages) for day in sorted({*told, *pages}, reverse=True)]
    months = [
        Month(first, list(group), is_open=n < OPEN_MONTHS)
        for n, (first, group) in enumerate(groupby(lines, lambda line: line.day.replace(day=1)))
    ]
    return template("index.html.j2").render(
        lines=lines,
        months=months,
        names=list(dict.fromkeys(name for one in days for name in one.published)),
        trends=list(_trends(days, currency)),
        shown=_shown(days),
        currency=currency,
        others=others,
        words=words,
        css=css(),
    )


def _shown(days: Sequence[ReportedDay]) -> list[date]:
    """The days of the trends."""
    return days_shown(days[-1].day, days[0].day) if days else []


def days_shown(oldest: date, newest: date) -> list[date]:
    """The days of a trend: the last ones, no further back than there is something to see."""
    count = min(TREND_DAYS, max(SHOWN_MIN_DAYS, (newest - oldest).days + 1))
    return [newest - timedelta(n) for n in reversed(range(count))]


def _trends(days: Sequence[ReportedDay], currency: str) -> Iterator[Trend]:
    """Draw each figure that some of the last days have."""
    shown = _shown(days)
    recent = [one for one in days if one.day >= shown[0]] if shown else []
    for name in dict.fromkeys(name for one in recent for name in one.published):
        of_name = {one.day: one.published[name] for one in recent if name in one.published}
        yield from _trend(f"{name}, rows", {day: p["rows"] for day, p in of_name.items()}, shown, words.whole)
        figures = {day: p for day, p in of_name.items() if p["mean"] is not None}
        if figures:
            latest = figures[max(figures)]
            same = {day: p["mean"] for day, p in figures.items() if p["figure"] == latest["figure"]}
            say = partial(words.mean, kind=latest["kind"])
            yield from _trend(f"mean {latest['figure']}", same, shown, say)
    for label in sorted({label for one in recent for label in one.came_true}):
        ratios = {d.day: ratio for d in recent if (ratio := d.came_true.get(label)) is not None}
        product, _, window = label.partition(" ")
        yield from _trend(f"{product}, {window_of(window)}: predicted/actual", ratios, shown, words.amount, level=1.0)
    stakes = {one.day: float(one.at_stake) for one in recent if one.at_stake is not None}
    yield from _trend(f"value at stake, {currency}", stakes, shown, words.whole)
    yield from _trend("warnings", {one.day: one.warnings for one in recent}, shown, words.whole, level=0.0)
    yield from _trend("time of all stages", {one.day: one.seconds for one in recent}, shown, words.seconds, level=0.0)


def _trend(
    name: str,
    values: Mapping[date, float],
    shown: Sequence[date],
    say: Callable[[float], str],
    level: float | None = None,
) -> Iterator[Trend]:
    if values:
        day = max(values)
        lowest, highest = say(min(values.values())), say(max(values.values()))
        yield Trend(name, say(values[day]), day, lowest, highest, charts.trend(values, shown, name, say, level=level))
