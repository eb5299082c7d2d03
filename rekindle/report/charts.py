"""
Charts as SVG, built from figures alone: no script, no font of its own, colours from the page's style sheet.

Each has a sentence for those who cannot see it, and each mark a title for those who point at it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from rekindle.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from rekindle.report.came_true import Sums
    from rekindle.report.facts import Kind, Score

WIDTH, HEIGHT = 360, 132
"""A chart is drawn for a phone; a page that has room sets charts side by side and does not stretch them."""

FLOOR, HEAD = 108, 16
"""Marks stand on the floor; above the head is room for a figure."""

TREND_HEIGHT, TREND_FLOOR, TREND_HEAD = 72, 66, 8
TREND_SPAN = 0.2
"""A trend's height is at least this share of its highest figure."""
TOLD_DAYS = 7
"""Of more days those who cannot see a trend are told its ends and its highest, not every figure."""

MISSING_ROOM = 64
"""Beside a line, for what has no place on it."""

ROW_HEIGHT = 40
"""Of an interval with its name."""

LEAST = 1.0
"""What there is at all stays visible, be it a thousandth of the whole."""

WHOLE_FROM = 100
"""From here on amounts are read without their cents."""


def stacked_bar(parts: Mapping[str, int], says: str) -> Markup:
    """Draw one bar whose parts add up to the whole, named by the classes of the style sheet."""
    whole = sum(parts.values())
    widths = {name: max(100 * value / whole, LEAST) for name, value in parts.items() if value}
    scale, at, marks = 100 / (sum(widths.values()) or 1), 0.0, []
    for name, width in widths.items():
        title = f"{name}: {words.rows(parts[name])}"
        marks.append(_box(name, at, 0, width * scale, 8, title))
        at += width * scale
    if not marks:
        marks.append(_box("nothing", 0, 3.5, 100, 1, "no rows"))
    return _svg("bar", 100, 8, says, marks, stretches=True)


def bar(value: float, longest: float, says: str, name: str = "value") -> Markup:
    """Draw one bar that is to be compared with those above and below it."""
    width = max(100 * value / longest, LEAST / 2) if longest else LEAST / 2
    return _svg("bar", 100, 8, says, [_box("nothing", 0, 3.5, 100, 1), _box(name, 0, 0, width, 8)], stretches=True)


def days(counts: Mapping[date, int], shown: Sequence[date]) -> Markup:
    """Draw a column a day, the last one emphasised; a day without a figure has none."""
    most = max(counts.values(), default=0) or 1
    step = WIDTH / len(shown)
    marks = [_line("floor", 0, FLOOR, WIDTH, FLOOR)]
    for place, day in enumerate(shown):
        is_last = day == shown[-1]
        middle = place * step + step / 2
        if day in counts:
            height = max((FLOOR - HEAD) * counts[day] / most, LEAST)
            title = f"{words.short_day(day)}: {words.rows(counts[day])}"
            name = "value" if is_last else "before"
            marks.append(_box(name, place * step + step * 0.14, FLOOR - height, step * 0.72, height, title))
        else:
            marks.append(_text(middle, FLOOR - 4, "\u00b7", "middle"))
        if is_last or place == 0:
            anchor, at = ("end", WIDTH) if is_last else ("start", 0)
            marks.append(_text(at, FLOOR + 16, words.short_day(day), anchor))
    told = [f"{words.short_day(day)} {words.count(counts[day])}" for day in shown if day in counts]
    return _svg("chart", WIDTH, HEIGHT, f"Rows by day: {', '.join(told) or 'none'}.", marks)


def trend(
    values: Mapping[date, float],
    shown: Sequence[date],
    name: str,
    say: Callable[[float], str],
    level: float | None = None,
) -> Markup:
    """
    Draw a line over days, broken where a day has no figure; `level` is what it should be near to, and may be 0.

    The line fills the height from its lowest to its highest, but a move by a hundredth is not drawn as a high one.
    """
    found = {day: values[day] for day in shown if day in values}
    drawn = [*found.values(), *([] if level is None else [level])] or [0.0]
    lowest, highest = min(drawn), max(drawn)
    room = max(TREND_SPAN * max(abs(lowest), abs(highest)), 1e-9) - (highest - lowest)
    if room > 0:
        lowest, highest = lowest - room / 2, highest + room / 2
    step = WIDTH / max(len(shown) - 1, 1)

    def y(value: float) -> float:
        return TREND_FLOOR - (TREND_FLOOR - TREND_HEAD) * (value - lowest) / (highest - lowest)

    marks = [] if level is None else [_line("level", 0, y(level), WIDTH, y(level))]
    path, was_there = [], False
    for place, day in enumerate(shown):
        if day in found:
            path.append(f"{'L' if was_there else 'M'}{place * step:.1f} {y(found[day]):.1f}")
            if not was_there:
                path.append("h0")  # a day between gaps is a dot
        was_there = day in found
    marks.append(Markup('<path class="trend" d="{}"/>').format("".join(path)))
    if found:
        last = max(found)
        x = shown.index(last) * step
        marks.append(Markup('<circle class="last" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(x, y(found[last])))
    told = [f"{words.short_day(day)} {say(value)}" for day, value in found.items()]
    shorter = [
        *told[:1],
        *([f"at most {say(max(found.values()))}"] if len(told) > TOLD_DAYS else told[1:-1]),
        *told[-1:],
    ]
    return _svg("spark", WIDTH, TREND_HEIGHT, f"{name}: {', '.join(dict.fromkeys(shorter)) or 'nothing'}.", marks)


def histogram(score: Score) -> Markup:
    """Draw which share of the users has which score: the day as columns, the day before as a line over them."""
    labels, counts, before = _bins(score)
    shares = _shares(counts)
    outline = _shares(before)
    most = max([*shares, *outline, 0.0]) or 1.0
    step = WIDTH / len(labels)

    def top(share: float) -> float:
        return FLOOR - (FLOOR - HEAD) * share / most

    marks = [_line("floor", 0, FLOOR, WIDTH, FLOOR)]
    for place, share in enumerate(shares):
        if share:
            title = f"{labels[place]}: {words.percent(share)}, {words.users(counts[place])}"
            height = max(FLOOR - top(share), LEAST)
            marks.append(_box("value", place * step + 0.6, FLOOR - height, step - 1.2, height, title))
    if outline:
        corners = "".join(f"V{top(share):.1f}H{(place + 1) * step:.1f}" for place, share in enumerate(outline))
        marks.append(Markup('<path class="outline" d="M0 {}{}V{}"/>').format(FLOOR, Markup(corners), FLOOR))  # noqa: S704 - numbers of ours
    marks += _axis(score, step, has_below=len(labels) == len(score.edges))
    marks.append(_text(0, HEAD - 5, f"{words.percent(most)} of users at the peak", "start"))
    says, unit = f"Distribution of {score.column}", "%" if score.kind == "share" else ""
    for name, spread in (("the day", score.day), ("the day before", score.before)):
        if spread:
            mean = f"{score_value(score, spread.mean)}{unit}"
            says += f"; {name}: {words.users(spread.row_count)}, mean {mean}"
    return _svg("chart", WIDTH, HEIGHT, f"{says}.", marks)


def deciles(found: Mapping[int, Sums], kind: Kind) -> Markup:
    """Draw what came of each decile as a column, and what was predicted of it as a line across."""
    means = [mean for sums in found.values() for mean in (sums.predicted_mean, sums.actual_mean)]
    most = max([*means, 0.0]) or 1.0
    step = WIDTH / 10

    def top(mean: float) -> float:
        return FLOOR - (FLOOR - HEAD) * max(mean, 0.0) / most

    marks = [_line("floor", 0, FLOOR, WIDTH, FLOOR)]
    for n, sums in found.items():
        at = (n - 1) * step
        told = f"{words.mean(sums.predicted_mean, kind)} predicted, {words.mean(sums.actual_mean, kind)} came"
        title = f"decile {n}: {told}, {words.users(sums.users)}"
        height = max(FLOOR - top(sums.actual_mean), LEAST)
        marks.append(_box("value", at + step * 0.2, FLOOR - height, step * 0.6, height, title))
        y = top(sums.predicted_mean)
        marks.append(_line("told", at + step * 0.05, y, at + step * 0.95, y))
        marks.append(_text(at + step / 2, FLOOR + 16, str(n), "middle"))
    says = "; ".join(
        f"decile {n} predicted {words.mean(s.predicted_mean, kind)}, came {words.mean(s.actual_mean, kind)}"
        for n, s in found.items()
    )
    return _svg("chart", WIDTH, HEIGHT, f"Predicted and actual by decile: {says}.", marks)


def intervals(found: Mapping[str, tuple[float, tuple[float, float]]], name: str, say: Callable[[float], str]) -> Markup:
    """
    Draw estimates as dots within their intervals, a row each, beside a line at zero; an end that is not there runs off the edge.

    What touches the line at zero cannot be told from zero.
    """
    ends = [end for value, interval in found.values() for end in (value, *interval) if math.isfinite(end)]
    lowest, highest = min([*ends, 0.0]), max([*ends, 0.0])
    room = 0.06 * (highest - lowest) or 1.0
    lowest, highest = lowest - room, highest + room
    height = HEAD + ROW_HEIGHT * len(found)

    def x(value: float) -> float:
        return WIDTH * (min(max(value, lowest), highest) - lowest) / (highest - lowest)

    marks = [_line("level", x(0), HEAD - 4, x(0), height), _text(_within(x(0)), HEAD - 7, say(0.0), "middle")]
    told = []
    for place, (label, (value, (low, high))) in enumerate(found.items()):
        y = HEAD + ROW_HEIGHT * (place + 0.68)
        told.append(f"{label} {say(value)}, {_ends(low, high, say)}")
        if label:
            marks.append(_text(0, y - 12, label, "start"))
        marks.append(_line("told", x(low), y, x(high), y))
        marks.append(Markup('<circle class="last" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x(value), y))
    return _svg("chart intervals", WIDTH, height, f"{name}: {'; '.join(told).strip() or 'nothing'}.", marks)


def _within(x: float) -> float:
    """Keep a short text's middle so far from the edges that all of it is seen."""
    return min(max(x, 20.0), WIDTH - 20.0)


def _ends(low: float, high: float, say: Callable[[float], str]) -> str:
    if not math.isfinite(low) and not math.isfinite(high):
        return "of which nothing else is known"
    return f"between {say(low)} and {say(high)}" if math.isfinite(high) else f"{say(low)} or more"


def curve(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    says: str,
    say: Callable[[float], str],
    ends: Mapping[float, str],
) -> Markup:
    """
    Draw lines over a count that begins with 0, the first emphasised; `ends` are places on it that are named.

    Each line is of points (count, figure), in order; what it is called stands in `says`.
    """
    points = [point for line in lines.values() for point in line]
    furthest = max([x for x, _ in points], default=0.0) or 1.0
    lowest, highest = min([0.0, *(y for _, y in points)]), max([0.0, *(y for _, y in points)])
    spread = (highest - lowest) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return WIDTH * x / furthest, FLOOR - (FLOOR - HEAD) * (y - lowest) / spread

    _, zero = at(0, 0)
    marks = [_line("floor", 0, zero, WIDTH, zero)]
    for place, line in enumerate(lines.values()):
        path = "L".join("{:.1f} {:.1f}".format(*at(*point)) for point in line)
        if path:
            marks.append(Markup('<path class="{}" d="M{}"/>').format("outline" if place else "trend", path))
    for x, name in ends.items():
        across, _ = at(x, 0)
        is_late = across > WIDTH / 2
        marks.append(_line("level", across, HEAD - 8, across, FLOOR))
        marks.append(_text(across - 5 if is_late else across + 5, HEAD - 1, name, "end" if is_late else "start"))
    last = next(iter(lines.values()), ())[-1:]
    if last and all(x < furthest * 0.75 for x in ends):
        marks.append(_text(WIDTH, max(at(*last[0])[1] - 5, HEAD - 5), say(last[0][1]), "end"))
    marks.append(_text(0, FLOOR + 16, "0", "start"))
    marks.append(_text(WIDTH, FLOOR + 16, words.count(round(furthest)), "end"))
    first = next(iter(lines.values()), ())
    told = f"{say(first[0][1])} to {say(first[-1][1])}" if first else "nothing"
    return _svg("chart", WIDTH, HEIGHT, f"{says}: {told}.", marks)


@dataclass(frozen=True)
class Spot:
    """A mean with the ends of what it is a mean of."""

    name: str
    mean: float
    low: float
    high: float


def effect(
    spots: Sequence[Spot], missing: Spot | None, span: tuple[float, float], name: str, say: Callable[[float], str]
) -> Markup:
    """
    Draw means as a line within a band from low to high, over values in order, evenly spaced; what is missing stands apart.

    `span` is the lowest and the highest figure of all charts that are to be compared.
    """
    lowest, highest = min(span[0], 0.0), max(span[1], 0.0)
    spread = (highest - lowest) or 1.0
    until = WIDTH - (MISSING_ROOM if missing else 0)
    step = until / max(len(spots) - 1, 1)

    def y(value: float) -> float:
        return FLOOR - (FLOOR - HEAD) * (value - lowest) / spread

    places = [(place * step, spot) for place, spot in enumerate(spots)]
    marks = []
    if spots:
        corners = [(x, y(spot.high)) for x, spot in places] + [(x, y(spot.low)) for x, spot in reversed(places)]
        marks.append(Markup('<path class="band" d="M{}Z"/>').format("L".join(f"{x:.1f} {at:.1f}" for x, at in corners)))
    marks.append(_line("level", 0, y(0), WIDTH, y(0)))
    if spots:
        line = "L".join(f"{x:.1f} {y(spot.mean):.1f}" for x, spot in places)
        marks.append(Markup('<path class="trend" d="M{}h0"/>').format(line))
        marks += [
            _text(x, FLOOR + 16, places[at][1].name, anchor) for at, x, anchor in _named_places(len(spots), step, until)
        ]
    if missing:
        x = WIDTH - 14
        marks.append(_line("told", x, y(missing.low), x, y(missing.high)))
        marks.append(Markup('<circle class="last" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, y(missing.mean)))
        marks.append(_text(WIDTH, FLOOR + 16, "none", "end"))
    marks.append(_text(0, HEAD - 5, say(highest), "start"))
    told = [f"{spot.name}: {say(spot.mean)}" for spot in [*spots, *([missing] if missing else [])]]
    return _svg("chart", WIDTH, HEIGHT, f"{name}: {', '.join(told) or 'nothing'}.", marks)


def _named_places(count: int, step: float, until: float) -> Iterator[tuple[int, float, str]]:
    """Yield the first place, the one in the middle and the last, with how their names are set."""
    yield 0, 0.0, "start"
    if count > 2:  # noqa: PLR2004 - between two is none
        yield count // 2, count // 2 * step, "middle"
    if count > 1:
        yield count - 1, until, "end" if until > WIDTH - 1 else "middle"


def score_value(score: Score, value: float) -> str:
    """Write a mean or a percentile, in percent or in currency, with no more digits than anybody reads."""
    if score.kind == "share":
        return words.amount(100 * value, 1)
    return words.amount(value, 0 if abs(value) >= WHOLE_FROM else 2)


def _bins(score: Score) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
    """Name the bins; the one below the first edge is there only where someone is in it."""
    names = [f"{_edge(score, low)} to {_edge(score, high)}" for low, high in pairwise(score.edges)]
    counts, before = (spread.counts if spread else () for spread in (score.day, score.before))
    if any(spread[0] for spread in (counts, before) if spread):
        return [f"below {_edge(score, score.edges[0])}", *names], counts, before
    return names, counts[1:], before[1:]


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts) or 1
    return [value / whole for value in counts]


def _axis(score: Score, step: float, *, has_below: bool) -> Iterator[Markup]:
    """Label a handful of edges: shares evenly, amounts at 0 and the powers of ten."""
    every = max(1, (len(score.edges) - 1) // 4)
    for place, value in enumerate(score.edges):
        if place % every if score.kind == "share" else value and not math.log10(value).is_integer():
            continue
        at = (place + has_below) * step
        anchor = "end" if at > WIDTH - 1.5 * step else "start" if at < step else "middle"
        yield _line("floor", min(at, WIDTH - 0.5), FLOOR, min(at, WIDTH - 0.5), FLOOR + 4)
        yield _text(at, FLOOR + 17, _edge(score, score.edges[place]), anchor)


def _edge(score: Score, value: float) -> str:
    if score.kind == "share":
        return f"{100 * value:g}%"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _svg(name: str, width: int, height: int, says: str, marks: Sequence[Markup], *, stretches: bool = False) -> Markup:
    shape = Markup('<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="{}" role="img" aria-label="{}">{}</svg>')
    ratio = "none" if stretches else "xMidYMid"
    return shape.format(name, width, height, ratio, says, Markup("").join(marks))


def _box(name: str, x: float, y: float, width: float, height: float, title: str = "") -> Markup:  # noqa: PLR0917 - geometry
    shape = Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}">{}</rect>')
    told = Markup("<title>{}</title>").format(title) if title else ""
    return shape.format(name, x, y, width, height, told)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(name, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)
