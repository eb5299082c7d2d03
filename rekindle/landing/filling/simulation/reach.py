"""
How users are reached by text message, and what they have agreed to: their numbers, grants, withdrawals and opt-outs.

All of it is drawn ahead but for what users answer to messages. One element of each array is one user, in the order of ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation import fiction
from rekindle.landing.filling.simulation.chance import pick
from rekindle.landing.filling.simulation.naming import EPOCH, ids
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.population import Population

    Ordinals = NDArray[np.int64]

NONE, MOBILE, FIXED, NO_NUMBER = range(4)
KINDS = ("none", "mobile", "fixed", "malformed")
NEVER = np.int64(1 << 40)
"""The day of what does not happen …"""
MOST = np.int64(2_000_000)
"""… or not within any simulation."""


@dataclass(frozen=True)
class Reach:
    """Days are ordinals (date.toordinal), `*_us` microseconds into them."""

    begins_on: Ordinals
    """First day on which anything is delivered of the user."""
    kind: NDArray[np.int64]
    is_shared: NDArray[np.bool_]
    """Whether the number is that of the user before."""
    numbers: NDArray[np.object_]
    """National number, empty of who has none; what stands there instead of who has written none."""
    later_numbers: NDArray[np.object_]
    """The number that follows it, empty of who gives up having one."""
    country: NDArray[np.object_]
    """Country of both."""
    form: NDArray[np.intp]
    """How the user writes a number."""
    changed_on: Ordinals
    granted_on: Ordinals
    """Grants of who was there before the first day are as old as the user …"""
    renewed_on: Ordinals
    """… and most of them are given anew."""
    withdrawn_on: Ordinals
    regranted_on: Ordinals
    stopped_on: Ordinals
    """A reply says that no more is wanted; replies to messages are added while the business runs."""
    us: NDArray[np.int64]
    """Time of day of all of these but the first grant."""

    @classmethod
    def of(cls, conf: Parameters, chance: Chance, people: Population, days: Days) -> Reach:
        """Draw everything that no message causes."""
        size, phones, consents = people.size, conf.phones, conf.consents

        def lots(name: str) -> NDArray[np.float64]:
            return chance.stream("contacts", name).random(size)

        def wait(name: str, days: float) -> Ordinals:
            return 1 + chance.stream("consents", name).exponential(days, size).astype("int64")

        shares = [1 - phones.known_share, phones.mobile_share, phones.fixed_share, phones.malformed_share]
        kind = np.where(
            lots("known") < phones.known_share,
            1 + pick(lots("kind"), np.array(shares[1:])),
            NONE,
        )
        own = np.array(list(conf.population.countries), object)[people.country_of]
        is_abroad = (kind == MOBILE) & (lots("abroad") < phones.abroad_share)
        country = np.where(is_abroad, np.array(fiction.ABROAD, object)[(lots("from") < 1 / 2).astype(int)], own)
        is_shared = lots("shared") < phones.shared_share
        kind, numbers, later = _numbers(kind, country, is_shared, lots("text"))
        begins = np.maximum(people.registered_on, days.first.toordinal())

        granted = chance.stream("consents", "granted").random(size) < consents.granted_share
        is_old = people.registered_on < days.first.toordinal()
        renews = is_old & granted & (chance.stream("consents", "renews").random(size) < consents.renewed_share)
        renewed_on = np.where(renews, begins + wait("renewed", consents.renewed_after_days) - 1, NEVER)
        last = np.where(renews, renewed_on, begins)
        withdrawn_on = np.where(granted, last + wait("withdrawn", consents.withdrawn_after_days), NEVER)
        again = chance.stream("consents", "again").random(size) < consents.regranted_share
        stopped_on = np.where(
            granted & (kind == MOBILE), last + wait("stopped", conf.replies.stopped_after_days), NEVER
        )
        away = np.minimum(withdrawn_on, stopped_on)
        return cls(
            begins_on=begins,
            kind=kind,
            is_shared=is_shared & (kind == MOBILE),
            numbers=numbers,
            later_numbers=np.where(lots("gives up") < phones.given_up_share, "", later),
            country=country,
            form=pick(lots("form"), np.array(phones.forms)),
            changed_on=np.where(kind == MOBILE, begins + wait("changed", phones.changed_after_days), NEVER),
            granted_on=np.where(granted, people.registered_on, NEVER),
            renewed_on=renewed_on,
            withdrawn_on=withdrawn_on,
            regranted_on=np.where(granted & again, away + wait("regranted", consents.regranted_after_days), NEVER),
            stopped_on=stopped_on,
            # No session, and so nothing that a user does, goes on beyond the end of a day.
            us=(chance.stream("consents", "time").random(size) * (DAY_US - 60 * MINUTE_US)).astype("int64"),
        )

    def is_wanted(self, day: int) -> NDArray[np.bool_]:
        """Who agrees to messages on the morning of a day, and has a number that takes some."""
        granted = np.minimum(self.renewed_on, np.where(self.granted_on >= self.begins_on, self.granted_on, NEVER))
        closed = np.minimum(self.withdrawn_on, self.stopped_on)
        is_open = (granted < day) & ((closed >= day) | (self.regranted_on < day) & (closed < self.regranted_on))
        return is_open & (self.kind == MOBILE) & (self.changed_on >= day)

    def number(self, user: int, day: int) -> tuple[str, str]:
        """Country and national number of a user on a day; empty of who has none."""
        number = self.later_numbers[user] if self.changed_on[user] <= day else self.numbers[user]
        return self.country[user], number

    def text(self, user: int, day: int) -> str | None:
        """What the user writes as number, on a day."""
        country, number = self.number(user, day)
        if self.kind[user] == NO_NUMBER or not number:
            return number or None
        # Nobody abroad writes a number without its country.
        form = 0 if country in fiction.ABROAD else int(self.form[user])
        return fiction.written(country, number, form)

    def sender(self, user: int, day: int) -> str | None:
        """What a gateway calls the user, in E.164."""
        country, number = self.number(user, day)
        return fiction.e164(country, number) if number and self.kind[user] in (MOBILE, FIXED) else None

    def stop(self, users: NDArray[np.intp], day: int) -> None:
        """Users answer a message that they want no more."""
        self.stopped_on[users] = np.minimum(self.stopped_on[users], day)
        self.regranted_on[users] = NEVER


def _numbers(
    kind: NDArray[np.int64], country: NDArray[np.object_], is_shared: NDArray[np.bool_], text: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.object_]]:
    """
    Give out the numbers of each country in the order of users, so that more users take none from those before them.

    Who has a mobile number has the next of the range kept for when it changes. Who shares one has that of the user before.
    """
    first, later = np.full(len(kind), "", object), np.full(len(kind), "", object)
    for code in (*fiction.CALLING_CODES,):
        mobiles, landlines = fiction.mobiles(code), fiction.landlines(code)
        users = np.flatnonzero((kind == MOBILE) & (country == code))
        turn = 2 * (np.cumsum(~is_shared[users]) - 1)
        _give(first, users, turn, mobiles)
        _give(later, users, np.where(is_shared[users], -1, turn + 1), mobiles)
        fixed = np.flatnonzero((kind == FIXED) & (country == code))
        _give(first, fixed, np.arange(len(fixed)), landlines)
    malformed = np.flatnonzero(kind == NO_NUMBER)
    first[malformed] = np.array(fiction.NO_NUMBERS, object)[(text[malformed] * len(fiction.NO_NUMBERS)).astype(int)]
    return np.where(first == "", NONE, kind), first, later


def _give(to: NDArray[np.object_], users: NDArray[np.intp], turn: NDArray[np.int64], numbers: tuple[str, ...]) -> None:
    """Give numbers to those whose turn comes before they have run out."""
    gets = (turn >= 0) & (turn < len(numbers))
    if gets.any():
        to[users[gets]] = np.array(numbers, object)[turn[gets]]


def reached(reach: Reach) -> pa.Table:
    """Tell of each user what number there is, and on which days what was or will be agreed to; days that never come are null."""
    days = ("changed_on", "granted_on", "renewed_on", "withdrawn_on", "stopped_on", "regranted_on")
    users = np.arange(len(reach.kind))
    return pa.table(
        {
            "user_id": ids("u", users),
            "number": pa.array(KINDS).take(pa.array(reach.kind)),
            "has_shared_number": reach.is_shared,
            **{name: _dates(getattr(reach, name)) for name in days},
        }
    )


def _dates(days: Ordinals) -> pa.Array:
    # What is further ahead than anybody looks is not told: dates end.
    is_told = days < MOST
    return pa.array(np.where(is_told, days - EPOCH, 0).astype("int32"), pa.int32(), mask=~is_told).cast(pa.date32())
