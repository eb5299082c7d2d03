"""
How the truth arrives: some facts late, some more than once, a few unusable.

What a source tells of a user's day arrives together, as from a phone that was offline. What a row's key draws decides, so a
row's fate does not depend on the others. What would arrive after the last day does not: the business goes on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rekindle.warehouse.contracts import landing_contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Rows, Source, Today
    from rekindle.landing.filling.simulation.chance import Chance
    from rekindle.landing.filling.simulation.parameters import Delivering


@dataclass(frozen=True)
class Delivered:
    """What one delivery of a source holds, and what ingestion must make of it."""

    rows: pa.Table
    duplicates: int
    unusable: int


@dataclass
class Courier:
    """Takes what happened to a source, and hands over what arrives of it on the day."""

    conf: Delivering
    chance: Chance
    source: Source
    _on_its_way: dict[date, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))

    def carry(self, rows: Rows, today: Today) -> Delivered:
        """Take the rows of a day and return its delivery."""
        contract = landing_contract(self.source.name)
        if contract.lands.kind == "state":
            return Delivered(rows.table, 0, 0)
        keys, conf = rows.keys.astype("uint64"), self.conf
        late = self._delay(self._lots(rows.batches.astype("uint64"), "late"))
        is_repeated = self._lots(keys, "repeated") < conf.repeated_share
        is_twice = is_repeated & (self._lots(keys, "twice") < conf.repeated_same_day_share)
        again = late + 1 + (self._lots(keys, "again") * conf.repeated_most_days).astype("int64")
        for days, chosen in _by_day(late, np.ones(len(keys), bool)):
            self._on_its_way[today.day + days].append(rows.table.filter(pa.array(chosen)))
        for days, chosen in _by_day(again, is_repeated & ~is_twice):
            self._on_its_way[today.day + days].append(rows.table.filter(pa.array(chosen)))
        for days, chosen in _by_day(late, is_twice):
            twice = rows.table.filter(pa.array(chosen))
            self._on_its_way[today.day + days].append(twice.append_column(DUPLICATE, pa.repeat(True, len(twice))))
        spoilt = list(self._spoilt(rows.table, keys))
        arrived = pa.concat_tables([*self._on_its_way.pop(today.day, []), *spoilt], promote_options="default")
        duplicates = 0
        if DUPLICATE in arrived.column_names:
            duplicates = len(arrived) - arrived[DUPLICATE].null_count
            arrived = arrived.drop_columns(DUPLICATE)
        return Delivered(arrived.select(rows.table.column_names), duplicates, sum(map(len, spoilt)))

    def _lots(self, keys: NDArray[np.uint64], purpose: str) -> NDArray[np.float64]:
        return self.chance.lots(keys, self.source.name, purpose)

    def _delay(self, lots: NDArray[np.float64]) -> NDArray[np.int64]:
        """Days of delay: 0 for most; else a day for half of them, two for a quarter, and so on."""
        share, most = self.conf.late_share, self.conf.late_most_days
        is_late = lots < share
        halvings = 1 + np.floor(-np.log2(np.maximum(lots[is_late] / share, 2.0**-most)))
        delay = np.zeros(len(lots), "int64")
        delay[is_late] = np.minimum(halvings, most)
        return delay

    def _spoilt(self, table: pa.Table, keys: NDArray[np.uint64]) -> Iterator[pa.Table]:
        """Copy a few rows under ids of their own, each with something in it that no row may have."""
        chosen = np.flatnonzero(self._lots(keys, "invalid") < self.conf.invalid_share)
        name = landing_contract(self.source.name).identity[0]
        ways = list(self.source.spoilt.items())
        which = (self._lots(keys[chosen], "how") * len(ways)).astype("int64")
        for number, (column, value) in enumerate(ways):
            rows = table.take(pa.array(chosen[which == number]))
            rows = _replaced(rows, name, pc.binary_join_element_wise(rows[name], "x", "-"))
            yield _replaced(rows, column, pa.repeat(pa.scalar(value, rows.schema.field(column).type), len(rows)))


DUPLICATE = "is repeated within the delivery"


def _by_day(days: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Iterator[tuple[timedelta, NDArray[np.bool_]]]:
    for number in np.unique(days[chosen]):
        yield timedelta(days=int(number)), chosen & (days == number)


def _replaced(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)
