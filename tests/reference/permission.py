"""
Who may be texted, read off docs/for-sms-tools.md in plain Python: it shares no code with what decides it in the system.

Rows are dicts as they were delivered, by source and day; all of them are rows that ingestion loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import phonenumbers
from phonenumbers import timezone

Row = Mapping[str, Any]
Deliveries = Mapping[date, Sequence[Row]]
"""Rows of a source by the day they were delivered on."""

EARLIEST = datetime.min.replace(tzinfo=UTC)
UNKNOWN_ZONE = "Etc/Unknown"
QUARTER = timedelta(minutes=15)
MOBILE = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
LAST_OF_THE_WAREHOUSE = "phone_shared_with_opted_out"


@dataclass(frozen=True)
class Rules:
    """What a business decides."""

    harmless: frozenset[str]
    """Words of replies that are no opt-out."""
    channel: str = "sms"
    purpose: str = "marketing"
    consent_valid_days: int = 730
    cap_messages: int = 4
    cap_days: int = 30
    cool_down_days: int = 3
    send_from_hour: int = 9
    send_until_hour: int = 20
    send_on_sundays: bool = False
    window_within_hours: int = 36


@dataclass(frozen=True)
class World:
    """What was delivered, and what else is known of users when the audience is published."""

    contacts: Deliveries
    consents: Deliveries
    replies: Deliveries
    messages: Deliveries
    users: Deliveries
    scores: Mapping[str, Row] = field(default_factory=dict)
    """in_population, expected_gain and valid_until, by user."""
    erased: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()


def code_by_user(world: World, day: date, rules: Rules, at: datetime | None = None) -> dict[str, str | None]:
    """
    Say the first code that matches of each user, or None of who may be texted at a time.

    Without a time: as far as deliveries alone decide it.
    """
    known = Known.of(world, day, rules)
    scored = list(world.scores) if at else sorted({row["user_id"] for row in known.consents})
    return {user: Person(known, user, at).code for user in scored}


@dataclass(frozen=True)
class Grant:
    """A consent that counts, at the time that it counts from."""

    at: datetime
    row: Row

    @property
    def is_complete(self) -> bool:
        return not any(_is_blank(self.row[name]) for name in ("at", "source", "policy_version"))


@dataclass
class Known:
    """What was known at the end of a day."""

    world: World
    day: date
    rules: Rules
    consents: list[Row]
    contacts: dict[str, list[tuple[date, Row]]]
    """Of each user, in the order of delivery."""
    users: dict[str, Row]
    grants: dict[str, list[Grant]]
    withdrawals: dict[str, list[Grant]]
    stops: list[tuple[str, datetime]]
    """Numbers, and when they said so."""

    @classmethod
    def of(cls, world: World, day: date, rules: Rules) -> Known:
        """Read all deliveries up to the day."""
        known = cls(world, day, rules, [], {}, {}, {}, {}, [])
        for on, row in _until(world.contacts, day):
            known.contacts.setdefault(row["user_id"], []).append((on, row))
        known.users = {row["user_id"]: row for _, row in _until(world.users, day)}
        for on, row in _until(world.consents, day):
            known.consents.append(row)
            # Nobody knows when: a withdrawal is then as late as it can be, and a grant as early.
            unknown = _end(on) if row["action"] == "withdraw" else EARLIEST
            consent = Grant(row["at"] or unknown, row)
            if row["action"] == "grant" and (row["message_channel"], row["purpose"]) == (rules.channel, rules.purpose):
                known.grants.setdefault(row["user_id"], []).append(consent)
            if row["action"] == "withdraw" and known.is_withdrawn(row):
                known.withdrawals.setdefault(row["user_id"], []).append(consent)
        for _, row in _until(world.replies, day):
            number = _sent_from(row["phone"])
            if number and not is_harmless(row["text"], rules.harmless):
                known.stops.append((number, row["received_at"]))
        return known

    def is_withdrawn(self, row: Row) -> bool:
        """Whether a withdrawal is one of our messages: what it leaves open is meant."""
        ours = {"message_channel": self.rules.channel, "purpose": self.rules.purpose}
        return all((row[name] or "").strip().casefold() in ("", "all", our) for name, our in ours.items())

    def states(self, user: str, at: datetime) -> list[Row]:
        """Return what was held on any part of the date: nobody knows the hour of a delivery."""
        on = at.astimezone(UTC).date()
        states = self.contacts.get(user, [])
        before = [row for day, row in states if day < on]
        return before[-1:] + [row for day, row in states if day == on]

    def held(self, user: str, at: datetime) -> set[str | None]:
        """Return the numbers among them."""
        return {_number(row["phone"], row["country"]) for row in self.states(user, at)}

    @cached_property
    def stopped(self) -> dict[str, list[datetime]]:
        """When each user's number of that time said stop."""
        by_number: dict[str, list[datetime]] = {}
        for number, at in self.stops:
            by_number.setdefault(number, []).append(at)
        found: dict[str, list[datetime]] = {}
        for user, states in self.contacts.items():
            numbers = {_number(row["phone"], row["country"]) for _, row in states}
            times = [at for n in numbers if n for at in by_number.get(n, []) if n in self.held(user, at)]
            found[user] = sorted(times)
        return found

    @cached_property
    def held_out(self) -> set[str | None]:
        """Numbers of those who are held out: so is whoever else has one of them."""
        return {Person(self, user, None).number for user in self.world.held_out} - {None}

    @cached_property
    def opted_out(self) -> dict[str, set[str | None]]:
        """Who has opted out of each number; a reply is of nobody in particular."""
        found: dict[str, set[str | None]] = {number: {None} for number, _ in self.stops}
        for user in self.contacts.keys() | self.withdrawals.keys():
            for number in self.closed_by(user) - {None}:
                found.setdefault(str(number), set()).add(user)
        return found

    def closed_by(self, user: str) -> set[str | None]:
        """Return the numbers that a user's opt-outs close while they stand: held then, held since, and named by them."""
        granted = max((grant.at for grant in self.grants.get(user, []) if grant.is_complete), default=EARLIEST)
        standing = [one for one in self.withdrawals.get(user, []) if one.at >= granted]
        times = [one.at for one in standing] + [at for at in self.stopped.get(user, []) if at >= granted]
        if not times:
            return set()
        since = [row for on, row in self.contacts.get(user, []) if on > min(times).astimezone(UTC).date()]
        # What is no number of a country that anybody knows may be that of whoever has its digits.
        numbers = {
            _number(row["phone"], row["country"]) or re.sub(r"\D", "", row["phone"] or "") or None
            for row in [*self.states(user, min(times)), *since]
        }
        return numbers.union(*(_named(one.row["phone"], self.regions(user)) for one in standing))

    @cached_property
    def assigned(self) -> dict[str, list[datetime]]:
        """When each user was assigned to campaigns, by the latest that is known of each message."""
        found: dict[str, list[datetime]] = {}
        for row in {row["message_id"]: row for _, row in _until(self.world.messages, self.day)}.values():
            found.setdefault(row["user_id"], []).append(row["sent_at"])
        return found

    def regions(self, user: str) -> set[str | None]:
        """Return the countries of which a number without one may be."""
        return {None} | {row["country"] for _, row in self.contacts.get(user, [])}


@dataclass
class Person:
    """A user at a time."""

    known: Known
    user: str
    at: datetime | None

    @property
    def code(self) -> str | None:
        """The first code that matches."""
        for code, applies in self.rules():
            if applies():
                return code
            if self.at is None and code == LAST_OF_THE_WAREHOUSE:
                break
        return None

    def rules(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        """Go through all codes in their order."""
        if self.at:
            yield "erased", lambda: self.user in self.known.world.erased
            yield "not_in_population", lambda: not self.score["in_population"]
        yield "no_consent", lambda: not self.grants and not self.known.withdrawals.get(self.user)
        yield "consent_withdrawn", self.is_withdrawn
        yield "consent_incomplete", lambda: not self.grant.is_complete
        yield "consent_stale", self.is_stale
        yield "no_phone", lambda: _is_blank(self.contact["phone"])
        yield "invalid_phone", lambda: self.number is None
        yield "not_mobile", lambda: phonenumbers.number_type(phonenumbers.parse(self.number)) not in MOBILE
        yield "phone_changed", self.is_changed
        yield LAST_OF_THE_WAREHOUSE, self.is_shared
        yield "unknown_timezone", lambda: not self.zones or not self.windows(on_any_day=True)
        yield "no_send_window", lambda: not self.windows()
        yield "frequency_cap", lambda: self.assignments(self.conf.cap_days) >= self.conf.cap_messages
        yield "recently_messaged", lambda: self.assignments(self.conf.cool_down_days) > 0
        yield "low_expected_gain", lambda: not (self.score["expected_gain"] or 0) > 0
        yield "expired", lambda: bool(self.score["valid_until"] <= self.at)
        yield "holdout", lambda: self.user in self.known.world.held_out or self.number in self.known.held_out

    @property
    def conf(self) -> Rules:
        return self.known.rules

    @property
    def score(self) -> Row:
        return self.known.world.scores[self.user]

    @property
    def grants(self) -> list[Grant]:
        return self.known.grants.get(self.user, [])

    @property
    def grant(self) -> Grant:
        """The latest; of several at one time the one that lacks something."""
        return max(self.grants, key=lambda grant: (grant.at, not grant.is_complete))

    def is_withdrawn(self) -> bool:
        """At equal times withdrawal wins."""
        withdrawn = max((one.at for one in self.known.withdrawals.get(self.user, [])), default=None)
        if withdrawn and (not self.grants or withdrawn >= self.grant.at):
            return True
        complete = max((one.at for one in self.grants if one.is_complete), default=None)
        return any(complete is None or at >= complete for at in self.known.stopped.get(self.user, []))

    def is_stale(self) -> bool:
        return _end(self.known.day) - self.grant.at > timedelta(days=self.conf.consent_valid_days)

    @property
    def contact(self) -> Row:
        states = self.known.contacts.get(self.user)
        return states[-1][1] if states else {"phone": None, "country": None}

    @property
    def number(self) -> str | None:
        """In E.164, where it is one."""
        return _number(self.contact["phone"], self.contact["country"])

    def is_changed(self) -> bool:
        """Whether the number arrived after the grant, or is not the one that the grant names."""
        named = self.grant.row["phone"]
        # What holds no digit names no number.
        if re.search(r"\d", named or "") and self.number not in _named(named, self.known.regions(self.user)):
            return True
        states = self.known.contacts[self.user]
        numbers = [_number(row["phone"], row["country"]) for _, row in states]
        arrived = states[0][0]
        for (before, now), (on, _) in zip(pairwise(numbers), states[1:], strict=True):
            arrived = on if now != before else arrived
        return arrived > self.grant.at.astimezone(UTC).date()

    def is_shared(self) -> bool:
        """Whether anybody else has opted out of the number. Who held it when it said stop has answered for themselves."""
        number = self.number
        others = set().union(*(self.known.opted_out.get(name, set()) for name in _names(str(number)))) - {self.user}
        answered = {at for at in self.known.stopped.get(self.user, []) if number in self.known.held(self.user, at)}
        is_strange = any(n == number and at not in answered for n, at in self.known.stops)
        return bool(others - {None}) or is_strange

    @property
    def zones(self) -> set[str]:
        """Where the user may be by number and address; empty where one of them says what nobody knows."""
        address = self.known.users.get(self.user, {"timezone": None, "country": None})
        by_number = set(timezone.time_zones_for_number(phonenumbers.parse(self.number)))
        if _is_blank(address["timezone"]):
            zones = by_number | zones_of_country(address["country"])
        else:
            zones = by_number | {address["timezone"]}
        return zones if all(map(_is_zone, zones)) else set()

    @property
    def country(self) -> str | None:
        return phonenumbers.region_code_for_number(phonenumbers.parse(self.number))

    def windows(self, *, on_any_day: bool = False) -> tuple[datetime, ...]:
        """Quarters of an hour in which every zone allows a message, of those that the permission leaves."""
        zones = frozenset(self.zones)
        if on_any_day:
            return allowed(zones, None, self.at, self.at + self.reach, self.conf)
        until = self.score["valid_until"]
        limit = min(self.at + self.reach, until) if until > self.at else self.at + self.reach
        return allowed(zones, self.country or "nowhere", self.at, limit, self.conf)

    @property
    def reach(self) -> timedelta:
        return timedelta(hours=self.conf.window_within_hours)

    def assignments(self, days: int) -> int:
        """Count the messages of so many days, those that controls were not sent included."""
        since = self.at - timedelta(days=days) if self.at else None
        return sum(at > since for at in self.known.assigned.get(self.user, []))


def is_harmless(text: str | None, harmless: frozenset[str]) -> bool:
    """Whether a reply says nothing but what is known to be no opt-out."""
    words = re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", (text or "").casefold())
    return bool(words) and set(words) <= harmless


@cache
def allowed(
    zones: frozenset[str], country: str | None, at: datetime, limit: datetime, rules: Rules
) -> tuple[datetime, ...]:
    """
    Quarters of an hour from a time on and before a limit, each of them in all zones; without a country on any day of the week.

    Of what has begun an hour has to be left: else who gets a table by the day is sent to in its last minutes, each day.
    """

    def is_allowed(quarter: datetime) -> bool:
        return all(_allows(zone, country, quarter, rules) for zone in zones)

    first = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    first += QUARTER if first < at else timedelta(0)
    quarters = [first + n * QUARTER for n in range(int((limit - first) / QUARTER) + 1)]
    found = [quarter for quarter in quarters if quarter < limit and is_allowed(quarter)]
    begun = list(takewhile(found.__contains__, quarters)) if is_allowed(at - timedelta(minutes=1)) else []
    has_an_hour = bool(begun) and min(begun[-1] + QUARTER, limit) - at >= timedelta(hours=1)
    return tuple(found if has_an_hour else found[len(begun) :])


def _allows(zone: str, country: str | None, at: datetime, rules: Rules) -> bool:
    local = at.astimezone(ZoneInfo(zone))
    is_hour = rules.send_from_hour <= local.hour < rules.send_until_hour
    if country is None:
        return is_hour
    is_sunday = local.weekday() == 6 and not rules.send_on_sundays
    return is_hour and not is_sunday and not _is_holiday(country, local.date())


@cache
def _is_holiday(country: str, on: date) -> bool:
    """Whether it is, or may be: where nobody knows a country's holidays, any day."""
    try:
        return on in holidays.country_holidays(country, years=on.year)
    except NotImplementedError:
        return True


@cache
def zones_of_country(country: str | None) -> set[str]:
    """Return the zones of a country in the public database of time zones."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return {zone for code, _, zone, *_ in cells if code == country}


@cache
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return name != UNKNOWN_ZONE


@cache
def _number(text: str | None, country: str | None) -> str | None:
    """E.164 of what is a valid number without an extension."""
    try:
        number = phonenumbers.parse(text or "", country)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _sent_from(text: str) -> str | None:
    """Read a number with its country, of which exports lose the plus."""
    digits = re.sub(r"\D", "", text)
    return _number(text, None) or _number(f"+{digits.removeprefix('00')}", None)


def _named(text: str | None, regions: set[str | None]) -> set[str | None]:
    """Numbers that a consent may mean."""
    return {_number(text, region) for region in regions} | {_sent_from(text or "")} - {None}


def _names(number: str) -> set[str]:
    """E.164, and the digits by which it may be named: with its country, without, and as it is dialled within."""
    parsed = phonenumbers.parse(number)
    dialled = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    within = {phonenumbers.national_significant_number(parsed), re.sub(r"\D", "", dialled)}
    return {number, number.removeprefix("+")} | within


def _is_blank(value: object) -> bool:
    return value is None or not str(value).strip()


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _until(deliveries: Deliveries, day: date) -> Iterator[tuple[date, Row]]:
    """Rows delivered up to a day, in the order of delivery."""
    return ((on, row) for on in sorted(deliveries) if on <= day for row in deliveries[on])
