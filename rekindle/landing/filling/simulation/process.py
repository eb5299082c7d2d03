"""
The process: a user is engaged or dormant, for times that are heavy-tailed, and active on a day at a rate that drifts.

A day of a user who registered before it:

1. A message of this morning raises (or lowers) the *pressure*, by what the user's responsiveness makes of it in the state in
   which the day before has ended.
2. The state ends with probability `leave / (age + offset)`, where the age is the days it has lasted; else it grows a day older.
   What ends a dormancy is multiplied by exp(pressure).
3. The user is active with probability 1 - exp(-intensity), where exp(pressure) multiplies the intensity, and so does an active
   day before.
4. The pressure fades.

Users are active on the day they register and begin engaged. The state depends on no activity, so that truth.py can walk the same
steps with probabilities instead of lots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import date
    from typing import TypeAlias

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.calendar import Calendar
    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.parameters import Parameters
    from rekindle.landing.filling.simulation.population import Population

    Users: TypeAlias = slice | NDArray[np.intp]

ENGAGED, DORMANT = 0, 1


@dataclass
class State:
    """Where each user stands at the end of a day. `age` is 0 for who has not registered yet."""

    is_dormant: NDArray[np.bool_]
    age: NDArray[np.int64]
    """Days that the state has lasted, this one included."""
    was_active: NDArray[np.bool_]
    pressure: NDArray[np.float64]
    """What earlier messages will add to the logarithm of tomorrow's rates."""

    def of(self, users: Users) -> State:
        """Keep some users."""
        return State(self.is_dormant[users], self.age[users], self.was_active[users], self.pressure[users])

    def copy(self) -> State:
        """Return one that goes on by itself."""
        return State(self.is_dormant.copy(), self.age.copy(), self.was_active.copy(), self.pressure.copy())


@dataclass(frozen=True)
class Process:
    """The laws of motion. Methods that take `users` say it of some of them."""

    conf: Parameters
    chance: Chance
    calendar: Calendar
    people: Population

    @property
    def fading(self) -> float:
        """What is left of a message's pressure after a day."""
        return float(np.exp(-1 / self.conf.messages.fades_after_days))

    def begin(self, day: date) -> State:
        """State at the end of the day before the unseen time begins."""
        people = self.people
        is_there = people.registered_on <= day.toordinal()
        tenure = np.maximum(day.toordinal() - people.registered_on + 1, 1)
        age = np.where(is_there, np.minimum(np.where(people.is_dormant_at_first, people.first_age, 1), tenure), 0)
        nobody = np.zeros(people.size, bool)
        return State(is_there & people.is_dormant_at_first, age, nobody, np.zeros(people.size))

    def live(self, state: State, day: date, messaged: NDArray[np.float64] | None = None) -> None:
        """Let a day pass. `messaged` is how many messages each user is sent in its morning; an ad may count as a part of one."""
        people, everybody = self.people, slice(None)
        is_there = people.registered_on < day.toordinal()
        joins = people.registered_on == day.toordinal()
        if messaged is not None:
            state.pressure += messaged * self.strength(state, everybody)
        leave, offset = self.leaving(state.is_dormant, state.pressure, everybody)
        lot = self.chance.stream("state", day).random(people.size)
        leaves = is_there & (lot < leave / (state.age + offset))
        state.is_dormant ^= leaves
        state.age = np.where(leaves | joins, 1, state.age + is_there)
        lot = self.chance.stream("activity", day).random(people.size)
        intensity = self.intensity(state.is_dormant, state.pressure, day, everybody)
        chance = self.active(intensity, state.was_active)
        state.was_active = joins | (is_there & (lot < chance))
        state.pressure *= self.fading

    def strength(self, state: State, users: Users) -> NDArray[np.float64]:
        """
        What a message on the next morning adds to a user's pressure.

        It depends on how long a dormancy has lasted: little in its first days, most after some weeks, little after a year.
        """
        messages = self.conf.messages
        age = state.age
        dormant = age / (age + messages.works_from_days) * np.exp(-age / messages.worn_out_after_days)
        return self.people.responsiveness[users] * np.where(state.is_dormant, dormant, messages.engaged_share)

    def leaving(
        self, is_dormant: NDArray[np.bool_], pressure: NDArray[np.float64], users: Users
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rate and offset with which the state that a day begins with ends on it: rate / (age + offset), age from 1."""
        wake, sleep = self.wake(pressure, users), self.sleep(users)
        activity = self.conf.activity
        return (
            np.where(is_dormant, wake, sleep),
            np.where(is_dormant, activity.dormant_offset_days, activity.engaged_offset_days),
        )

    def wake(self, pressure: NDArray[np.float64], users: Users) -> NDArray[np.float64]:
        """Rate with which a dormancy ends."""
        activity = self.conf.activity
        return np.minimum(
            self.people.wake[users] * np.exp(pressure), activity.leave_most * (1 + activity.dormant_offset_days)
        )

    def sleep(self, users: Users) -> NDArray[np.float64]:
        """Rate with which an engaged spell ends."""
        activity = self.conf.activity
        return np.minimum(self.people.sleep[users], activity.leave_most * (1 + activity.engaged_offset_days))

    def engaged_intensity(self, pressure: NDArray[np.float64], day: date, users: Users) -> NDArray[np.float64]:
        """Rate of activity on a day of users who are engaged then."""
        people = self.people
        swing = people.drift[users] * np.sin(people.drift_speed[users] * day.toordinal() + people.drift_phase[users])
        factor = people.weekday_factor[users]
        weekday = np.where(people.weekday_of[users] == day.weekday(), factor, 1.0) * 7 / (6 + factor)
        return people.rate[users] * np.exp(swing + pressure) * weekday * self.calendar.rate(day)

    def intensity(
        self, is_dormant: NDArray[np.bool_], pressure: NDArray[np.float64], day: date, users: Users
    ) -> NDArray[np.float64]:
        """Rate of activity on a day, in the state of that day."""
        engaged = self.engaged_intensity(pressure, day, users)
        return engaged * np.where(is_dormant, self.conf.activity.dormant_rate, 1.0)

    def active(self, intensity: NDArray[np.float64], was_active: NDArray[np.bool_] | bool) -> NDArray[np.float64]:
        """Probability of activity on a day, after a day with or without."""
        return -np.expm1(-intensity * (1 + self.conf.activity.echo * was_active))
