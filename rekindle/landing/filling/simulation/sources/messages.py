"""Messages: whom a campaign has assigned to which arm, and what was sent."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import EPOCH, ids, numbers
from rekindle.landing.filling.simulation.population import DAY_US
from rekindle.landing.filling.simulation.sources.consents import TIME
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.business import Business, Today


class Messages:
    """States of messages, which stay as they are."""

    name = "messages"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of the assignments of today, controls included."""
        assigned, users = today.assigned, today.assigned.users
        keys = numbers(today.day, users, np.zeros(len(users), int), 1)
        at = (today.day.toordinal() - EPOCH) * DAY_US + assigned.us
        costs = [settings().message_cost, 0]
        is_treated = pa.array(assigned.is_treated)
        table = pa.table(
            {
                "message_id": ids("m", keys),
                "campaign_id": pa.repeat(pa.scalar(assigned.campaign, pa.string()), len(users)),
                "user_id": ids("u", users),
                "message_channel": pa.repeat(pa.scalar("sms"), len(users)),
                "sent_at": pa.array(at, TIME),
                "arm": pa.compute.if_else(is_treated, "treatment", "control"),
                "status": pa.compute.if_else(is_treated, "delivered", "not sent"),
                "cost": pa.array(
                    [Decimal(str(costs[not treated])) for treated in assigned.is_treated], pa.decimal128(18, 6)
                ),
            }
        )
        return Rows(table, keys, keys)
