"""Replies: users say that they want no more, in many spellings, or thank for a message."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import EPOCH, ids, numbers
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US
from rekindle.landing.filling.simulation.reach import MOBILE
from rekindle.landing.filling.simulation.sources.consents import FAR_AHEAD, TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.business import Business, Today

UNASKED, ANSWER = range(2)
"""What a reply follows, in the last digit of its number."""
STOPS = (
    *(
        "STOP",
        "stop",
        "Stop.",
        "STOP!!",
        "StopAll",
        "STOP ALL",
        "Quit",
        "end",
        "REVOKE",
        "opt out",
        "Opt-Out",
        "OPTOUT",
    ),
    *("Cancel", "unsubscribe", "UNSUBSCRIBE ME", "please stop", "stopp", "arrêt", "who is this?", "wrong number"),
)
"""What means that no more is wanted; what is ambiguous does, too."""
THANKS = ("ok", "OK!", "Thanks", "thank you", "Yes")
"""What means nothing of the kind."""


class Replies:
    """Facts of what comes back."""

    name = "replies"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({"phone": None, "received_at": FAR_AHEAD})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of who replies: some out of the blue, some to a message of today."""
        reach, conf, day = self._business.reach, self._business.conf.replies, today.day.toordinal()
        unasked = np.flatnonzero(reach.stopped_on == day)
        sent, chance = today.messaged[reach.kind[today.messaged] == MOBILE], self._business.chance
        lot = chance.lots(sent.astype("uint64"), self.name, today.day)
        stops, thanks = sent[lot < conf.stop_share], sent[lot > 1 - conf.thanks_share]
        stops = stops[reach.stopped_on[stops] > day]
        reach.stop(stops, day)
        users = np.concatenate([unasked, stops, thanks])
        what = np.repeat([UNASKED, ANSWER, ANSWER], [len(unasked), len(stops), len(thanks)])
        keys = numbers(today.day, users, what, 1)
        phones = [reach.sender(user, day) for user in users]
        text = chance.lots(keys.astype("uint64"), self.name, "text")
        spelt = np.array(STOPS, object)[(text * len(STOPS)).astype(int)]
        kind = np.array(THANKS, object)[(text * len(THANKS)).astype(int)]
        soon = (chance.lots(keys.astype("uint64"), self.name, "soon") * 60 * MINUTE_US).astype("int64")
        answered = np.minimum(today.assigned.at(users) + MINUTE_US + soon, DAY_US - 1)
        at = (day - EPOCH) * DAY_US + np.where(what == UNASKED, reach.us[users], answered)
        table = pa.table(
            {
                "reply_id": ids("r", keys),
                "phone": pa.array(phones, pa.string()),
                "received_at": pa.array(at, TIME),
                "text": pa.array(np.where(np.arange(len(users)) < len(unasked) + len(stops), spelt, kind), pa.string()),
            }
        )
        batches = numbers(today.day, users, np.zeros(len(users), int), 0)
        has_number = np.array([phone is not None for phone in phones], bool)
        return Rows(table.filter(pa.array(has_number)), keys[has_number], batches[has_number])
