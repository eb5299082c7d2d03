"""Orders of several lines, and refunds of some of them days later."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.browsing import browsed
from rekindle.landing.filling.simulation.business import Rows
from rekindle.landing.filling.simulation.naming import count_within, day_of, ids, numbers
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US
from rekindle.landing.filling.simulation.truth import Value
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from rekindle.landing.filling.simulation.business import Business, Today

TIME = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(18, 2)
MOST_MORE_LINES = 98
"""Lines of an order are counted with two digits."""
LINES = 1000
"""Lines of a day and user are counted with three digits."""
REFUND = np.int64(1 << 62)
"""Tells the key of a refund from that of the line it refunds."""


class Orders:
    """Facts of sales and refunds."""

    name = "orders"
    follows_activity = True
    spoilt: Mapping[str, object] = MappingProxyType({"user_id": None, "currency": "XXX", "amount": Decimal("-1.00")})

    def __init__(self, business: Business) -> None:
        self._business = business
        self._due: dict[date, list[tuple[pa.Table, np.ndarray, np.ndarray]]] = defaultdict(list)

    def happened(self, today: Today) -> Rows:
        """Tell of the sales of the day, and of the refunds that are due."""
        sales, keys, users = self._sales(today)
        self._refund_some(sales, keys, users, today)
        parts = [(sales, keys, users), *self._due.pop(today.day, [])]
        keys, users = (np.concatenate([part[n] for part in parts]) for n in (1, 2))
        return Rows(
            pa.concat_tables([part[0] for part in parts]),
            keys,
            numbers(today.day, users, np.zeros(len(users), int), 0),
            day_of((keys & ~REFUND) // LINES),
        )

    def value(self) -> Value:
        """Tell what an active day brings on average, as of the end of the last day that was seen."""
        conf, people = self._business.conf.orders, self._business.people
        line = np.exp(people.amount_log + conf.line_spread**2 / 2) * self._business.catalogue.mean_price()
        orders = 1 + conf.second_share
        waits = np.arange(conf.refund_most_days + 1)
        refunded = (
            conf.refund_share * (waits >= conf.refund_least_days) / (conf.refund_most_days - conf.refund_least_days + 1)
        )
        return Value(people.buys, orders, orders * (1 + conf.more_lines_mean) * line, refunded, self.outstanding())

    def outstanding(self, before: np.ndarray | None = None) -> np.ndarray:
        """Sum up by user what is to be refunded: of all sales, or of those before a day (an ordinal) of each user's."""
        outstanding = np.zeros(self._business.people.size)
        for rows, keys, users in (part for due in self._due.values() for part in due):
            counts = day_of((keys & ~REFUND) // LINES) < before[users] if before is not None else True
            np.add.at(outstanding, users, rows["amount"].cast(pa.float64()).to_numpy() * counts)
        return outstanding

    def _sales(self, today: Today) -> tuple[pa.Table, np.ndarray, np.ndarray]:
        business, conf, day = self._business, self._business.conf.orders, today.day
        people, chance = business.people, business.chance
        lot = chance.stream(self.name, day, "buys").random(len(today.users))
        buyers = today.users[lot < people.buys[today.users] * business.process.calendar.purchase(day)]
        more = chance.stream(self.name, day, "second").random(len(buyers)) < conf.second_share
        of_buyer = np.repeat(np.arange(len(buyers)), 1 + more)
        order_in = count_within(of_buyer)
        lines = 1 + chance.stream(self.name, day, "lines").poisson(conf.more_lines_mean, len(of_buyer))
        of_order = np.repeat(np.arange(len(of_buyer)), np.minimum(lines, 1 + MOST_MORE_LINES))
        line = count_within(of_order)
        users, within = buyers[of_buyer][of_order], order_in[of_order]

        item = business.catalogue.draw(chance, users, day, self.name)
        scatter = conf.line_spread * chance.stream(self.name, day, "amount").standard_normal(len(users))
        price = business.catalogue.price[business.catalogue.category_of[item]]
        cents = np.rint(100 * price * np.exp(people.amount_log[users] + scatter)).astype("int64")
        # An order is placed within the first session of the day, a second one a little after the first.
        first = today.sessions.start[np.searchsorted(today.sessions.users, buyers)]
        minutes = 1 + chance.stream(self.name, day, "when").random(len(buyers)) * (
            business.conf.sessions.minutes_most / 2 - 1
        )
        at = first[of_buyer] + ((1 + order_in) * minutes[of_buyer] * MINUTE_US).astype("int64")
        # Amounts stay those of what would have been bought: so what users are worth is the same with choices and without.
        if business.choices:
            item, clicked_at = business.choices.bought(chance, day, browsed(business, today), users)
            np.maximum.at(at, of_order, np.minimum(clicked_at + MINUTE_US, DAY_US - 1))
        table = pa.table(
            {
                "order_id": ids("o", numbers(day, users, within, 1)),
                "line_id": pa.array(line).cast(pa.string()),
                "user_id": ids("u", users),
                "occurred_at": pa.array(today.start_us + at[of_order], TIME),
                "kind": pa.repeat(pa.scalar("sale"), len(users)),
                "amount": decimals(cents, MONEY),
                "currency": pa.repeat(pa.scalar(settings().currency), len(users)),
                "item_id": ids("i", item),
            }
        )
        return table, numbers(day, users, within * 100 + line, 3), users

    def _refund_some(self, sales: pa.Table, keys: np.ndarray, users: np.ndarray, today: Today) -> None:
        conf, chance = self._business.conf.orders, self._business.chance
        is_refunded = chance.lots(keys.astype("uint64"), self.name, "refunded") < conf.refund_share
        spread = conf.refund_most_days - conf.refund_least_days + 1
        wait = conf.refund_least_days + (chance.lots(keys.astype("uint64"), self.name, "refund day") * spread).astype(
            int
        )
        time = (chance.lots(keys.astype("uint64"), self.name, "refund time") * DAY_US).astype("int64")
        for days in range(conf.refund_least_days, conf.refund_most_days + 1):
            which = np.flatnonzero(is_refunded & (wait == days))
            if not len(which):
                continue
            rows = sales.take(pa.array(which))
            at = pa.array(today.start_us + days * DAY_US + time[which], TIME)
            for column, values in {
                "line_id": pa.compute.binary_join_element_wise("r", rows["line_id"], ""),
                "occurred_at": at,
                "kind": pa.repeat(pa.scalar("refund"), len(which)),
            }.items():
                rows = rows.set_column(rows.column_names.index(column), column, values)
            due = today.day + timedelta(days=days)
            self._due[due].append((rows, keys[which] | REFUND, users[which]))


def decimals(units: np.ndarray, kind: pa.Decimal128Type) -> pa.Array:
    """Whole units, none below 0, as decimals, exactly: the unscaled value of decimal(18,2) is the cents."""
    unscaled = np.zeros((len(units), 2), "int64")
    unscaled[:, 0] = units
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(unscaled.tobytes())])
