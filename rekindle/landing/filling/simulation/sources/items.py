"""Items, on the day they appear."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.business import Business, Today


class Items:
    """States of items."""

    name = "items"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType({})

    def __init__(self, business: Business) -> None:
        self._business = business

    def happened(self, today: Today) -> Rows:
        """Tell of what is new in the catalogue."""
        catalogue = self._business.catalogue
        new = np.flatnonzero(catalogue.since == today.day.toordinal())
        categories = pa.array(self._business.conf.catalogue.categories)
        category = categories.take(pa.array(catalogue.category_of[new]))
        table = pa.table({"item_id": ids("i", new), "category": category, "title": ids("Item ", new)})
        return Rows(table, new, new)
