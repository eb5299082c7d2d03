"""
When a user may be texted: hours that are allowed in all time zones in which number and address allow the user to be.

Pure: who asks gives the time. A window has bounds of its own, so that it stays what it is from publish to publish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import product
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rekindle.permission.messaging import Country, messaging
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rekindle.settings import Settings

UNKNOWN_TIMEZONE = "unknown_timezone"
NO_SEND_WINDOW = "no_send_window"

BETWEEN_ZONES = "|"
ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)
"""Of a window that has begun so much must be left: a daily table would offer some time zones its last minutes, each day."""

SUNDAY = 6


@dataclass(frozen=True)
class Rules:
    """Quiet hours and days: by default, and by country where they differ."""

    from_hour: int
    until_hour: int
    on_sundays: bool
    within: timedelta
    countries: Mapping[str, Country] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, said: Settings, countries: Mapping[str, Country]) -> Rules:
        """Take the settings' rules."""
        within = timedelta(hours=said.window_within_hours)
        return cls(said.send_from_hour, said.send_until_hour, said.send_on_sundays, within, countries)

    def hours(self, country: str) -> tuple[int, int]:
        """From which local hour to which messages may be sent."""
        own = self.countries.get(country, Country())
        return (
            self.from_hour if own.send_from_hour is None else own.send_from_hour,
            self.until_hour if own.send_until_hour is None else own.send_until_hour,
        )

    def allows_sundays(self, country: str) -> bool:
        """Whether messages may be sent on Sundays."""
        own = self.countries.get(country, Country())
        return self.on_sundays if own.send_on_sundays is None else own.send_on_sundays

    def observes_holidays(self, country: str) -> bool:
        """Whether no messages may be sent on public holidays."""
        return self.countries.get(country, Country()).public_holidays == "observed"


@dataclass(frozen=True)
class Window:
    """A stretch of time in which a message may arrive, UTC; `timezone` is one of those that allow it."""

    starts: datetime
    ends: datetime
    timezone: str


def rules() -> Rules:
    """Read the rules: settings, and `countries` of conf/messaging.yml."""
    return Rules.of(settings(), messaging().countries)


def next_window(  # noqa: PLR0917 - what it depends on, and nothing else
    zones: str | None, country: str | None, usual_hour: int | None, at: datetime, valid_until: datetime, said: Rules
) -> Window | str:
    """
    Find the window that is open or opens next, or say by its code why there is none.

    `zones` stand with | between; `country` is the number's, whose holidays count; `usual_hour` is an hour (UTC) in
    which the window begins where it lies within. The window ends with the permission, and no later than the
    rules look ahead. Of a number without a country, or whose holidays nobody knows, no day is known to be allowed.
    """
    places = _places(zones)
    if not places:
        return UNKNOWN_TIMEZONE
    stretches = list(_common(places, said.hours(country or ""), at, said.within))
    if not stretches:
        return UNKNOWN_TIMEZONE
    # What is over anyway is `expired`: its window is asked for as if it were not.
    limit = min(at + said.within, valid_until) if valid_until > at else at + said.within
    for starts, ends in stretches:
        if not all(_is_allowed_day(starts.astimezone(zone).date(), country, said) for zone in places):
            continue
        begins = _preferred(starts, min(ends, limit), usual_hour)
        if _is_left(begins, min(ends, limit), at):
            return Window(begins, min(ends, limit), places[0].key)
    return NO_SEND_WINDOW


@cache
def _places(zones: str | None) -> tuple[ZoneInfo, ...]:
    """Return the zones; none where one of them is unknown: the user might be there."""
    names = [name for name in (zones or "").split(BETWEEN_ZONES) if name]
    try:
        return tuple(ZoneInfo(name) for name in names)
    except (KeyError, ValueError, OSError):
        return ()


Stretch = tuple[datetime, datetime]


def _common(places: tuple[ZoneInfo, ...], hours: tuple[int, int], at: datetime, within: timedelta) -> Iterator[Stretch]:
    """Yield stretches that lie in the allowed hours of all places, not over at `at` and beginning within reach."""
    first, last = (at - ONE_DAY).date(), (at + within + ONE_DAY).date()
    common = _open(places[0].key, hours, first, last)
    for place in places[1:]:
        both = product(common, _open(place.key, hours, first, last))
        common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in both if max(a, c) < min(b, d))
    yield from ((starts, ends) for starts, ends in common if ends > at and starts < at + within)


@cache
def _open(zone: str, hours: tuple[int, int], first: date, last: date) -> tuple[Stretch, ...]:
    """Return the allowed hours of a place on some days of its calendar, in order."""
    place = ZoneInfo(zone)
    days = (first + n * ONE_DAY for n in range((last - first).days + 1))
    found = [tuple(_instant(day, hour, place) for hour in hours) for day in days]
    return tuple((starts, ends) for starts, ends in found if starts < ends)


def _instant(day: date, hour: int, place: ZoneInfo) -> datetime:
    """Say when a local clock first shows a whole hour; one that it skips is over the moment that it skips it."""
    local = datetime.combine(day + (hour // 24) * ONE_DAY, time(hour % 24), place)
    return local.astimezone(UTC)


def _is_allowed_day(day: date, country: str | None, said: Rules) -> bool:
    if country is None or (day.weekday() == SUNDAY and not said.allows_sundays(country)):
        return False
    if not said.observes_holidays(country):
        return True
    known = _holidays(country, day.year)
    return known is not None and day not in known


@cache
def _holidays(country: str, year: int) -> frozenset[date] | None:
    """Return a country's public holidays; None where nobody knows them."""
    import holidays  # its names of all countries take long to load, and DAG files come by here

    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        return None


def _preferred(starts: datetime, ends: datetime, usual_hour: int | None) -> datetime:
    """Move the beginning to the usual hour where it lies within, or leave it where it is in that hour."""
    if usual_hour is None:
        return starts
    usual = starts.replace(hour=usual_hour, minute=0, second=0, microsecond=0)
    usual = usual if usual + ONE_HOUR > starts else usual + ONE_DAY
    return max(starts, usual) if usual < ends else starts


def _is_left(starts: datetime, ends: datetime, at: datetime) -> bool:
    """Whether a window is still to come, or enough of it is."""
    return starts < ends and ends - max(starts, at) >= min(ONE_HOUR, ends - starts)
