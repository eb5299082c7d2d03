"""CTR, CVR and stay time by channel: rates of sums, with intervals by user, and nothing of a few people."""

from __future__ import annotations

import math
from datetime import date
from statistics import fmean, pstdev

import numpy as np
import pytest

from rekindle import groups, records
from rekindle.days import Days
from rekindle.records import ChannelResponse
from rekindle.report.page import render
from rekindle.report.responses import MOST_CHANNELS, find, of_rows
from tests.rekindle.report.test_page import HOSTILE, Page, text

DAY = date(2017, 6, 14)


def row(channel: str, per: list[float], y: list[float], measure: str = "ctr") -> ChannelResponse:
    """Sums over users, added up one by one."""
    pairs = list(zip(per, y, strict=True))
    return ChannelResponse(
        *(DAY, channel, measure, len(pairs), sum(per), sum(y)),
        *(sum(a * a for a, _ in pairs), sum(a * b for a, b in pairs), sum(b * b for _, b in pairs)),
    )


def users(seed: int, count: int = 300) -> tuple[list[float], list[float]]:
    """Users who differ in how much they are shown and in how readily they click."""
    draw = np.random.default_rng(seed)
    shown = draw.integers(1, 40, count)
    return shown.astype(float).tolist(), draw.binomial(shown, draw.beta(1, 9, count)).astype(float).tolist()


def test_a_rate_is_a_ratio_of_totals_whose_interval_is_of_users():
    """Against the spread of the rate over draws of users; impressions as if they were users would make it far too narrow."""
    shown, clicks = users(1)
    ((rate,),) = (one.rates for one in of_rows([row("ads", shown, clicks)]))
    draw, pairs = np.random.default_rng(2), np.array([shown, clicks])
    drawn = [pairs[1, some].sum() / pairs[0, some].sum() for some in draw.integers(0, 300, (2000, 300))]
    low, high = rate.interval

    assert rate.value == pytest.approx(sum(clicks) / sum(shown))
    assert (rate.users, rate.per) == (300, sum(shown))
    assert (high - low) / 2 == pytest.approx(1.97 * pstdev(drawn), rel=0.1)
    assert (high + low) / 2 == pytest.approx(fmean(drawn), abs=0.001)
    assert (high - low) / 2 > 1.5 * 1.96 * math.sqrt(rate.value * (1 - rate.value) / sum(shown))


def test_intervals_hold_what_they_promise():
    """Of 400 draws of users from one kind, 95 of 100 intervals contain the rate of the kind."""
    found = [of_rows([row("ads", *users(seed, 120))])[0].rates[0] for seed in range(400)]
    truth = 0.1

    assert fmean(one.interval[0] <= truth <= one.interval[1] for one in found) == pytest.approx(0.95, abs=0.035)


def test_of_a_few_people_nothing_is_said():
    nine, ten = ([5.0] * n for n in (groups.SMALLEST - 1, groups.SMALLEST))
    (one,) = of_rows([row("few", nine, nine), row("enough", ten, [1.0, *[0.0] * 9])])

    assert [rate.channel for rate in one.rates] == ["enough"]
    assert one.too_small == 1
    assert of_rows([row("few", nine, nine)]) == of_rows([]) == ()


def test_where_nothing_varies_nothing_is_known_of_the_error(a):
    (one,) = of_rows([row("ads", [3.0] * 20, [0.0] * 20)])

    assert one.rates[0].value == 0
    assert not math.isfinite(one.rates[0].interval[1])
    assert "0.00% not known" in text(render(a.facts(responses=(one,))))


def test_of_many_channels_those_with_the_most_are_shown(a):
    many = [row(f"c{n:02}", [float(n)] * 10, [1.0, *[0.0] * 9]) for n in range(1, MOST_CHANNELS + 3)]
    (one,) = of_rows(many)

    assert [rate.channel for rate in one.rates] == [f"c{n:02}" for n in range(MOST_CHANNELS + 2, 2, -1)]
    assert "2 more channels have fewer impressions." in text(render(a.facts(responses=(one,))))


def test_the_page_tells_each_measure_with_a_picture(a):
    found = of_rows(
        [
            row("ads", *users(1)),
            row("", *users(2)),
            row("few", [1.0], [1.0]),
            row("ads", *users(3), "cvr"),
            row("ads", [1.0, 2.0] * 10, [30.0, 20.0] * 10, "stay_seconds"),
        ]
    )
    html = render(a.facts(responses=found))
    page, said = Page(html), text(html)

    assert [one.name for one in found] == [
        "CTR: clicks per impression",
        "CVR: purchases per click",
        "Stay time per click",
    ]
    assert "16.7 s" in said and "not known" in said
    assert "Of 1 channel nothing is said: fewer than 10 users." in said
    pictures = [label for label in page.attributes("aria-label") if label and label.startswith("CTR: clicks per")]
    assert any("ads" in label and "between" in label for label in pictures)


def test_a_page_without_impressions_says_nothing_of_them(a):
    assert "What was shown" not in text(render(a.facts()))


def test_names_of_channels_are_escaped(a):
    html = render(a.facts(responses=of_rows([row(HOSTILE, *users(1))])))

    assert "<script" not in html
    assert HOSTILE in text(html)


@pytest.mark.usefixtures("database")
def test_reads_the_rows_of_its_own_day_and_those_that_were_written_last():
    of_day, of_another = row("ads", *users(1)), row("ads", *users(2))
    columns = list(ChannelResponse.__dataclass_fields__)
    for rows in ([of_another], [of_day]):
        records.replace_days("rekindle.channel_response", Days.one(DAY), columns, [{**one.__dict__} for one in rows])
    later = date(2017, 6, 15)
    records.replace_days("rekindle.channel_response", Days.one(later), columns, [of_another.__dict__ | {"day": later}])

    assert find(DAY) == of_rows([of_day])
    assert find(date(2017, 6, 13)) == ()
