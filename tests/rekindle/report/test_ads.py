"""What ads caused, on the daily report: a picture, figures, and nothing where nobody bids."""

from __future__ import annotations

from rekindle.bidding.results import of_rows
from rekindle.report.page import render
from tests.rekindle.bidding.test_results import row
from tests.rekindle.report.test_page import HOSTILE, Page, text


def test_the_page_tells_it_with_a_picture(a):
    html = render(
        a.facts(ads=of_rows([row("recall_value", 2000, 500, "300.00"), row("recall_value_control", 400, 60)]))
    )
    labels = Page(html).attributes("aria-label")

    assert "What ads caused" in text(html) and "1.50" in text(html)
    assert any(
        "because of ads" in label and "recall_value" in label and "between" in label for label in labels if label
    )


def test_where_nobody_came_back_the_page_says_that_nothing_is_known(a):
    assert "not known" in text(render(a.facts(ads=of_rows([row("flat", 100, 0, "5"), row("control", 100, 0)]))))


def test_a_page_without_ads_says_nothing_of_them(a):
    assert "What ads caused" not in text(render(a.facts()))


def test_names_of_strategies_are_escaped(a):
    html = render(a.facts(ads=of_rows([row(HOSTILE, 100, 10), row("control", 100, 5)])))

    assert "<script" not in html
    assert HOSTILE in text(html)
