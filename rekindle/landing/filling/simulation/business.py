"""A business and a day of it: what all sources have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rekindle.landing.filling.simulation.auctions import Asked, Auctions
from rekindle.landing.filling.simulation.calendar import Calendar
from rekindle.landing.filling.simulation.catalogue import Catalogue
from rekindle.landing.filling.simulation.chance import Chance
from rekindle.landing.filling.simulation.choices import Choices
from rekindle.landing.filling.simulation.naming import count_within, ids, numbers
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US, Population, population
from rekindle.landing.filling.simulation.process import Process
from rekindle.landing.filling.simulation.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import pyarrow as pa
    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.parameters import Parameters

MOST_MORE_SESSIONS = 8
"""Sessions of a day are counted with one digit."""


@dataclass(frozen=True)
class Business:
    """Everything that was there before the first day."""

    conf: Parameters
    days: Days
    chance: Chance
    people: Population
    catalogue: Catalogue
    process: Process
    choices: Choices | None = None
    """What users like, where the choice of items is simulated."""
    auctions: Auctions | None = None
    """Who is asked for by ad exchanges, where that is simulated."""

    @classmethod
    def of(cls, conf: Parameters, users: int, days: Days) -> Business:
        """Draw a business of so many users. Each registers on one of the days or before the first."""
        chance = Chance(conf.seed)
        people = population(conf, chance, users, days)
        calendar = Calendar(conf.calendar, chance)
        catalogue = Catalogue.of(conf, chance, people, days.first)
        choices = Choices.of(conf, chance, people, catalogue) if conf.choices.is_on else None
        auctions = Auctions.of(conf, chance, people) if conf.auctions.is_on else None
        return cls(conf, days, chance, people, catalogue, Process(conf, chance, calendar, people), choices, auctions)

    @cached_property
    def reach(self) -> Reach:
        """How users are reached by text message."""
        return Reach.of(self.conf, self.chance, self.people, self.days)


@dataclass(frozen=True)
class Sessions:
    """Sessions of a day, in the order of their users."""

    users: NDArray[np.intp]
    within: NDArray[np.int64]
    """Counts the sessions of a user: 0, 1 …"""
    start: NDArray[np.int64]
    """Microseconds into the day; a session ends on the day on which it begins."""
    names: pa.Array


def _nobody() -> NDArray[np.intp]:
    return np.zeros(0, np.intp)


@dataclass(frozen=True)
class Assigned:
    """
    Whom a campaign has on a day, in the order of their ids: those who are sent a message, and maybe those who are not.

    `probability` is that of being sent one; nobody knows it of messages that a tool has sent.
    """

    users: NDArray[np.intp] = field(default_factory=_nobody)
    is_treated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    us: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Microseconds into the day at which it is sent, or would be."""
    campaign: str | None = None
    probability: float | None = None

    @property
    def treated(self) -> NDArray[np.intp]:
        return self.users[self.is_treated]

    def at(self, users: NDArray[np.intp]) -> NDArray[np.int64]:
        """When these users are sent it; anything of who is not."""
        if not len(self.users):
            return np.zeros(len(users), np.int64)
        return self.us[np.minimum(np.searchsorted(self.users, users), len(self.users) - 1)]


@dataclass(frozen=True)
class Today:
    """A day and who is active on it."""

    day: date
    users: NDArray[np.intp]
    """Who is active, in the order of their ids."""
    sessions: Sessions
    assigned: Assigned = field(default_factory=Assigned)
    """Whom a campaign has this morning."""
    asked: Asked = field(default_factory=Asked)
    """Whom ad exchanges ask for this morning."""

    @property
    def messaged(self) -> NDArray[np.intp]:
        """Who was sent a message in the morning."""
        return self.assigned.treated

    @property
    def start_us(self) -> int:
        """Midnight, in microseconds since 1970."""
        return int(np.datetime64(self.day, "us").astype("int64"))


def sessions_of(business: Business, day: date, users: NDArray[np.intp]) -> Sessions:
    """Draw the sessions of who is active on a day."""
    conf, people, chance = business.conf, business.people, business.chance
    more = chance.stream("sessions", day, "more").poisson(conf.sessions.more_mean, len(users))
    of = np.repeat(users, 1 + np.minimum(more, MOST_MORE_SESSIONS))
    scatter = chance.stream("sessions", day, "hour").normal(0, conf.activity.hour_spread, len(of))
    last = DAY_US - conf.sessions.minutes_most * MINUTE_US
    start = ((people.hour[of] + scatter) % 24 / 24 * last).astype("int64")
    # Nobody comes before having registered.
    begins = np.where(people.registered_on[of] == day.toordinal(), people.registered_us[of], 0)
    within = count_within(of)
    return Sessions(of, within, np.maximum(start, begins), ids("s", numbers(day, of, within, 1)))


@dataclass(frozen=True)
class Rows:
    """
    What a source has to tell of a day. `batches` arrive together, `keys` are one of each row; states need neither.

    `began_on` are the days (ordinals) on which began what rows tell of, where it was not on this one.
    """

    table: pa.Table
    keys: NDArray[np.int64]
    batches: NDArray[np.int64]
    began_on: NDArray[np.int64] | None = None


class Source(Protocol):
    """A source of the landing zone. It sees each day once, in order."""

    name: str
    follows_activity: bool
    """Whether it tells what active users do. So it is two sources where messages are sent: see lives.py."""
    spoilt: Mapping[str, object]
    """Ways in which a row can be unusable: a column, and what stands in it then; None is nothing."""

    def happened(self, today: Today) -> Rows:
        """Tell the true facts of the day, or the states that are new."""
        ...
