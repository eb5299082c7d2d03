"""Ad exposures: requests of exchanges, what was bid, and what came of it. Of the controls a bid of 0, which wins nothing."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.auctions import request_ids, strategies
from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import numbers
from rekindle.landing.filling.simulation.sources.events import FAR_AHEAD, TIME
from rekindle.landing.filling.simulation.sources.orders import decimals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.landing.filling.simulation.auctions import Auctions
    from rekindle.landing.filling.simulation.business import Business, Today

MONEY = pa.decimal128(18, 6)


class AdExposures:
    """Facts of requests."""

    name = "ad_exposures"
    follows_activity = False
    spoilt: Mapping[str, object] = MappingProxyType(
        {"id_hash": "not a hash", "bid": Decimal("-0.000001"), "occurred_at": FAR_AHEAD}
    )

    def __init__(self, business: Business, auctions: Auctions) -> None:
        self._business, self._auctions = business, auctions

    def happened(self, today: Today) -> Rows:
        """Tell of the requests of the day."""
        asked, users = today.asked, today.asked.users
        won = asked.is_shown
        table = pa.table(
            {
                "request_id": request_ids(today.day, asked),
                "id_type": self._auctions.id_types(users, asked.device),
                "id_hash": self._auctions.id_hashes(users, asked.device),
                "occurred_at": pa.array(today.start_us + asked.us, TIME),
                "strategy": strategies(self._business.conf, asked),
                "bid": decimals(asked.bid, MONEY),
                "price": pa.compute.if_else(pa.array(won), decimals(asked.market_price, MONEY), None),
                "won": won.astype("int32"),
                "clicked": (won & asked.clicked).astype("int32"),
            }
        )
        keys = numbers(today.day, users, np.zeros(len(users), int), 0)
        return Rows(table, keys, keys)
