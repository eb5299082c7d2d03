"""
Planning: a campaign is decided, written down and published in one transaction, before anything is sent.

A plan is never changed. The same plan again finds what it wrote; the same name with other settings is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rekindle import publishing
from rekindle.campaigns import filtering, gain, reading, strategies
from rekindle.campaigns.choosing import Arm, Terms, choose, offer_each
from rekindle.campaigns.messages import check, segments_of
from rekindle.campaigns.offers import NO_OFFER, offers
from rekindle.campaigns.power import power
from rekindle.errors import CheckFailedError, InputError
from rekindle.points import durable
from rekindle.postgres import clock, transact
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from rekindle.campaigns.choosing import Chosen
    from rekindle.campaigns.reading import Read
    from rekindle.postgres import Connection

ANY_ARM = ""
"""A message for all arms that have none of their own."""

WRITTEN = (
    "campaign_id",
    "user_id",
    "phone_hmac",
    "assigned_at",
    "arm",
    "is_control",
    "probability",
    "rank",
    "offer",
    "segment",
    "country",
    "return_probability",
    "value_if_returns",
    "expected_gain",
    "cost",
)


@dataclass(frozen=True)
class Asked:
    """What was asked for; another plan under the same name is one where any of it differs."""

    campaign: str
    day: date
    budget: float
    control_share: float
    arms: str = "treatment"
    """`name[:offer][=weight],…`"""
    offers: tuple[str, ...] | None = None
    """What the plan may pick from; None is all."""
    where: str = ""
    cost: float | None = None
    """Of one message; None is what its segments cost by country."""
    capacity: int | None = None
    min_roi: float | None = None
    min_gain: float = 0.0
    note: str = ""
    """What is said of the figures wherever they are shown: that they are simulated, say."""

    def settings(self, messages: Mapping[str, str]) -> dict[str, Any]:
        """Return it as the campaign's record has it; messages are told again by digests."""
        digests = {arm: hashlib.sha256(text.encode()).hexdigest() for arm, text in sorted(messages.items())}
        asked = {name: value for name, value in asdict(self).items() if name != "campaign"}
        return json.loads(json.dumps({**asked, "messages": digests}, default=str))


@dataclass(frozen=True)
class Planned:
    """A campaign as it is on record."""

    campaign: str
    day: date
    planned_at: datetime
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    is_new: bool
    """Whether this plan wrote it, or found it as it had been written."""
    is_written: bool
    """False of a dry run."""


def plan(asked: Asked, messages: Mapping[str, str], *, at: datetime | None = None, dry_run: bool = False) -> Planned:
    """
    Plan a campaign: choose, write campaign and assignment, publish sms.campaign_list.

    `messages` are texts by arm. `at` is when it is planned, by default now by Postgres' clock; what is simulated or
    historical gives its own. Raises InputError for a name that another plan has, and CheckFailedError for a message that
    must not be sent.
    """
    terms = _terms(asked, messages)
    _refuse_messages(terms, messages)
    wanted = asked.settings(messages)
    _refuse_name(asked.campaign)

    def work(connection: Connection) -> Planned:
        # Two plans at once would assign a user twice: each waits for the other, as publishes do.
        publishing.take_turn(connection)
        if before := _on_record(connection, asked, wanted):
            return before
        reading.refuse_other_day(connection, asked.day)
        conditions = filtering.parse(asked.where, reading.columns(connection))
        planned_at = at or clock(connection)
        cost = asked.cost
        read = reading.read(
            connection, conditions, planned_at, offers().cost_of_segment if cost is None else lambda _: cost
        )
        lift = lift_of(read)
        planned = replace(terms, prior_lift=lift.expected)
        chosen = choose(read.candidates, planned)
        summary = summarised(read, chosen, planned, lift, asked.note)
        if not dry_run:
            _write(
                connection, asked, wanted, summary, _rows(asked.campaign, read, chosen, planned, planned_at), planned_at
            )
            publishing.refresh_within(connection, ["campaign_list"], asked.day, f"plan of {asked.campaign}")
        return Planned(asked.campaign, asked.day, planned_at, wanted, summary, is_new=True, is_written=not dry_run)

    with durable("plan", asked.campaign):
        return transact(work)


def _on_record(connection: Connection, asked: Asked, wanted: Mapping[str, Any]) -> Planned | None:
    row = connection.execute(
        "select planned_for, planned_at, settings, summary from rekindle.campaign where campaign_id = %s",
        [asked.campaign],
    ).fetchone()
    if row is None:
        return None
    day, planned_at, before, summary = row
    if differing := sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name)):
        raise InputError(
            f"The campaign {asked.campaign} was planned for {day} with another {', '.join(differing)}.",
            todo="Give the new plan a name of its own: a campaign that may have been sent is never changed.",
            safe="The campaign is as it was.",
            code="campaign_exists",
        )
    return Planned(asked.campaign, day, planned_at, before, summary, is_new=False, is_written=True)


# Terms


def _terms(asked: Asked, messages: Mapping[str, str]) -> Terms:
    conf = settings()
    arms = arms_from(asked.arms, messages if asked.cost is None else {})
    names = {arm.name for arm in arms}
    if unknown := sorted({*messages} - names - {ANY_ARM}):
        raise _wrong(
            f"A message is for {', '.join(unknown)}, which is no arm; the arms are {', '.join(sorted(names))}."
        )
    given = {arm.offer.name for arm in arms if arm.offer}
    return Terms(
        campaign=asked.campaign,
        salt=conf.holdout_salt,
        budget=asked.budget,
        control_share=asked.control_share,
        arms=arms,
        offers=offers().chosen(sorted(given) if given else asked.offers),
        prior_lift=conf.prior_lift,
        margin=conf.margin,
        capacity=asked.capacity,
        min_roi=-math.inf if asked.min_roi is None else asked.min_roi,
        min_gain=asked.min_gain,
    )


def arms_from(text: str, messages: Mapping[str, str]) -> tuple[Arm, ...]:
    """
    Read `name[:offer][=weight],…`; weights are shares of those who are texted.

    Without messages each arm's is one segment. Raises InputError for what it does not understand.
    """
    arms = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        head, _, weight = part.partition("=")
        name, _, offer = head.partition(":")
        try:
            share = float(weight or 1)
        except ValueError:
            raise _wrong(f"--arms cannot be understood at {part[:60]!r}.") from None
        if not name.replace("_", "").replace("-", "").isalnum() or not 0 < share < float("inf"):
            raise _wrong(f"--arms cannot be understood at {part[:60]!r}.")
        message = messages.get(name, messages.get(ANY_ARM, ""))
        arms.append(Arm(name, share, offers().named(offer) if offer else None, segments_of(message).count))
    return tuple(arms)


def _refuse_messages(terms: Terms, messages: Mapping[str, str]) -> None:
    """A text goes to whoever is in its arms, so each offer that is given there has to make what it promises."""
    problems = []
    for arm in terms.arms:
        text = messages.get(arm.name, messages.get(ANY_ARM))
        found = [problem for offer in terms.offers_of(arm) for problem in check(text, offer).problems] if text else []
        problems += [f"{arm.name}: {problem}" for problem in dict.fromkeys(found)]
    if problems:
        raise CheckFailedError(
            f"The message must not be sent. {' '.join(problems)}",
            todo="Correct it, or let each arm that promises something give that offer: --arms plain,coupon:ten_percent",
            safe="Nothing was planned.",
            code="message_refused",
        )


def _refuse_name(name: str) -> None:
    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in "-.":
        raise _wrong("A campaign's name is made of letters, digits, -, _ and dots: it names a folder, too.")


def _wrong(what: str) -> InputError:
    return InputError(what, todo="See rekindle plan --help.", safe="Nothing was planned.", code="usage")


# What is told and written


@dataclass(frozen=True)
class Lift:
    """By which share a message without an offer raises the odds of a return, with its range."""

    expected: float
    low: float
    high: float
    is_measured: bool
    """Whether campaigns have shown it, or it is the setting."""


def lift_of(read: Read) -> Lift:
    """Return the lift that causes as much as campaigns have; while none has shown anything, the prior."""
    conf, chance = settings(), read.candidates.probability
    if read.caused is None:
        return Lift(conf.prior_lift, conf.prior_lift_low, conf.prior_lift_high, is_measured=False)
    expected, low, high = (gain.lift_that_causes(caused, chance) for caused in read.caused)
    return Lift(expected, low, high, is_measured=True)


def summarised(read: Read, chosen: Chosen, terms: Terms, lift: Lift, note: str) -> dict[str, Any]:
    """Return what the plan tells, of nobody by name: the figures of the page and of the command's answer."""
    people, conf = read.candidates, settings()
    texted = ~chosen.is_control
    lifts = (lift.low, lift.high)
    treated = people.where(chosen.place[texted])
    ours = strategies.expected(treated, chosen.offered.where(texted), lifts, terms.prior_lift)
    best = offer_each(people, terms, terms.arms[0])
    whole = people.where(chosen.place)
    size = len(chosen.place)
    up = chosen.offered.uplift
    shown = power(
        int(texted.sum()),
        size - int(texted.sum()),
        float(whole.probability.mean()) if size else 0.0,
        float(up.mean()) if size else 0.0,
    )
    names = [offer.name for offer in terms.offers]
    given = chosen.offered.offer[texted]
    arms = sorted({*chosen.arm.tolist()})
    return {
        "currency": conf.currency,
        "note": note,
        "eligible": len(people),
        "chosen": size,
        "texted": int(texted.sum()),
        "controls": size - int(texted.sum()),
        "budget": terms.budget,
        "ended_by": chosen.ended_by,
        "arms": {arm: int((chosen.arm == arm).sum()) for arm in arms},
        "offers": {name: count for place, name in enumerate(names) if (count := int((given == place).sum()))},
        "expected": _told(ours),
        "strategies": {
            name: _told(one) for name, one in strategies.compared(people, terms, lifts, ours.cost, _seed(terms)).items()
        },
        "curve": [asdict(point) for point in strategies.curve(people, best)],
        "power": asdict(shown),
        "lift": {"prior": lift.expected, "low": lift.low, "high": lift.high, "is_measured": lift.is_measured},
        "own_uplift": int((~np.isnan(people.uplift)).sum()),
    }


def _told(one: strategies.Expected) -> dict[str, Any]:
    return {**asdict(one), "gain": one.gain, "cost_per_return": one.cost_per_return}


def _seed(terms: Terms) -> int:
    return int.from_bytes(hashlib.sha256(f"random {terms.campaign} {terms.salt}".encode()).digest()[:4])


def _rows(campaign: str, read: Read, chosen: Chosen, terms: Terms, at: datetime) -> list[tuple[Any, ...]]:
    """Lay out the assignment, in the campaign's order and in the order of WRITTEN."""
    people, offered = read.candidates, chosen.offered
    names = [None if offer.name == NO_OFFER else offer.name for offer in terms.offers]
    return [
        (
            campaign,
            people.user_id[place],
            read.phone_hmac[place],
            at,
            chosen.arm[rank],
            bool(chosen.is_control[rank]),
            float(chosen.chance[rank]),
            rank + 1,
            None if chosen.is_control[rank] else names[offered.offer[rank]],
            read.segment[place],
            read.country[place],
            float(people.probability[place]),
            round(float(people.value[place]), 2),
            round(float(offered.gain[rank]), 4),
            round(float(offered.cost[rank]), 4),
        )
        for rank, place in enumerate(chosen.place.tolist())
    ]


def _write(  # noqa: PLR0917 - what a campaign's record is made of
    connection: Connection,
    asked: Asked,
    wanted: Mapping[str, Any],
    summary: Mapping[str, Any],
    rows: Sequence[tuple[Any, ...]],
    at: datetime,
) -> None:
    listed = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
    connection.execute(
        """
        insert into rekindle.campaign (campaign_id, planned_for, planned_at, settings, summary, content_digest)
        values (%s, %s, %s, %s, %s, %s)
        """,
        [asked.campaign, asked.day, at, json.dumps(wanted), json.dumps(summary, default=str), listed],
    )
    with connection.cursor().copy(f"copy rekindle.assignment ({', '.join(WRITTEN)}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)
