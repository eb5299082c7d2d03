"""Devices: those of a user from the day on which the user registers; of who registered before the first day, from that on."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import count_within, ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.auctions import Auctions
    from rekindle.landing.filling.simulation.business import Business, Today


class Devices:
    """States of devices, which stay as they are."""

    name = "devices"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({})

    def __init__(self, business: Business, auctions: Auctions) -> None:
        self._business, self._auctions = business, auctions

    def happened(self, today: Today) -> Rows:
        """Tell of the devices of who registers."""
        on, is_first = self._business.people.registered_on, today.day == self._business.days.first
        new = np.flatnonzero(on <= today.day.toordinal() if is_first else on == today.day.toordinal())
        users = np.repeat(new, self._auctions.devices[new])
        device = count_within(users)
        table = pa.table(
            {
                "user_id": ids("u", users),
                "id_type": self._auctions.id_types(users, device),
                "id_hash": self._auctions.id_hashes(users, device),
            }
        )
        return Rows(table, users, users)
