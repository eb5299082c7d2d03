"""
Auctions of ads: whom ad exchanges ask for, what is bid for them, and what an ad that is shown changes.

An exchange asks for whoever is about elsewhere, which has nothing to do with what users do here; so who is asked for does not
depend on what ads have done, and those of one strategy can be compared with those of another and with the controls. Each user
is of one strategy for good, by lot, and is asked for at most once in as many days as a return is awaited. So each return that is
awaited is that of one auction, and their sum over a strategy is what it has caused.

An ad that is shown moves its user as a share of a message would, and most are not moved at all. Who clicks on ads is rather
who comes anyway. Others know so much of a user's chance of a click that market prices follow it; of what an ad would change
they know nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.chance import pick
from rekindle.landing.filling.simulation.naming import ids, numbers
from rekindle.landing.filling.simulation.population import DEVICES, MINUTE_US
from rekindle.landing.filling.simulation.truth import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.lives import Lives
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.population import Population

NAME = "auctions"
"""Begins the names of all its streams."""
ID_TYPES = ("gaid", "idfa")
"""Kinds of advertising id: of Android's and of Apple's devices."""
MILLIONTHS = 1_000_000
"""Bids and prices are whole millionths of the currency."""
CHANCE_MOST = 0.5
"""Neither a chance of a click nor what is predicted of it is higher."""


def _none() -> NDArray[Any]:
    return np.zeros(0, int)


@dataclass(frozen=True)
class Asked:
    """Whom exchanges ask for on a day, in the order of their ids, a request each, and what comes of it."""

    users: NDArray[np.intp] = field(default_factory=_none)
    device: NDArray[np.intp] = field(default_factory=_none)
    """Which of the user's devices it is: 0, 1."""
    us: NDArray[np.int64] = field(default_factory=_none)
    """Microseconds into the day."""
    strategy_of: NDArray[np.intp] = field(default_factory=_none)
    """Position in the list of strategies."""
    click_probability: NDArray[np.float64] = field(default_factory=_none)
    """Of the ad, if it is shown."""
    predicted: NDArray[np.float64] = field(default_factory=_none)
    """What a model makes of that chance before the auction."""
    market_price: NDArray[np.int64] = field(default_factory=_none)
    """Highest bid of the others, in millionths: what the winner pays."""
    bid: NDArray[np.int64] = field(default_factory=_none)
    """In millionths; 0 where none is made."""
    clicked: NDArray[np.bool_] = field(default_factory=_none)
    """Whether the ad is clicked on if it is shown."""

    @property
    def is_shown(self) -> NDArray[np.bool_]:
        """Whether our bid won: a second-price auction, in which a tie is ours."""
        return (self.bid > 0) & (self.bid >= self.market_price)

    @property
    def shown(self) -> NDArray[np.intp]:
        """Who is shown an ad."""
        return self.users[self.is_shown]


@dataclass(frozen=True)
class Auctions:
    """What exchanges know of the users, and what we have drawn for them. One element of each array is one user."""

    conf: Parameters
    chance: Chance
    people: Population
    devices: NDArray[np.int64]
    """How many there are: 0, 1 or 2."""
    phase: NDArray[np.int64]
    """On which of the days between two returns exchanges may ask for the user."""
    strategy_of: NDArray[np.intp]
    clicks: NDArray[np.float64]
    """Chance of a click on an ad that is shown."""

    @classmethod
    def of(cls, conf: Parameters, chance: Chance, people: Population) -> Auctions:
        """Draw devices, strategies and who clicks on ads."""
        auctions, size = conf.auctions, people.size

        def lot(name: str) -> NDArray[np.float64]:
            return chance.stream(NAME, name).random(size)

        has_one = lot("device") < auctions.device_share
        has_two = has_one & (lot("second device") < auctions.second_device_share)
        spread = auctions.click_spread
        scatter = np.exp(spread * chance.stream(NAME, "clicks").standard_normal(size) - spread**2 / 2)
        wakes = (people.wake / conf.activity.dormant_rate_mean) ** auctions.click_wake
        return cls(
            conf,
            chance,
            people,
            has_one.astype("int64") + has_two,
            chance.stream(NAME, "phase").integers(0, conf.truth.return_days, size),
            pick(lot("strategy"), np.array([strategy.share for strategy in auctions.strategies.values()])),
            np.minimum(auctions.click_mean * wakes * scatter, CHANCE_MOST),
        )

    def asked(self, day: date) -> Asked:
        """Draw whom exchanges ask for on a day, what others bid, and the lot of our bids."""
        conf, people = self.conf.auctions, self.people

        def stream(name: str) -> np.random.Generator:
            return self.chance.stream(NAME, day, name)

        is_turn = (day.toordinal() - self.phase) % self.conf.truth.return_days == 0
        is_there = (people.registered_on < day.toordinal()) & (self.devices > 0)
        users = np.flatnonzero(is_there & is_turn & (stream("asked").random(people.size) < conf.asked_share))
        count, noise = len(users), conf.predicted_noise
        scatter = np.exp(noise * stream("predicted").standard_normal(count) - noise**2 / 2)
        predicted = np.minimum(self.clicks[users] * scatter, CHANCE_MOST)
        relative = predicted / conf.click_mean
        price = conf.price_median * relative**conf.price_follows
        price *= np.exp(conf.price_spread * stream("price").standard_normal(count))
        of = self.strategy_of[users]
        strategies = list(conf.strategies.values())
        base = np.array([strategy.bid for strategy in strategies])[of]
        exponent = np.array([strategy.exponent for strategy in strategies])[of]
        return Asked(
            users,
            (stream("device").random(count) * self.devices[users]).astype(np.intp),
            (stream("when").random(count) * conf.minutes * MINUTE_US).astype("int64"),
            of,
            self.clicks[users],
            predicted,
            np.maximum(np.rint(price * MILLIONTHS), 1).astype("int64"),
            np.rint(base * relative**exponent * MILLIONTHS).astype("int64"),
            stream("clicked").random(count) < self.clicks[users],
        )

    def id_types(self, users: NDArray[np.intp], device: NDArray[np.intp]) -> pa.Array:
        """Name the kind of each user's device: the first is what the user registered with, a second of the other kind."""
        is_apple = self.people.device_of[users] == DEVICES.index("ios")
        return pa.array(ID_TYPES).take(pa.array(is_apple ^ (device == 1)).cast(pa.int8()))

    def id_hashes(self, users: NDArray[np.intp], device: NDArray[np.intp]) -> pa.Array:
        """Hash the made-up advertising id of each user's device. A loop, because numpy hashes nothing."""
        pairs: Iterable[tuple[int, int]] = zip(users.tolist(), device.tolist(), strict=True)
        return pa.array([self._hash(user, number) for user, number in pairs], pa.string())

    def _hash(self, user: int, number: int) -> str:
        drawn = hashlib.sha256(f"{self.chance.seed}/{NAME}/id/{user}/{number}".encode()).digest()
        return hashlib.sha256(str(uuid.UUID(bytes=drawn[:16], version=4)).encode()).hexdigest()


def caused(lives: Lives, day: date, asked: Asked) -> pa.Table:
    """
    Tell of each request what an ad would change and has changed, and what only an exchange knows; a row each, in order of time.

    Returns are counted from this day on, within truth.return_days. `caused` is what this ad and all earlier ones have added to
    the chance of one: against the same user's life without any.
    """
    business, users = lives.business, asked.users
    conf, before = business.conf, day - timedelta(days=1)
    walk = Walk(business.process, lives.state.of(users), before, users)
    alone, shown = (one.returns(conf.truth.return_days) for one in (walk, walk.messaged(conf.auctions.strength)))
    without = alone
    if lives.unsent is not None:
        without = Walk(business.process, lives.unsent.of(users), before, users).returns(conf.truth.return_days)
    table = pa.table(
        {
            "day": pa.array(np.full(len(users), np.datetime64(day)), pa.date32()),
            "request_id": request_ids(day, asked),
            "user_id": ids("u", users),
            "strategy": strategies(conf, asked),
            "predicted": asked.predicted,
            "click_probability": asked.click_probability,
            "market_price": asked.market_price / MILLIONTHS,
            "clicked": asked.clicked,
            "is_shown": asked.is_shown,
            "return_probability": alone,
            "return_probability_if_shown": shown,
            "uplift": shown - alone,
            "return_probability_without_ads": without,
            "caused": np.where(asked.is_shown, shown, alone) - without,
        }
    )
    return table.take(pa.array(np.argsort(asked.us, kind="stable")))


def request_ids(day: date, asked: Asked) -> pa.Array:
    """Name the requests."""
    return ids("a", numbers(day, asked.users, np.zeros(len(asked.users), int), 1))


def strategies(conf: Parameters, asked: Asked) -> pa.Array:
    """Name the strategy of each request."""
    return pa.array(conf.auctions.strategies, pa.string()).take(pa.array(asked.strategy_of))
