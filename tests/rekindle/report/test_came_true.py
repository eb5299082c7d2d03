"""What came true: sums, their interval, and which days they are of."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.records import Outcome
from rekindle.report import came_true, words
from rekindle.report.page import render

DAY = date(2017, 6, 14)
COLUMNS = list(Outcome.__dataclass_fields__)


def outcome(**fields: Any) -> Outcome:
    known = fields.get("day", DAY)
    base = {"day": known, "product": "recall", "label": "active_1_7", "scored_on": known - timedelta(10), "decile": 1}
    base |= {"is_backfilled": False, "users": 100, "predicted": 30.0, "actual": 28.0, "squared_error": 21.0}
    return Outcome(**base | fields)


def of(*outcomes: Outcome, kind: Any = "share", label: str = "active_1_7") -> came_true.CameTrue:
    return came_true.of_label("recall", label, kind, outcomes, DAY)


def test_a_week_stands_beside_the_weeks_before_it():
    """Known on the 8th to the 14th is this week; what was known before is of the weeks before."""
    found = of(
        outcome(),
        outcome(day=date(2017, 6, 8), users=300, predicted=60.0, actual=62.0),
        outcome(day=date(2017, 6, 7), users=50, predicted=25.0, actual=5.0, is_backfilled=True),
    )

    this, earlier = found.periods
    assert (this.name, this.first, this.last, this.days) == ("this week", date(2017, 5, 29), date(2017, 6, 4), 2)
    assert (this.sums.users, this.sums.predicted, this.sums.actual) == (400, 90.0, 90.0)
    assert this.sums.ratio == 1.0
    assert (earlier.sums.ratio, earlier.backfilled_days, this.backfilled_days) == (5.0, 1, 0)


def test_calibration_is_told_by_decile_of_the_latest_week():
    found = of(
        outcome(decile=2, users=10, predicted=1.0, actual=2.0),
        outcome(decile=1, users=10, predicted=6.0, actual=5.0),
        outcome(decile=1, users=10, predicted=8.0, actual=9.0, day=date(2017, 6, 13)),
        outcome(decile=1, users=10, predicted=0.0, actual=9.0, day=date(2017, 6, 1)),
    )

    assert {n: (s.predicted_mean, s.actual_mean) for n, s in found.deciles.items()} == {1: (0.7, 0.7), 2: (0.1, 0.2)}


def test_a_decile_of_fewer_than_ten_people_is_not_shown():
    """Seven days of nine people are nine people."""
    found = of(*(outcome(decile=1, users=9, day=DAY - timedelta(n)) for n in range(7)), outcome(decile=2, users=10))

    assert list(found.deciles) == [2]


def test_the_interval_adds_users_squared_and_days_as_they_are():
    """Two deciles of a day: sqrt(9 + 16) = 5; the same users a day later: 5 and 5, not 7.1. 1.96 times 10 is 19.6."""
    sums = came_true.add_up(
        outcome(decile=n, day=DAY - timedelta(back), predicted=25.0, actual=25.0, squared_error=square)
        for back in (0, 1)
        for n, square in ((1, 9.0), (2, 16.0))
    )

    assert sums.error == pytest.approx(10.0)
    assert sums.interval == pytest.approx((100 / 119.6, 100 / 80.4))


def test_nothing_that_came_has_no_ratio_and_little_has_no_upper_end():
    assert words.ratio(came_true.add_up([outcome(actual=0.0)])) == "nothing came"
    assert (
        words.ratio(came_true.add_up([outcome(predicted=3.0, actual=2.0, squared_error=4.0)])) == "1.50 (0.51 or more)"
    )


def test_words_say_what_a_chance_and_an_amount_came_to():
    assert words.came_true(of(outcome()).periods[0].sums, "share") == (
        "Of 100 users whom we gave 30%, it came true for 28."
    )
    worth = of(outcome(users=10, predicted=123.0, actual=110.5), kind="amount", label="net_revenue_31_90")
    assert words.came_true(worth.periods[0].sums, worth.kind) == "Of a user from whom we expected 12.30, 11.05 came."
    assert worth.window == "days 31 to 90"


def test_the_page_shows_each_label_and_marks_what_was_scored_later(a):
    worth = of(outcome(label="net_revenue_1_30", is_backfilled=True), kind="amount", label="net_revenue_1_30")
    html = render(a.facts(came_true=(of(outcome()), worth)))

    assert "Of 100 users whom we gave 30%, it came true for 28." in html
    assert "days 1 to 7 after the day" in html
    assert "1.07 (0.81 to 1.58)" in html
    assert html.count("scored later, with another model") == 1
    assert "Nothing is ripe yet" not in html


def test_the_page_says_in_words_that_nothing_is_ripe_yet(a):
    assert "Nothing is ripe yet" in render(a.facts())


@pytest.mark.usefixtures("database")
def test_what_is_found_is_of_published_products_and_of_five_weeks():
    rows = [
        outcome(day=known, product=product, label=label)
        for known in (DAY + timedelta(1), DAY, DAY - timedelta(34), DAY - timedelta(35))
        for product, label in (("recall", "active_1_7"), ("ltv", "net_revenue_31_90"), ("ltv", "net_revenue_1_30"))
    ]
    span = Days.between(DAY - timedelta(35), DAY + timedelta(1))
    records.replace_days("rekindle.score_outcome", span, COLUMNS, [vars(row) for row in rows])

    found = came_true.find(DAY)

    assert [(one.product, one.label, one.kind) for one in found] == [
        ("ltv", "net_revenue_1_30", "amount"),
        ("ltv", "net_revenue_31_90", "amount"),
        ("recall", "active_1_7", "share"),
    ]
    assert [(p.name, p.sums.users) for p in found[2].periods] == [("this week", 100), ("the four weeks before", 100)]


@pytest.mark.usefixtures("database")
def test_a_day_that_is_told_again_replaces_its_rows_and_no_other_days():
    for decile, known in ((1, DAY), (2, DAY), (3, DAY - timedelta(1))):
        records.replace_days(
            "rekindle.score_outcome", Days.one(known), COLUMNS, [vars(outcome(decile=decile, day=known))]
        )

    assert [o.decile for o in records.outcomes("recall", DAY - timedelta(1), DAY)] == [2, 3]
    records.replace_days("rekindle.score_outcome", Days.one(DAY), COLUMNS, [])
    assert [o.decile for o in records.outcomes("recall", DAY - timedelta(1), DAY)] == [3]
