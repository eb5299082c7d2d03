"""Events: a visit for each session, the items it was shown, and the clicks on them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import count_within, ids, numbers
from rekindle.landing.filling.simulation.population import DEVICES, MINUTE_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Today

TIME = pa.timestamp("us", tz="UTC")
TYPES = ("visit", "impression", "click")
VISIT, IMPRESSION, CLICK = range(3)
MOST_SHOWN = 400
FIRST_CLICK = 500
"""Events of a session are numbered with three digits: the visit 0, what is shown from 1, a click this after what it is on."""
FAR_AHEAD = datetime(2199, 1, 1, tzinfo=UTC)
"""A clock that is wrong: after the end of any day."""


class Events:
    """Facts of what users did."""

    name = "events"
    follows_activity = True
    spoilt: Mapping[str, object] = MappingProxyType({"user_id": None, "type": "(none)", "occurred_at": FAR_AHEAD})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of the sessions of the day."""
        conf, people, chance, day = (
            self._business.conf.sessions,
            self._business.people,
            self._business.chance,
            today.day,
        )
        sessions = today.sessions
        count = chance.stream(self.name, day, "shown").poisson(conf.impressions_mean, len(sessions.users))
        shown_in = np.repeat(np.arange(len(count)), np.minimum(count, MOST_SHOWN))
        shown_to = sessions.users[shown_in]
        item = self._business.catalogue.draw(chance, shown_to, day, self.name)
        liked = self._business.catalogue.category_of[item] == people.favourite_of[shown_to]
        appeal = people.clicks[shown_to] * np.where(liked, conf.click_taste, 1.0)
        clicked = np.flatnonzero(chance.stream(self.name, day, "clicked").random(len(item)) < appeal)
        # A click follows within a minute, and all is over before the longest session is.
        offset = chance.stream(self.name, day, "when").random(len(item)) * (conf.minutes_most - 1) * MINUTE_US
        pause = chance.stream(self.name, day, "pause").random(len(clicked)) * MINUTE_US
        position = 1 + count_within(shown_in)

        session = np.concatenate([np.arange(len(count)), shown_in, shown_in[clicked]])
        type_of = np.repeat([VISIT, IMPRESSION, CLICK], [len(count), len(item), len(clicked)])
        users = sessions.users[session]
        within = np.concatenate([np.zeros(len(count), int), position, FIRST_CLICK + position[clicked]])
        after = np.concatenate([np.zeros(len(count)), offset, offset[clicked] + pause]).astype("int64")
        keys = numbers(day, users, sessions.within[session] * 1000 + within, 4)
        table = pa.table(
            {
                "event_id": ids("e", keys),
                "user_id": ids("u", users),
                "occurred_at": pa.array(today.start_us + sessions.start[session] + after, TIME),
                "type": pa.array(TYPES).take(pa.array(type_of)),
                "item_id": pa.concat_arrays(
                    [pa.nulls(len(count), pa.string()), ids("i", item), ids("i", item[clicked])]
                ),
                "session_id": sessions.names.take(pa.array(session)),
                # Where on the page it was shown.
                "value": pa.array(within % FIRST_CLICK, pa.float64(), mask=type_of == VISIT),
                "properties": _devices(type_of == VISIT, people.device_of[users]),
            }
        )
        return Rows(table, keys, numbers(day, users, np.zeros(len(users), int), 0))


def _devices(is_visit: NDArray[np.bool_], device: NDArray[np.intp]) -> pa.Array:
    """Tell the device of each visit, as a map; other events tell nothing more."""
    ends = np.concatenate([[0], np.cumsum(is_visit)]).astype("int32")
    visits = device[is_visit]
    # An offset that is null makes a map that is null.
    offsets = pa.array(ends, mask=np.append(~is_visit, False))
    return pa.MapArray.from_arrays(
        offsets, pa.repeat(pa.scalar("device"), len(visits)), pa.array(DEVICES).take(pa.array(visits))
    )
