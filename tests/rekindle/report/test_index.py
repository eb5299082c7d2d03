"""The index, made of what reports said, in figures."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rekindle.records import ReportedDay
from rekindle.report import index
from tests.rekindle.report.test_page import HOSTILE, Page, text

DAY = date(2017, 6, 14)
RECALL = {"rows": 1234, "figure": "return_probability", "kind": "share", "mean": 0.386}


def a_day(day: date = DAY, **fields: Any) -> ReportedDay:
    base = ReportedDay(day, "run", "daily", "passed", "All checks passed", 0, 0, 32.4, Decimal("4567.8"), {})
    return replace(base, **{"published": {"recall": RECALL}} | fields)


def test_a_day_is_told_with_what_was_published_at_stake_failed_warned_and_how_long_it_took():
    told = a_day(severity="warned", headline="2 warnings", warnings=2, failed_checks=1)

    html = index.render([told], {DAY}, "USD")

    assert "Wed 14 2 warnings 1,234 4,568 1 2 32.4 s" in text(html)
    assert '<a href="2017-06-14.html">Wed 14</a>' in html
    assert "14 Jun 2017: 2 warnings" in text(html)


def test_no_link_is_dead_and_no_page_is_left_out():
    """The 13th is recorded and has no page here; the page of the 12th is older than the index."""
    html = index.render([a_day(), a_day(DAY - timedelta(1))], {DAY, DAY - timedelta(2)}, "USD")
    page = Page(html)

    assert page.attributes("href") == ["2017-06-14.html", "2017-06-12.html"]
    assert "no figures: rekindle report --day 2017-06-12 writes them" in text(html)
    assert {f"2017-06-{n}" for n in (12, 13, 14)} <= set(page.attributes("id"))


def test_months_are_newest_first_and_older_ones_are_folded():
    days = [date(2017, month, n) for month in (6, 5, 3) for n in (20, 10)]

    html = index.render([a_day(day, severity="failed", warnings=1) for day in days], set(days), "USD")

    assert re.findall(r'<details class="month"( open)?>\s*<summary><b>(.*?)</b>', html) == [
        (" open", "June 2017"),
        (" open", "May 2017"),
        ("", "March 2017"),
    ]
    assert "March 2017 2 days, 2 failed , 2 warnings" in text(html)


def test_trends_are_of_the_last_ninety_days_and_of_what_is_known():
    days = [a_day(DAY - timedelta(n), warnings=n) for n in range(120)]
    days[20] = replace(days[20], came_true={"recall active_1_7": 0.97, "ltv net_revenue_1_30": None})
    days[1] = replace(days[1], published={"recall": RECALL | {"rows": 900}})
    days[100] = replace(days[100], published={"recall": RECALL | {"rows": 1}})

    read = text(index.render(days, set(), "USD"))

    assert "The 90 days from 17 Mar 2017 to 14 Jun 2017" in read
    assert "recall, rows 1,234 900 to 1,234" in read
    assert "mean return_probability 38.6% 38.6%" in read
    assert "recall, days 1 to 7: predicted/actual 0.97 25 May 0.97" in read
    assert "warnings 0 0 to 89" in read
    assert "ltv" not in read


def test_an_index_of_no_day_says_so():
    assert "No day has a report." in text(index.render([], set(), "USD"))


def test_loads_nothing_runs_nothing_and_escapes_what_it_is_told():
    told = a_day(kind=HOSTILE, headline=HOSTILE, published={HOSTILE: RECALL | {"figure": HOSTILE}})
    html = index.render([replace(told, came_true={HOSTILE: 1.0})], {DAY}, HOSTILE)
    page = Page(html)

    assert "<script" not in html and 'alert("' not in html
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    assert "default-src 'none'" in page.attributes("content")[-1]
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert set(page.attributes("aria-labelledby")) <= set(ids)


def test_ten_years_are_a_page_that_opens():
    days = [a_day(DAY - timedelta(n)) for n in range(3652)]
    begun = time.monotonic()

    html = index.render(days, {one.day for one in days}, "USD")

    assert len(html.encode()) < 4_000_000
    assert time.monotonic() - begun < 5


def test_what_a_page_says_is_said_in_figures(a):
    few = a.check(severity="warn", outcome="failed", failed_rows=1)
    broken = a.check(rule="r", outcome="failed", failed_rows=5)
    product = a.product(headline="return_probability", populations={a.day: 4})
    older = a.product(name="ltv", populations={a.yesterday: 3})

    told = index.reported(a.facts(checks=(few, broken, a.check()), products=(product, older)))

    assert (told.severity, told.headline, told.failed_checks, told.warnings) == ("failed", "Failed", 1, 1)
    assert told.published == {"recall": {"rows": 4, "figure": "return_probability", "kind": "share", "mean": 0.5}}
    assert (told.day, told.seconds, told.at_stake) == (a.day, 3.0, None)
