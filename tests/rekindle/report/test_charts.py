"""Charts: the marks are as long as the figures are large."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from rekindle.report import charts
from rekindle.report.facts import Spread


def boxes(svg: str) -> list[tuple[str, float, float]]:
    """Name, width and height of each box."""
    found = re.findall(r'<rect class="([^"]*)" x="[^"]*" y="[^"]*" width="([^"]*)" height="([^"]*)"', svg)
    return [(name, float(width), float(height)) for name, width, height in found]


def test_the_parts_of_a_bar_are_as_wide_as_their_shares():
    parts = boxes(charts.stacked_bar({"loaded": 75, "duplicates": 0, "quarantined": 25}, "orders"))

    assert parts == [("loaded", 75, 8), ("quarantined", 25, 8)]


def test_one_bad_row_in_a_million_can_be_seen():
    (_, loaded, _), (name, width, _) = boxes(charts.stacked_bar({"loaded": 999_999, "quarantined": 1}, "orders"))

    assert name == "quarantined"
    assert width > 0.9
    assert loaded + width == pytest.approx(100, abs=0.02)


def test_a_bar_of_nothing_is_a_thin_line():
    assert boxes(charts.stacked_bar({"loaded": 0, "quarantined": 0}, "users")) == [("nothing", 100, 1)]


def test_bars_can_be_compared_with_the_longest():
    assert boxes(charts.bar(5, 20, "publish"))[-1] == ("value", 25, 8)
    assert boxes(charts.bar(0, 0, "publish"))[-1][1] < 1


def test_a_day_without_a_figure_has_no_column_and_the_last_stands_out(a):
    shown = [a.day - timedelta(days=2), a.yesterday, a.day]

    svg = charts.days({shown[0]: 50, a.day: 100}, shown)

    (before, _, half), (today, _, whole) = boxes(svg)
    assert (before, today) == ("before", "value")
    assert whole == pytest.approx(2 * half, abs=0.02)
    assert "12 Jun 50, 14 Jun 100" in svg


def test_a_trend_is_broken_where_a_day_has_no_figure_and_a_lonely_day_is_a_dot(a):
    shown = [a.day - timedelta(days=n) for n in reversed(range(5))]
    values = {shown[0]: 100.0, shown[1]: 200.0, shown[4]: 150.0, a.day - timedelta(days=9): 9000.0}

    svg = charts.trend(values, shown, "rows", lambda value: f"{value:.0f}")

    (path,) = re.findall(r'<path class="trend" d="([^"]*)"', svg)
    floor, head = charts.TREND_FLOOR, charts.TREND_HEAD
    assert path == f"M0.0 {floor:.1f}h0L90.0 {head:.1f}M360.0 {(floor + head) / 2:.1f}h0"
    assert "rows: 10 Jun 100, 11 Jun 200, 14 Jun 150." in svg


def test_a_trend_that_hardly_moves_is_drawn_flat_and_a_level_is_drawn_in(a):
    shown = [a.yesterday, a.day]

    still = charts.trend({a.yesterday: 100.0, a.day: 101.0}, shown, "rows", str)
    ratio = charts.trend({a.yesterday: 1.5, a.day: 1.6}, shown, "ratio", str, level=1.0)
    nothing = charts.trend({}, shown, "rows", str)

    before, after = (float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", still))
    assert 0 < before - after < 5
    assert f'class="level" x1="0.0" y1="{charts.TREND_FLOOR:.1f}"' in ratio
    assert "rows: nothing." in nothing


def test_a_histogram_shows_shares_so_that_days_of_other_sizes_compare(a):
    svg = charts.histogram(a.score())

    (_, _, quarter), (_, _, most) = boxes(svg)
    assert most == pytest.approx(3 * quarter, abs=0.02)
    assert "0% to 40%: 25.0%, 1 user" in svg
    heights = [charts.FLOOR - float(y) for y in re.findall(r"V([\d.]+)H", svg)]
    assert heights[0] == pytest.approx(2 * quarter, abs=0.1)  # one of two users the day before, one of four on the day
    assert "75.0% of users at the peak" in svg


def test_a_histogram_without_a_day_before_has_no_line(a):
    assert "outline" not in charts.histogram(a.score(before=None))


def test_who_is_below_the_first_edge_gets_a_column_of_their_own(a):
    today = Spread(a.day, 3, -1.0, (0.0,) * 9, (2, 1, 0))
    score = a.score(column="ltv_30", kind="amount", edges=(0.0, 1.0, 10.0), day=today, before=None)

    svg = charts.histogram(score)

    assert len(boxes(svg)) == 2
    assert "below 0: 66.7%, 2 users" in svg
    assert re.findall(r"<text[^>]*>([^<]*)</text>", svg)[:3] == ["0", "1", "10"]
