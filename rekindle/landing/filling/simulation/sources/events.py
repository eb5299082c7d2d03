"""Events: a visit for each session, the items it was shown, and the clicks on them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.browsing import browsed
from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import ids, numbers
from rekindle.landing.filling.simulation.population import DEVICES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Today

TIME = pa.timestamp("us", tz="UTC")
TYPES = ("visit", "impression", "click")
VISIT, IMPRESSION, CLICK = range(3)
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
        people, day, sessions = self._business.people, today.day, today.sessions
        shown = browsed(self._business, today)
        visits, clicked = len(sessions.users), shown.clicked
        session = np.concatenate([np.arange(visits), shown.session, shown.session[clicked]])
        type_of = np.repeat([VISIT, IMPRESSION, CLICK], [visits, len(shown.item), len(clicked)])
        users = sessions.users[session]
        within = np.concatenate([np.zeros(visits, int), shown.position, FIRST_CLICK + shown.position[clicked]])
        after = np.concatenate([np.zeros(visits), shown.after_us, shown.clicked_after_us]).astype("int64")
        # Where on the page it was shown; of a click for how long its user stayed, where that is simulated.
        value = (within % FIRST_CLICK).astype(float)
        if shown.stayed_seconds is not None:
            value[type_of == CLICK] = shown.stayed_seconds
        keys = numbers(day, users, sessions.within[session] * 1000 + within, 4)
        table = pa.table(
            {
                "event_id": ids("e", keys),
                "user_id": ids("u", users),
                "occurred_at": pa.array(today.start_us + sessions.start[session] + after, TIME),
                "type": pa.array(TYPES).take(pa.array(type_of)),
                "item_id": pa.concat_arrays(
                    [pa.nulls(visits, pa.string()), ids("i", shown.item), ids("i", shown.item[clicked])]
                ),
                "session_id": sessions.names.take(pa.array(session)),
                "value": pa.array(value, mask=type_of == VISIT),
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
