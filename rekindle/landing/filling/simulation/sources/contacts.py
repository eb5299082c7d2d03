"""Contacts: the number that a user has on the first day of theirs, and the one that follows it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import ids
from rekindle.landing.filling.simulation.reach import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.business import Business, Today


class Contacts:
    """States of contacts."""

    name = "contacts"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of whoever has a number from today on, or another."""
        reach, day = self._business.reach, today.day.toordinal()
        users = np.flatnonzero(((reach.begins_on == day) & (reach.kind != NONE)) | (reach.changed_on == day))
        countries = np.array(list(self._business.conf.population.countries))[self._business.people.country_of[users]]
        table = pa.table(
            {
                "user_id": ids("u", users),
                "phone": pa.array([reach.text(user, day) for user in users.tolist()], pa.string()),
                "country": pa.array(countries, pa.string()),
            }
        )
        return Rows(table, users, users)
