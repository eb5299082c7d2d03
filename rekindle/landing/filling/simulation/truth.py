"""
The truth: what will happen to a user, as exact probabilities from the latent state at the end of a day.

The steps of process.py are walked with probabilities instead of lots. The ages that a state can have within the horizon are
few: the one it has, growing (`stay`), and 1, 2 … since it changed last (`fresh`). No random number is drawn here.

No job, mart or model reads what this module tells; a test of the house looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.naming import ids
from rekindle.landing.filling.simulation.process import DORMANT, ENGAGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.process import Process, State, Users

    Floats = NDArray[np.float64]

CHUNK = 4096
"""Users at a time: what is walked for them stays in the processor's cache."""


@dataclass(frozen=True)
class Step:
    """What rules one of the days ahead, by user: rates with which states end, and activity of the engaged."""

    day: date
    leave: tuple[Floats, Floats]
    """Of the engaged and of the dormant, before the age is counted in."""
    leave_stay: Floats
    """Probability that the state of the beginning ends on this day, if it has lasted until now."""
    intensity: tuple[Floats, Floats]
    """Of the engaged and of the dormant."""


@dataclass(frozen=True)
class Walk:
    """Some users from their state at the end of a day onwards, with a message on the next morning or none."""

    process: Process
    state: State
    day: date
    users: Users

    def messaged(self, strength: float = 1.0) -> Walk:
        """Send each a message on the next morning, or show what works like so much of one."""
        pressure = self.state.pressure + strength * self.process.strength(self.state, self.users)
        return replace(self, state=replace(self.state, pressure=pressure))

    def steps(self, days: int) -> Iterator[Step]:
        """Go through the days ahead."""
        process, pressure = self.process, self.state.pressure
        for ahead in range(days):
            day = self.day + timedelta(days=1 + ahead)
            rate, offset = process.leaving(self.state.is_dormant, pressure, self.users)
            engaged = process.engaged_intensity(pressure, day, self.users)
            yield Step(
                day,
                (process.sleep(self.users), process.wake(pressure, self.users)),
                rate / (self.state.age + ahead + offset),
                (engaged, engaged * process.conf.activity.dormant_rate),
            )
            pressure = pressure * process.fading

    def returns(self, days: int) -> Floats:
        """Probability of being active on at least one of the days ahead."""
        idle, was_active = Spread.of(self, np.ones(len(self.state.age)), days), self.state.was_active
        for step in self.steps(days):
            idle.live(step)
            idle.multiply([1 - self.process.active(intensity, was_active) for intensity in step.intensity])
            was_active = np.zeros_like(was_active)
        return 1 - idle.total()

    def active(self, days: int) -> Iterator[tuple[date, Floats]]:
        """Probability of being active, for each of the days ahead."""
        everyone = Spread.of(self, np.ones(len(self.state.age)), days)
        active = Spread.of(self, self.state.was_active.astype(float), days)
        for step in self.steps(days):
            everyone.live(step)
            active.live(step)
            self._come(everyone, active, step)
            yield step.day, active.total()

    def buys(self, days: int, value: Value) -> Floats:
        """Probability of buying on at least one of the days ahead."""
        without = Spread.of(self, np.ones(len(self.state.age)), days)
        active = Spread.of(self, self.state.was_active.astype(float), days)
        for step in self.steps(days):
            without.live(step)
            active.live(step)
            self._come(without, active, step)
            buys = np.minimum(value.buys[self.users] * self.process.calendar.purchase(step.day), 1.0)
            without.add(active, [-buys, -buys])
            active.multiply([1 - buys, 1 - buys])
        return 1 - without.total()

    def _come(self, everyone: Spread, active: Spread, step: Step) -> None:
        """Make those who were active the day before those who are on this one."""
        # Who was not active the day before comes with one probability, who was with another.
        after_none = [self.process.active(intensity, was_active=False) for intensity in step.intensity]
        after_one = [self.process.active(intensity, was_active=True) for intensity in step.intensity]
        active.multiply([one - none for one, none in zip(after_one, after_none, strict=True)])
        active.add(everyone, after_none)


@dataclass
class Spread:
    """The mass of each user over states and ages."""

    is_dormant: NDArray[np.bool_]
    """The state at the beginning."""
    offsets: tuple[Floats, Floats]
    """What is added to ages 1, 2 … of each state: its probability to end is a rate over this sum."""
    stay: Floats
    """Still in that state."""
    fresh: Floats
    """[state, age - 1, user]: in a state that began meanwhile."""
    days: int = 0

    @classmethod
    def of(cls, walk: Walk, mass: Floats, days: int) -> Spread:
        """Put the mass of each user where the user stands."""
        activity, ages = walk.process.conf.activity, np.arange(1.0, days + 1)[:, None]
        offsets = activity.engaged_offset_days + ages, activity.dormant_offset_days + ages
        return cls(walk.state.is_dormant, offsets, mass, np.zeros((2, days, len(mass))))

    def live(self, step: Step) -> None:
        """Let states end, or grow a day older."""
        days, gone = self.days, self.stay * step.leave_stay
        self.stay = self.stay - gone
        begins = [gone * self.is_dormant, gone * ~self.is_dormant]
        for state, other in ((ENGAGED, DORMANT), (DORMANT, ENGAGED)):
            if days:
                here = self.fresh[state, :days]
                leaving = here * (step.leave[state] / self.offsets[state][:days])
                begins[other] = begins[other] + leaving.sum(axis=0)
                self.fresh[state, 1 : days + 1] = here - leaving
        self.fresh[:, 0] = begins
        self.days += 1

    def multiply(self, factors: list[Floats]) -> None:
        """Multiply what is in each state."""
        self.stay = self.stay * np.where(self.is_dormant, factors[DORMANT], factors[ENGAGED])
        for state in (ENGAGED, DORMANT):
            self.fresh[state, : self.days] *= factors[state]

    def add(self, other: Spread, factors: list[Floats]) -> None:
        """Add shares of another spread, state by state."""
        self.stay = self.stay + other.stay * np.where(self.is_dormant, factors[DORMANT], factors[ENGAGED])
        for state in (ENGAGED, DORMANT):
            self.fresh[state, : self.days] += other.fresh[state, : self.days] * factors[state]

    def total(self) -> Floats:
        """All of each user's mass."""
        return self.stay + self.fresh[:, : self.days].sum(axis=(0, 1))


@dataclass(frozen=True)
class Value:
    """What an active day brings on average, by user, and what is on its way already."""

    buys: Floats
    """Probability of buying on an active day without a sale."""
    orders: float
    """Orders of a day with any."""
    sales: Floats
    """Money of a day with any."""
    refunded: Floats
    """Share of a sale that is refunded on the same day, the next, and so on."""
    outstanding: Floats
    """Refunds of earlier sales that are to come."""


def truth(process: Process, state: State, day: date, value: Value) -> pa.Table:
    """Tell what will happen to each registered user, by the state at the end of a day."""
    size = process.people.size
    parts = [
        _told(process, state, day, value, slice(start, min(start + CHUNK, size))) for start in range(0, size, CHUNK)
    ]
    users = np.flatnonzero(state.age > 0)
    told = {name: np.concatenate([part[name] for part in parts])[users] for name in parts[0]}
    return pa.table(
        {
            "day": pa.array(np.full(len(users), np.datetime64(day)), pa.date32()),
            "user_id": ids("u", users),
            "state": pa.array(["engaged", "dormant"]).take(pa.array(state.is_dormant[users].astype("int8"))),
            "state_days": state.age[users],
            "was_active": state.was_active[users],
            "responsiveness": process.people.responsiveness[users],
            **told,
        }
    )


def expected(
    process: Process, state: State, day: date, value: Value, users: NDArray[np.intp], *, strength: float = 1.0
) -> dict[str, Floats]:
    """Tell what a message on the morning of a day changes, or what works like so much of one, by the state of the day before."""
    walk = Walk(process, state.of(users), day - timedelta(days=1), users)
    alone, messaged = (
        _returns(one) | {"expected_revenue": _money(one, value)["expected_revenue"]}
        for one in (walk, walk.messaged(strength))
    )
    told = alone | {f"{name}_if_messaged": of for name, of in messaged.items()}
    uplift = {
        "uplift": told["return_probability_if_messaged"] - told["return_probability"],
        "value_uplift": told["expected_revenue_if_messaged"] - told["expected_revenue"],
    }
    return told | uplift


def _told(process: Process, state: State, day: date, value: Value, users: slice) -> dict[str, Floats]:
    walk = Walk(process, state.of(users), day, users)
    alone, messaged = (_returns(one)["return_probability"] for one in (walk, walk.messaged()))
    told = {"return_probability": alone, "return_probability_if_messaged": messaged, "uplift": messaged - alone}
    return told | _money(walk, value)


def _returns(walk: Walk) -> dict[str, Floats]:
    return {"return_probability": walk.returns(walk.process.conf.truth.return_days)}


def _money(walk: Walk, value: Value) -> dict[str, Floats]:
    process, day, users, conf = walk.process, walk.day, walk.users, walk.process.conf.truth
    orders, sales, refunds = (np.zeros(len(walk.state.age)) for _ in range(3))
    refunded_within = np.cumsum(value.refunded)
    for on, active in walk.active(conf.value_days):
        left = conf.value_days - (on - day).days
        bought = active * np.minimum(value.buys[users] * process.calendar.purchase(on), 1.0)
        orders += bought * value.orders
        sales += bought * value.sales[users]
        refunds += bought * value.sales[users] * refunded_within[min(left, len(refunded_within) - 1)]
    refunds += value.outstanding[users]
    return {
        "expected_orders": orders,
        "expected_sales": sales,
        "expected_refunds": refunds,
        "expected_revenue": sales - refunds,
    }
