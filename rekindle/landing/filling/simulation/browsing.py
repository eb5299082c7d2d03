"""Browsing: which items the sessions of a day are shown, and which of them are clicked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rekindle.landing.filling.simulation.naming import count_within
from rekindle.landing.filling.simulation.population import MINUTE_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Sessions, Today

MOST_SHOWN = 400
"""In a session."""
NAME = "events"
"""Begins the names of its streams: it is what events tell of."""


@dataclass(frozen=True)
class Shown:
    """What the sessions of a day were shown, in their order, and the clicks on it."""

    sessions: Sessions
    session: NDArray[np.intp]
    """Of each item shown: the session."""
    position: NDArray[np.int64]
    """Where in the session it was shown: 1, 2 …"""
    item: NDArray[np.intp]
    after_us: NDArray[np.float64]
    """Microseconds after the session's start."""
    clicked: NDArray[np.intp]
    """Which of what was shown was clicked on, in order …"""
    clicked_after_us: NDArray[np.float64]
    """… and how long after the session's start."""
    stayed_seconds: NDArray[np.float64] | None = None
    """For how long each click made its user stay; None where that is not simulated."""

    def clicks(self) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
        """When each click was (microseconds into the day), whose, and on which item."""
        session = self.session[self.clicked]
        at = self.sessions.start[session] + self.clicked_after_us.astype("int64")
        return at, self.sessions.users[session], self.item[self.clicked]


def browsed(business: Business, today: Today) -> Shown:
    """Draw what the sessions of a day are shown and click on: the same each time it is asked for."""
    conf, people, chance, choices = business.conf.sessions, business.people, business.chance, business.choices
    day, sessions = today.day, today.sessions
    count = chance.stream(NAME, day, "shown").poisson(conf.impressions_mean, len(sessions.users))
    shown_in = np.repeat(np.arange(len(count)), np.minimum(count, MOST_SHOWN))
    shown_to = sessions.users[shown_in]
    if choices is None:
        item = business.catalogue.draw(chance, shown_to, day, NAME)
        liked = business.catalogue.category_of[item] == people.favourite_of[shown_to]
        appeal = people.clicks[shown_to] * np.where(liked, conf.click_taste, 1.0)
    else:
        item = choices.shown(chance, day, len(shown_to))
        appeal = choices.click_probability(shown_to, item)
    clicked = np.flatnonzero(chance.stream(NAME, day, "clicked").random(len(item)) < appeal)
    # A click follows within a minute, and all is over before the longest session is.
    offset = chance.stream(NAME, day, "when").random(len(item)) * (conf.minutes_most - 1) * MINUTE_US
    pause = chance.stream(NAME, day, "pause").random(len(clicked)) * MINUTE_US
    return Shown(
        sessions,
        shown_in,
        1 + count_within(shown_in),
        item,
        offset,
        clicked,
        offset[clicked] + pause,
        choices.stayed_seconds(chance, day, shown_to[clicked], item[clicked]) if choices else None,
    )
