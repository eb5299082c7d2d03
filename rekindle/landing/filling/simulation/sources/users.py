"""Users, on the day they register; who registered before the first day, on that."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import EPOCH, ids
from rekindle.landing.filling.simulation.population import AGE_BANDS, DAY_US, DEVICES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Today

TIME = pa.timestamp("us", tz="UTC")


class Users:
    """States of users."""

    name = "users"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of who registers."""
        people, conf = self._business.people, self._business.conf.population
        on, is_first = people.registered_on, today.day == self._business.days.first
        new = np.flatnonzero(on <= today.day.toordinal() if is_first else on == today.day.toordinal())
        countries = list(conf.countries)
        table = pa.table(
            {
                "user_id": ids("u", new),
                "registered_at": pa.array((on[new] - EPOCH) * DAY_US + people.registered_us[new], TIME),
                "country": _names(countries, people.country_of[new]),
                "timezone": _names([conf.timezones[country] for country in countries], people.country_of[new]),
                "channel": _names(list(conf.channels), people.channel_of[new]),
                "attributes": self._attributes(new),
            }
        )
        return Rows(table, new, new)

    def _attributes(self, users: NDArray[np.intp]) -> pa.Array:
        conf, people = self._business.conf, self._business.people
        told = {
            "age": (AGE_BANDS, people.age_of),
            "device": (DEVICES, people.device_of),
            "interest": (list(conf.catalogue.categories), people.interest_of),
            "plan": (list(conf.population.plans), people.plan_of),
        }
        values = [name for names, _ in told.values() for name in names]
        begins = np.cumsum([0, *(len(names) for names, _ in told.values())])[:-1]
        which = np.stack([of[users] + begin for (_, of), begin in zip(told.values(), begins, strict=True)], axis=1)
        return pa.MapArray.from_arrays(
            pa.array(np.arange(len(users) + 1, dtype="int32") * len(told)),
            _names(list(told), np.tile(np.arange(len(told)), len(users))),
            _names(values, which.ravel()),
        )


def _names(names: Sequence[str], which: NDArray[np.intp]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(which))
