"""The page of what is watched, made of what was recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from rekindle.records import RecordedCheck
from rekindle.watching import judging, page
from tests.rekindle.report.test_page import Page, text

DAY = date(2024, 3, 31)


def recorded(day: date, table: str, results):
    at = datetime(2024, 4, 1, 4, tzinfo=UTC)
    return [
        RecordedCheck("run", day, judging.watched(table), r.rule, r.severity, r.outcome, r.failed_rows, r.detail, at)
        for r in results
    ]


def a_month():
    found = []
    for n in range(30):
        day, before = DAY - timedelta(n), DAY - timedelta(n + 7)
        move = 400 if n == 0 else 10 * (n % 3)
        features = {"recency_days": ([500 + move, 500 - move], [500, 500]), "orders_28d": ([300, 700], [310, 690])}
        found += recorded(day, "features.user", judging.drift(features, before))
        now = {"no_consent": 900, "eligible": 100} if n == 0 else {"no_consent": 300 + n, "eligible": 700 - n}
        found += recorded(day, "sms.audience", judging.shares(now, {"no_consent": 310, "eligible": 690}, before))
    return found


def test_what_has_moved_comes_first_and_is_counted():
    html = page.render(a_month(), DAY)

    assert "3 of 4 figures have moved within a week" in text(html)
    assert text(html).index("recency_days") < text(html).index("1 within its limit") < text(html).index("orders_28d")
    assert "no_consent 90.0%" in text(html)
    assert "31.0% a week before" in text(html)


def test_a_page_without_a_week_before_says_so_and_is_whole():
    html = page.render([], DAY)

    assert "Nothing to compare yet: there is no week before" in text(html)
    assert Page(html).attributes("href") == ["../index.html"]


def test_few_rows_are_shown_without_a_verdict():
    few = recorded(DAY, "sms.audience", judging.shares({"holdout": 3}, {"holdout": 4}, DAY - timedelta(7)))

    assert "too few rows for a verdict: 3" in text(page.render(few, DAY))


def test_codes_of_two_audiences_are_told_apart():
    found = [
        *recorded(DAY, "sms.audience", judging.shares({"no_consent": 900, "eligible": 100}, {"eligible": 900}, DAY)),
        *recorded(
            DAY, "sms.new_audience", judging.shares({"no_consent": 200, "eligible": 800}, {"eligible": 900}, DAY)
        ),
    ]
    said = text(page.render(found, DAY))

    first, other = said.index("sms.audience"), said.index("sms.new_audience")
    assert first < said.index("no_consent 90.0%") < other < said.index("no_consent 20.0%")
