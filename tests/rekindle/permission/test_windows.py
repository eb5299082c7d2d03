"""Send windows, held against a reference that goes through the time quarter by quarter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rekindle.permission.messaging import Country
from rekindle.permission.windows import Rules, next_window, rules
from tests.traps import trap

DEFAULT = Rules(9, 20, on_sundays=False, within=timedelta(hours=36))
LATER = timedelta(days=30)
QUARTER = timedelta(minutes=15)
"""No clock of these years is another share of an hour away from UTC."""
HOUR = timedelta(hours=1)

ZONES = (
    *("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "America/St_Johns"),
    *(
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Auckland",
        "Pacific/Kiritimati",
        "Pacific/Honolulu",
    ),
    *("America/Sao_Paulo", "Asia/Beirut", "Pacific/Chatham", "America/Havana"),
)
CALENDARS = {country: holidays.country_holidays(country) for country in ("GB", "US", "DE", "IN", "NZ", "BR")}
TIMES = st.datetimes(datetime(2017, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - the zone comes next


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def found(zones="UTC", country="GB", usual_hour=None, *, time, valid_until=None, said=DEFAULT):
    window = next_window(zones, country, usual_hour, time, valid_until or time + LATER, said)
    return window if isinstance(window, str) else (window.starts, window.ends)


def is_allowed(quarter, zones, country, said, *, on_any_day=False):
    """Ask each zone's clock and calendar."""
    for zone in zones:
        local = quarter.astimezone(ZoneInfo(zone))
        if not said.from_hour <= local.hour < said.until_hour:
            return False
        is_free = (local.weekday() == 6 and not said.on_sundays) or local.date() in CALENDARS[country]
        if is_free and not on_any_day:
            return False
    return True


def stretches(zones, country, time, said, **how):
    """Allowed stretches that are within reach, from their first quarter to the one after their last."""
    begin = (time - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    reached = [begin + n * QUARTER for n in range(24 * 4 * 4)]
    allowed, found = [is_allowed(quarter, zones, country, said, **how) for quarter in reached], []
    for quarter, now, before in zip(reached, allowed, [False, *allowed], strict=False):
        if now and not before:
            found.append([quarter, quarter + QUARTER])
        elif now:
            found[-1][1] = quarter + QUARTER
    return [(a, b) for a, b in found if b > time and a < time + said.within]


@hypothesis_settings(max_examples=60)
@given(
    time=TIMES,
    zones=st.sets(st.sampled_from(ZONES), min_size=1, max_size=3),
    country=st.sampled_from(sorted(CALENDARS)),
    hours=st.tuples(st.integers(0, 22), st.integers(1, 23)).filter(lambda hours: hours[0] < hours[1]),
    on_sundays=st.booleans(),
)
@example(time=at("2017-03-26T00:30"), zones={"Europe/London"}, country="GB", hours=(1, 3), on_sundays=True)
@example(time=at("2017-10-29T00:10"), zones={"Europe/Berlin"}, country="DE", hours=(2, 3), on_sundays=True)
@example(time=at("2017-04-01T12:00"), zones={"Australia/Lord_Howe"}, country="GB", hours=(1, 2), on_sundays=True)
@example(
    time=at("2017-06-05T03:00"),
    zones={"Asia/Kolkata", "America/St_Johns"},
    country="IN",
    hours=(9, 20),
    on_sundays=False,
)
def test_a_window_is_the_next_stretch_that_all_clocks_and_calendars_allow(time, zones, country, hours, on_sundays):
    said = Rules(*hours, on_sundays=on_sundays, within=timedelta(hours=36))
    limit = time + said.within
    possible = [(a, min(b, limit)) for a, b in stretches(zones, country, time, said)]
    expected = next((s for s in possible if s[1] - max(s[0], time) >= min(HOUR, s[1] - s[0])), "no_send_window")
    if not stretches(zones, country, time, said, on_any_day=True):
        expected = "unknown_timezone"

    assert found("|".join(sorted(zones)), country, time=time, said=said) == expected


def test_a_window_does_not_move_while_it_is_open():
    windows = {found("Europe/Berlin", "DE", time=at(f"2017-06-06T{hour:02}:17")) for hour in range(16)}

    assert windows == {(at("2017-06-06T07:00"), at("2017-06-06T18:00"))}
    assert found("Europe/Berlin", "DE", time=at("2017-06-04T12:00")) == "no_send_window", "Whit Monday follows."


def test_the_last_minutes_of_a_window_are_left_for_the_next():
    """At 03:30 UTC it is 19:30 in winter on the West Coast: a table of each morning would never offer more there."""
    assert found("America/Los_Angeles", "US", time=at("2017-12-06T03:30"), valid_until=at("2017-12-07T12:00")) == (
        at("2017-12-06T17:00"),
        at("2017-12-07T04:00"),
    )


def test_a_usual_hour_within_the_window_is_where_it_begins():
    morning = at("2017-06-06T00:00")
    ends = at("2017-06-06T19:00")

    assert found("Europe/London", usual_hour=16, time=morning) == (at("2017-06-06T16:00"), ends)
    for outside in (3, 7, 19, 23):
        assert found("Europe/London", usual_hour=outside, time=morning) == (at("2017-06-06T08:00"), ends)


def test_a_usual_hour_may_be_that_in_which_the_window_begins_or_lie_after_midnight():
    night = at("2017-06-06T00:00")
    assert found("Asia/Kolkata", "IN", usual_hour=3, time=night)[0] == at("2017-06-06T03:30")

    evening = at("2017-12-06T05:00")
    assert found("America/Los_Angeles", "US", usual_hour=2, time=evening)[0] == at("2017-12-07T02:00")
    assert found("America/Los_Angeles", "US", usual_hour=18, time=evening)[0] == at("2017-12-06T18:00")


def test_a_window_ends_with_the_permission_and_none_begins_after_it():
    morning = at("2017-06-06T00:00")

    assert found(time=morning, valid_until=at("2017-06-06T15:00")) == (at("2017-06-06T09:00"), at("2017-06-06T15:00"))
    assert found(time=morning, valid_until=at("2017-06-06T09:00")) == "no_send_window"
    over = found(time=morning, valid_until=at("2017-06-01T12:00"))
    assert over == (at("2017-06-06T09:00"), at("2017-06-06T20:00")), "What is over is expired, and that is said of it."


@trap("a missing time zone that sends")
@pytest.mark.parametrize(
    "zones", [None, "", "Etc/Unknown", "Mars/Olympus", "../../etc/passwd", "Europe/London|Atlantis"]
)
def test_a_zone_that_nobody_knows_is_no_zone(zones):
    assert found(zones, time=at("2017-06-06T00:00")) == "unknown_timezone"


def test_zones_without_a_common_hour_are_no_zone():
    assert found("Pacific/Auckland|Europe/London", "NZ", time=at("2017-06-06T00:00")) == "unknown_timezone"


def test_of_a_country_whose_holidays_nobody_knows_no_day_is_known_to_be_allowed():
    time = at("2017-06-06T00:00")
    settled = Rules(9, 20, on_sundays=False, within=DEFAULT.within, countries={"XX": Country(public_holidays="none")})

    assert found(country=None, time=time) == found(country="XX", time=time) == "no_send_window"
    assert found(country="XX", time=time, said=settled) == (at("2017-06-06T09:00"), at("2017-06-06T20:00"))


def test_a_country_may_have_hours_and_sundays_of_its_own():
    own = {"FR": Country(send_from_hour=10, send_until_hour=18), "GB": Country(send_on_sundays=True)}
    said = Rules(9, 20, on_sundays=False, within=DEFAULT.within, countries=own)
    sunday = at("2017-06-11T00:00")

    assert found("Europe/Paris", "FR", time=at("2017-06-09T00:00"), said=said) == (
        at("2017-06-09T08:00"),
        at("2017-06-09T16:00"),
    )
    assert found("Europe/London", "GB", time=sunday, said=said) == (at("2017-06-11T08:00"), at("2017-06-11T19:00"))
    assert found("Europe/London", "IE", time=sunday, said=said) == (
        at("2017-06-12T08:00"),
        at("2017-06-12T11:00") + HOUR,
    )


def test_the_rules_are_those_of_the_settings():
    said = rules()

    assert (said.hours("DE"), said.within, said.allows_sundays("DE")) == ((9, 20), timedelta(hours=36), False)
