"""The page about a campaign: what it caused, from sums alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from rekindle import records
from rekindle.experiments import Sums, sums_of
from rekindle.records import CampaignResult, Measured
from rekindle.report import campaign
from rekindle.report.campaign import render
from rekindle.report.effects import measure
from rekindle.settings import settings

DAY = date(2017, 6, 14)
SPRING = Measured("planned", "spring")

RETURNS, REVENUE = "active_1_7", "net_revenue_1_30"


def row(arm: str, sums: Sums, **fields) -> CampaignResult:
    """An arm of a campaign that was planned here, half of whose users are the control."""
    base = {
        "day": DAY,
        "kind": "planned",
        "campaign_id": "spring",
        "feature_day": DAY - timedelta(10),
        "label": RETURNS,
        "segment": "",
        "arm": arm,
        "is_control": arm == "control",
        "has_x": True,
        "probability": 0.5,
        "cost": 0.0 if arm == "control" else 0.04 * sums.users,
    }
    return CampaignResult(**(base | vars(sums) | fields))


def shares(users: int, share: float) -> Sums:
    """So many users, of whom a share comes back; what was expected of them says something about it."""
    place = np.arange(users) / users
    return sums_of(place < share, 0.2 + 0.3 * (place < 0.05) + 0.1 * np.sin(place))


def money(users: int, share: float, each: float = 20.0) -> Sums:
    return sums_of(each * (np.arange(users) < users * share) * (1 + np.arange(users) % 5), np.ones(users))


def rows(sent=(5_000, 0.08), control=(5_000, 0.06), **fields) -> list[CampaignResult]:
    return [row("sent", shares(*sent), **fields), row("control", shares(*control), **fields)]


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def page_of(some, notes=()) -> str:
    return text_of(render(measure(SPRING, some), "USD", 0.3, notes))


def test_says_what_was_caused_of_a_hundred_and_in_all():
    told = page_of(rows())
    (caused,) = measure(SPRING, rows()).returns.caused

    assert "It caused 2.0 more returns of a hundred users" in told
    assert caused.total == pytest.approx(0.02 * 5_000, rel=0.1)
    assert "more than the control" in told


def test_says_in_words_what_cannot_be_told_from_zero():
    told = page_of(rows(sent=(500, 0.064), control=(500, 0.06)))

    assert "What it caused cannot be told from zero" in told
    assert "returns caused cannot be told from zero, so no cost of one can be named" in told


def test_arms_of_other_sizes_than_planned_are_the_first_thing_that_is_said():
    told = page_of(rows(sent=(6_000, 0.08)))

    assert "Read no effect from it" in told
    assert "It caused" not in told


def test_a_return_that_was_caused_costs_more_than_a_return():
    (paid,) = measure(SPRING, rows()).paid

    assert paid.cost == 200
    assert paid.per_response == pytest.approx(0.5)
    assert paid.per_caused.value == pytest.approx(2.0, rel=0.1)
    assert paid.per_caused.interval[0] < 2.0 < paid.per_caused.interval[1]


def test_money_has_its_return_on_spend_and_the_claim_stands_as_a_response():
    some = [
        *rows(),
        row("sent", money(5_000, 0.09), label=REVENUE, day=DAY + timedelta(23)),
        row("control", money(5_000, 0.06), label=REVENUE, day=DAY + timedelta(23)),
    ]
    effects = measure(SPRING, some)
    told = page_of(some)

    assert effects.paid[0].on_spend.value == pytest.approx((0.09 - 0.06) * 60 / 0.04)
    assert effects.paid[0].on_spend_told == "earns more than it costs"
    assert "8% respond instead of 3%" in told and "counts who would have come anyway" in told
    assert [of.label for of in effects.labels] == [RETURNS, REVENUE]


def test_segments_are_corrected_and_no_group_under_ten_is_shown():
    some = [
        *rows(),
        *rows(sent=(3_000, 0.08), control=(3_000, 0.06), segment="lost"),
        *rows(sent=(1_991, 0.08), control=(1_991, 0.06), segment="new"),
        *rows(sent=(9, 0.5), control=(400, 0.1), segment="tiny"),
    ]
    returns = measure(SPRING, some).returns
    (lost,) = returns.segments["lost"]

    assert list(returns.segments) == ["lost", "new"]
    assert lost.comparison.comparisons == 2
    assert lost.comparison.corrected[0] < lost.comparison.interval[0]
    assert "tiny" not in page_of(some) and "1 segment is not shown" in page_of(some)


def test_of_an_arm_of_less_than_ten_nothing_is_shown():
    told = page_of(rows(sent=(9, 0.5)))

    assert "An arm has fewer than 10 users" in told
    assert "of a hundred" not in told


def test_what_goes_on_has_intervals_that_hold_at_any_look():
    holdout = Measured("holdout", "holdout")
    planned, ongoing = (
        measure(of, rows(kind=of.kind)).returns.caused[0].comparison.interval for of in (SPRING, holdout)
    )

    assert ongoing[0] < planned[0] < planned[1] < ongoing[1]
    assert "The global holdout" in text_of(render(measure(holdout, rows(kind="holdout")), "USD", 0.3))


def test_users_of_several_days_add_up():
    one, other = rows(day=DAY), rows(day=DAY + timedelta(1))
    effects = measure(Measured("elsewhere", "spring"), [*one, *other])

    assert [arm.users for arm in effects.returns.arms] == [10_000, 10_000]
    assert effects.returns.known_on == DAY + timedelta(1)


def test_a_holdout_that_grows_has_the_sizes_that_were_planned_each_time():
    holdout, later = Measured("holdout", "holdout"), {"day": DAY + timedelta(1)}
    small = rows(sent=(9_500, 0.08), control=(500, 0.06), kind="holdout")
    large = rows(sent=(9_000, 0.08), control=(1_000, 0.06), kind="holdout", **later)
    nobody = [row("sent", shares(20, 0.08), kind="holdout", day=DAY + timedelta(2), probability=0.9)]
    grown = [
        *(replace(one, probability=0.05 if one.is_control else 0.95) for one in small),
        *(replace(one, probability=0.10 if one.is_control else 0.90) for one in large),
        *nobody,
    ]
    ratio = measure(holdout, grown).ratio

    assert ratio.planned == pytest.approx({"sent": 18_518, "control": 1_502})
    assert ratio.verdict == "passed"
    assert measure(holdout, [replace(one, probability=None) for one in grown]).ratio is None


def test_without_a_control_nothing_is_claimed():
    told = page_of([row("sent", shares(500, 0.1))])

    assert "Without a control nobody knows" in told


def test_one_user_of_whom_nothing_was_expected_leaves_the_score_out():
    known, unknown = (measure(SPRING, rows(has_x=has)).returns.caused[0].comparison for has in (True, False))

    assert known.variance_ratio < 1 and unknown.variance_ratio is None
    assert unknown.effect == unknown.plain


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "spring & co"])
def test_escapes_a_name_and_says_what_is_simulated(name):
    page = render(measure(Measured("planned", name), rows()), "USD", 0.3, ["All of it is simulated."])

    assert name not in page
    assert "All of it is simulated." in page


@pytest.mark.parametrize("name", ["spring", "../../etc/passwd", "..", "a/b", "mañana"])
def test_a_page_never_lies_outside_of_the_folder_of_campaigns(name):
    path = campaign.path_of(Measured("elsewhere", name))

    assert path.resolve().parent.parent == (settings().home / "campaigns").resolve()
    assert path.name == "result.html"


def test_each_picture_says_in_words_what_it_shows():
    page = render(measure(SPRING, rows()), "USD", 0.3)

    assert re.search(r'aria-label="Effect on active_1_7, of a hundred users: sent \d\.\d, between', page)


@pytest.mark.parametrize(("sizes", "named"), [((44_700, 45_489), []), ((44_000, 46_000), ["spring"])])
def test_an_alarm_names_the_campaign_and_a_warning_does_not(monkeypatch, sizes, named):
    monkeypatch.setattr(records, "measured_on", lambda _day: [SPRING])
    sent, control = ((size, 0.07) for size in sizes)
    monkeypatch.setattr(records, "campaign_results", lambda _campaign, _until: rows(sent, control))

    assert campaign.unbalanced(DAY) == named


def test_writes_the_pages_of_what_became_known(monkeypatch, tmp_path):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    settings.cache_clear()
    monkeypatch.setattr(records, "measured_on", lambda _day: [SPRING])
    monkeypatch.setattr(records, "campaign_results", lambda _campaign, _until: rows())
    (path,) = campaign.write_known(DAY)
    listed = campaign.pages()
    settings.cache_clear()

    assert path == tmp_path / "campaigns" / "spring" / "result.html"
    assert "It caused" in path.read_text(encoding="utf-8")
    assert campaign.path_of(Measured("planned", "holdout")) != campaign.path_of(Measured("holdout", "holdout"))
    assert listed == {"../campaigns/spring/result.html": "What spring caused"}
