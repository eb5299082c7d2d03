"""
Made-up users with every combination of what can be wrong with a phone, a consent and an opt-out.

Phones are of ranges that are reserved for fiction. What the rules leave open is not drawn: two things at one time of a day
on which a number changes, or a number without a country whose user has one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import phonenumbers

from tests.reference.permission import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Row = dict[str, Any]
SOURCES = ("users", "contacts", "consents", "replies", "messages")

DAY = date(2024, 6, 15)
AT = datetime(2024, 6, 16, 3, 0, tzinfo=UTC)
"""When the audience of the day is published: a Sunday, after which Monday begins too late for the west of America."""
VALID_UNTIL = datetime(2024, 6, 18, tzinfo=UTC)
"""End of the permission that the day gives, 48 hours after it."""
AGO = (800, 60, 30, 20, 10, 3, 0)
"""Deliveries came so many days before the day."""
DAYS = tuple(DAY - timedelta(days=ago) for ago in AGO)
LONG_AGO, BEFORE, GRANTED, REPEATED, MOVED, LATELY, TODAY = DAYS

AREA_CODES = tuple(
    code
    for code in range(201, 990)
    if phonenumbers.is_valid_number(number := phonenumbers.parse(f"+1{code}5550100"))
    and phonenumbers.region_code_for_number(number) == "US"
)
STOPS = (
    "STOP",
    "stop.",
    "Stopp",
    "StopAll",
    "QUIT",
    "end",
    "REVOKE",
    "Opt out",
    "opt-out!",
    "CANCEL",
    "unsubscribe",
    "no more",
    "ok stop",
)
"""What opts out, in many spellings; what says something else does, too."""
HARMLESS = ("ok", "Thanks", "yes")


@dataclass
class Made:
    """Rows as they are made, by source and day."""

    rows: dict[str, dict[date, list[Row]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    scores: dict[str, Row] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    held_out: set[str] = field(default_factory=set)
    ids: Iterator[int] = field(default_factory=count)
    prefix: str = "u"
    """Of the ids of users and of what they do."""

    def id(self, letter: str) -> str:
        return f"{letter}{next(self.ids)} of {self.prefix.strip()}"

    def add(self, source: str, day: date, row: Row) -> None:
        self.rows[source][day].append(row)

    def consent(self, day: date, user: str, **changes: Any) -> None:
        """Deliver a complete grant, but for what is said otherwise."""
        row = {"consent_id": self.id("c"), "user_id": user, "phone": None, "message_channel": "sms"}
        row |= {"purpose": "marketing", "action": "grant", "at": noon(day), "source": "checkout", "policy_version": "3"}
        self.add("consents", day, row | changes)

    def contact(self, day: date, user: str, phone: str | None, country: str | None = None) -> None:
        self.add("contacts", day, {"user_id": user, "phone": phone, "country": country})

    def reply(self, day: date, phone: str, text: str) -> None:
        row = {"reply_id": self.id("r"), "phone": phone, "received_at": noon(day), "text": text}
        self.add("replies", day, row)

    @property
    def world(self) -> World:
        of = {name: self.rows[name] for name in SOURCES}
        return World(**of, scores=self.scores, erased=frozenset(self.erased), held_out=frozenset(self.held_out))


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


@dataclass
class User:
    """Somebody in the making: what is drawn for one question is there when the next is drawn."""

    made: Made
    draw: Random
    number: int
    phone: str | None = None
    """In E.164, where the user has one that is valid and mobile."""

    @property
    def name(self) -> str:
        return f"{self.made.prefix}{self.number}"

    @property
    def neighbour(self) -> str:
        """The phone of the user before."""
        return fictional(self.number - 1)


def fictional(number: int) -> str:
    """A phone of which nobody is called, one for each number."""
    area, line = divmod(number % (len(AREA_CODES) * 100), 100)
    return f"+1{AREA_CODES[area]}55501{line:02}"


def drawing(*seed: int) -> Random:
    return Random("/".join(map(str, seed)))  # noqa: S311 - worlds are drawn again, and keep no secret


def world(users: int, seed: int) -> World:
    """Draw so many users."""
    made = Made()
    for number in range(users):
        user = User(made, drawing(seed, number), number)
        for choices in (ADDRESSES, PHONES, GRANTS, WITHDRAWALS, REPLIES, MOVES, MESSAGES, SCORES):
            usual, *others = choices
            # One is usual in each question, so that the last codes are met, too, and any two unusual ones together.
            (usual if user.draw.random() < USUAL else user.draw.choice(others))(user)
    return made.world


USUAL = 0.78


OPTED_OUT = "opted out "
"""How users of the next world are called."""


def merged(one: World, other: World) -> World:
    """Two worlds of which no user, id or phone is the same."""

    def both(name: str) -> dict[date, list[Row]]:
        of = getattr(one, name), getattr(other, name)
        return {day: [*of[0].get(day, []), *of[1].get(day, [])] for day in sorted({*of[0], *of[1]})}

    sources = {name: both(name) for name in SOURCES}
    scores = {**one.scores, **other.scores}
    return World(**sources, scores=scores, erased=one.erased | other.erased, held_out=one.held_out | other.held_out)


def opted_out_world(phones: int) -> World:
    """Users who all may be texted, and five spellings of how each of their phones opts out."""
    made = Made(prefix=OPTED_OUT)
    for number in range(phones):
        # Nobody else's phones: those of other worlds begin at the other end of the range.
        user = User(made, drawing(number), len(AREA_CODES) * 100 - 1 - number)
        lives_in("US", None)(user)
        phone = fictional(user.number)
        made.contact(LONG_AGO, user.name, spelt(phone, number), "US")
        made.consent(GRANTED, user.name)
        usual_score(user)
        made.reply(LATELY, SENT_AS[number % 5](phone), STOPS[number % len(STOPS)])
    return made.world


SENT_AS: tuple[Callable[[str], str], ...] = (
    lambda phone: phone,
    lambda phone: phone[1:],
    lambda phone: f"00{phone[1:]}",
    lambda phone: f"{phone[:2]} ({phone[2:5]}) {phone[5:8]}-{phone[8:]}",
    lambda phone: f" {phone[:2]}-{phone[2:5]}.{phone[5:8]}.{phone[8:]} ",
)
"""Spellings in which a gateway names a number."""


def spelt(phone: str, how: int) -> str:
    """One of the ways in which people write a number of the United States."""
    area, exchange, line = phone[2:5], phone[5:8], phone[8:]
    return (
        phone,
        f"({area}) {exchange}-{line}",
        f"1-{area}-{exchange}-{line}",
        f"{phone[:2]} {area} {exchange} {line}",
    )[how % 4]


# Where a user lives


def lives_in(country: str | None, zone: str | None) -> Callable[[User], None]:
    def lives(user: User) -> None:
        row = {"user_id": user.name, "registered_at": noon(LONG_AGO), "country": country, "timezone": zone}
        user.made.add("users", LONG_AGO, row | {"channel": None, "attributes": None})

    return lives


def is_unknown(_user: User) -> None:
    """Nothing was delivered of the user, but consents."""


ADDRESSES = (
    lives_in("US", "America/New_York"),
    lives_in("US", "America/Los_Angeles"),
    lives_in("US", None),
    lives_in("DE", "Europe/Berlin"),
    lives_in("GB", None),
    lives_in("IN", "Asia/Kolkata"),
    lives_in("US", "Mars/Olympus"),
    lives_in(None, None),
    is_unknown,
)

# What a user's phone is


def mobile(user: User) -> None:
    user.phone = fictional(user.number)
    user.made.contact(LONG_AGO, user.name, spelt(user.phone, user.draw.randrange(4)), "US")


def shared(user: User) -> None:
    """The phone of another user."""
    user.phone = user.neighbour
    user.made.contact(user.draw.choice([LONG_AGO, BEFORE]), user.name, user.phone, user.draw.choice(["US", None]))


def is_written(phone: str | None, country: str | None = None, *, mobile: str | None = None) -> Callable[[User], None]:
    def writes(user: User) -> None:
        user.phone = mobile
        user.made.contact(LONG_AGO, user.name, phone, country)

    return writes


def no_contact(_user: User) -> None:
    """No contact was ever delivered."""


PHONES = (
    mobile,
    shared,
    shared,
    no_contact,
    is_written(None),
    is_written("  "),
    is_written("unknown"),
    is_written("(212) 555-0123"),
    is_written("12345", "US"),
    is_written("1.41556E+10"),
    is_written("+1 212 555 0123 ext. 12"),
    is_written("+44 7700 900123", "GB"),
    is_written("+33 6 39 98 00 01", "FR"),
    is_written("+1 800 555 0199", "US"),
    is_written("+44 20 7946 0123", "GB"),
    is_written("030 23125 123", "DE"),
    is_written("0171 3920012", "DE", mobile="+491713920012"),
    is_written("+46 70 174 06 05", mobile="+46701740605"),
    is_written("0491 570 156", "AU", mobile="+61491570156"),
)

# What a user has agreed to


def grants(on: date = GRANTED, **changes: Any) -> Callable[[User], None]:
    return lambda user: user.made.consent(on, user.name, **changes)


def both(*steps: Callable[[User], None]) -> Callable[[User], None]:
    def does(user: User) -> None:
        for step in steps:
            step(user)

    return does


def nothing(_user: User) -> None:
    """Nothing happens."""


def names(phone: Callable[[User], str | None]) -> Callable[[User], None]:
    return lambda user: user.made.consent(GRANTED, user.name, phone=phone(user))


def twice(user: User) -> None:
    """A grant that is delivered again, days later."""
    for on in (GRANTED, MOVED):
        user.made.consent(on, user.name, consent_id=f"again{user.number}", at=noon(GRANTED))


GRANTS = (
    grants(),
    nothing,
    grants(message_channel="email"),
    grants(message_channel="SMS"),
    grants(message_channel=None),
    grants(message_channel="all"),
    grants(purpose="transactional"),
    grants(purpose=None),
    grants(at=None),
    grants(source=None),
    grants(policy_version=None),
    both(grants(), grants(REPEATED, source=None)),
    both(grants(source=None), grants(REPEATED)),
    both(grants(REPEATED), grants(LATELY, at=None)),
    both(grants(), grants(LATELY, message_channel="email", source=None)),
    grants(LONG_AGO),
    both(grants(LONG_AGO), grants()),
    grants(at=noon(DAY - timedelta(days=729))),
    grants(at=noon(DAY - timedelta(days=732))),
    grants(REPEATED, at=noon(GRANTED)),
    names(lambda user: user.phone),
    names(lambda user: fictional(user.number + 7)),
    names(lambda _user: "unknown"),
    twice,
)

# How a user withdraws it


def withdraws(on: date = MOVED, **changes: Any) -> Callable[[User], None]:
    return grants(on, action="withdraw", source=None, policy_version=None, **changes)


WITHDRAWALS = (
    nothing,
    withdraws(),
    withdraws(BEFORE),
    withdraws(at=noon(GRANTED)),
    withdraws(at=None),
    withdraws(GRANTED, at=None),
    withdraws(message_channel=None),
    withdraws(purpose=""),
    withdraws(message_channel="all", purpose="ALL"),
    withdraws(message_channel=" Sms ", purpose="Marketing"),
    withdraws(message_channel="email"),
    withdraws(purpose="transactional"),
    withdraws(REPEATED, at=noon(REPEATED - timedelta(days=2))),
    both(withdraws(), grants(LATELY)),
    both(withdraws(), grants(LATELY, source=None)),
    lambda user: user.made.consent(MOVED, user.name, action="withdraw", phone=fictional(user.number + 11)),
)

# What comes back from a user's phone


def replies(texts: tuple[str, ...], *on: date) -> Callable[[User], None]:
    def comes(user: User) -> None:
        for day in on:
            phone = user.phone or fictional(user.number)
            user.made.reply(day, phone, user.draw.choice(texts))

    return comes


def replies_spelt(user: User) -> None:
    user.made.reply(REPEATED, user.draw.choice(SENT_AS)(fictional(user.number)), user.draw.choice(STOPS))


REPLIES = (
    nothing,
    replies(STOPS, REPEATED),
    replies(STOPS, BEFORE),
    replies(STOPS, GRANTED),
    replies_spelt,
    replies_spelt,
    both(replies(STOPS, REPEATED), grants(LATELY)),
    both(replies(STOPS, REPEATED), grants(LATELY, policy_version=None)),
    replies(HARMLESS, REPEATED),
    replies(HARMLESS, REPEATED, LATELY),
)

# Where the number goes


MOVES_ON = (MOVED - timedelta(days=1), LATELY + timedelta(days=1))


def moves(
    *numbers: int | None, on: tuple[date, ...] = (MOVED - timedelta(days=1), LATELY + timedelta(days=1))
) -> Callable[[User], None]:
    """A number that is another than the user's by so much, or none, is delivered; 0 is the user's own."""

    def does(user: User) -> None:
        for day, further in zip(on, numbers, strict=False):
            phone = None if further is None else fictional(user.number + further)
            user.made.contact(day, user.name, phone, "US")

    return does


MOVES = (
    nothing,
    moves(5),
    moves(5, 0),
    moves(0),
    moves(None),
    moves(None, 0),
    moves(-1),
    moves(3, on=(GRANTED - timedelta(days=1),)),
    moves(3, on=(GRANTED,)),
)

# What was sent, and what is known else


def is_sent(*hours: int, campaign: str = "campaign {}") -> Callable[[User], None]:
    """Messages of so many hours ago, each of a campaign of its own unless one is named."""

    def sends(user: User) -> None:
        for ago in hours:
            sent_at = AT - timedelta(hours=ago)
            day = min(sent_at.date(), DAY)
            row = {"message_id": user.made.id("m"), "campaign_id": campaign.format(ago), "user_id": user.name}
            row |= {"message_channel": "sms", "sent_at": sent_at, "status": "delivered", "cost": None}
            user.made.add("messages", day, row | {"arm": user.draw.choice(["treatment", "control"])})

    return sends


MESSAGES = (
    nothing,
    is_sent(100, 200, 300, 400),
    is_sent(100, 200, 300, 400, campaign="of several"),
    is_sent(100, 200, 300),
    is_sent(100, 200, 300, 24 * 31),
    is_sent(30),
    is_sent(24 * 3 + 5),
)


def scored(**changes: Any) -> Callable[[User], None]:
    usual = {"in_population": True, "expected_gain": 0.2, "valid_until": VALID_UNTIL}

    def is_scored(user: User) -> None:
        user.made.scores[user.name] = usual | changes

    return is_scored


def erased(user: User) -> None:
    usual_score(user)
    user.made.erased.add(user.name)


def held_out(user: User) -> None:
    usual_score(user)
    user.made.held_out.add(user.name)


usual_score = scored()
SCORES = (
    usual_score,
    scored(in_population=False),
    scored(expected_gain=0.0),
    scored(expected_gain=None),
    scored(expected_gain=-0.01),
    scored(valid_until=AT),
    erased,
    held_out,
    held_out,
)


def write_landing(made: World, folder: Path) -> tuple[date, ...]:
    """Deliver the rows as JSON lines, for each source on each day that any has. Returns the days."""
    sources = {name: getattr(made, name) for name in SOURCES}
    days = sorted({day for rows in sources.values() for day in rows})
    for source, rows in sources.items():
        for day in days:
            delivery = folder / source / f"day={day}"
            delivery.mkdir(parents=True)
            if lines := [json.dumps(row, default=_iso) for row in rows.get(day, [])]:
                (delivery / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (delivery / "_SUCCESS").touch()
    return tuple(days)


def _iso(at: datetime) -> str:
    return at.isoformat()


def as_deliveries(rows: dict[date, list[Row]]) -> dict[date, list[Row]]:
    """Leave out what ingestion quarantines: rows without a user, a phone or an action, and of the far future."""

    def is_loaded(row: Row) -> bool:
        at = row.get("at") or row.get("received_at")
        has_all = row.get("user_id", "") is not None and not ("reply_id" in row and row["phone"] is None)
        return has_all and row.get("action") != "maybe" and not (at and at.year > 2100)

    return {day: [row for row in of_day if is_loaded(row)] for day, of_day in rows.items()}
