"""The page about the life of users, made of figures."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from rekindle.lifecycle import page
from rekindle.lifecycle.gathering import Cohort, Flow, Lifecycle, Week
from tests.rekindle.report.test_page import text

DAY = date(2024, 3, 31)


def a_week(n: int = 0, **changes) -> Week:
    """The n-th week before the last."""
    fields = {
        "registered_users": 200,
        "referred_users": 20,
        "week_old_users": 100,
        "activated_users": 40 + n,
        "active_before_users": 1000,
        "retained_users": 600 - n,
        "active_users": 900,
        "buyers": 300,
        "net_revenue": Decimal("1234.50"),
    }
    return Week(day=DAY - timedelta(7 * n), **fields | changes)


def flows(day: date = DAY) -> list[Flow]:
    counts = {("active", "lapsed"): 300, ("active", "active"): 700, ("lapsed", "active"): 90, ("lapsed", "lapsed"): 910}
    return [Flow(day, *pair, users) for pair, users in counts.items()] + [Flow(day, "silent", "active", 9)]


def cohorts() -> list[Cohort]:
    found = []
    for month, users in ((date(2024, 1, 1), 400), (date(2024, 2, 1), 500), (date(2024, 3, 1), 9)):
        for n in range((DAY - month).days // 7):
            active = users * 6 // (10 + 2 * n)
            found.append(Cohort(month + timedelta(7 * n + 6), month, users, active, active // 2, Decimal(users * 10)))
    return found


def rendered(**changes) -> str:
    known = {"weeks": [a_week(n) for n in (2, 1, 0)], "flows": flows(), "cohorts": cohorts()}
    return page.render(Lifecycle(DAY, **known | changes), "USD")


def test_the_five_stages_are_told_week_by_week():
    said = text(rendered())

    for stage in (
        "Acquisition users registered 200",
        "Activation of a week's registrations active by now 40.0%",
        "Retention of last week's active users active again 60.0%",
        "Revenue USD net 1,23",
        "Referral of registrations were referred 10.0%",
    ):
        assert stage in said


def test_who_lapsed_and_who_returned_is_a_share_of_who_could():
    said = text(rendered())

    assert "Lapsed of the active of a week before 30.0%" in said
    assert "Returned of the lapsed of a week before 9.0%" in said


def test_nothing_is_told_of_fewer_than_ten_users():
    said = text(rendered(weeks=[a_week(active_before_users=9, buyers=9)]))

    assert "under 10" in said
    assert "March 2024" not in said.split("What became of each")[1]
    assert "Retention" not in said
    assert "USD net" not in said


def test_a_cohort_shows_each_month_since_its_registration_by_the_last_known_day():
    said = text(rendered())

    assert "January 2024 400 10.00 38% 25% 19%" in said
    assert "February 2024 500 10.00 37% 25%" in said


def test_without_anything_known_the_page_says_so():
    said = text(rendered(weeks=[], flows=[], cohorts=[]))

    assert "No week is known yet. " in said
    assert "Nothing is known of a week before." in said
    assert "No cohort is known yet." in said
