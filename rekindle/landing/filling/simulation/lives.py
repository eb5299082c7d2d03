"""
What messages and ads change: the business as it goes, beside the one that would have gone on without them.

What users do is drawn in their order, so that one more who is active shifts what is drawn for those who follow. So that a
message changes nothing about anybody else, the rows of each user are those of the business without messages until the day
on which the first is sent to them, and those of another from then on, which has chance of its own. So it is with an ad that is
shown, which works like a part of a message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.landing.filling.simulation.auctions import Asked
from rekindle.landing.filling.simulation.business import Assigned, Rows, Today, sessions_of
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.reach import NEVER
from rekindle.landing.filling.simulation.sources import sources
from rekindle.landing.filling.simulation.sources.orders import Orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.landing.filling.simulation.business import Business, Source
    from rekindle.landing.filling.simulation.process import State
    from rekindle.landing.filling.simulation.truth import Value


@dataclass
class Lives:
    """Users from day to day."""

    business: Business
    state: State
    last_active: NDArray[np.int64]
    """Ordinal of the day on which each was active last; 0 of who never was."""
    sources: Sequence[Source]
    messaged_on: NDArray[np.int64]
    """Ordinal of the day on which each was sent the first message, or shown the first ad."""
    unsent: State | None = None
    """Where each would stand had no message been sent and no ad been shown; None where none was."""
    other: Business | None = None
    others: Mapping[str, Source] | None = None

    @classmethod
    def begin(cls, business: Business) -> Lives:
        """Let the unseen time pass."""
        days, size = business.conf.population.warm_up_days, business.people.size
        before = business.days.first - timedelta(days=days)
        state, nobody = business.process.begin(before), np.zeros(size, np.int64)
        lives = cls(business, state, nobody, sources(business), np.full(size, NEVER))
        for n in range(1, days):
            lives._live(before + timedelta(days=n), None)
        return lives

    def live(self, day: date, assigned: Assigned, asked: Asked | None = None) -> Iterator[tuple[Source, Rows, Today]]:
        """Let a day pass, and tell what happened to each source."""
        business, sent, asked = self.business, np.zeros(self.business.people.size), asked or Asked()
        sent[assigned.treated] = 1
        sent[asked.shown] += business.conf.auctions.strength
        is_moved = sent > 0
        if is_moved.any() and self.unsent is None:
            self._part()
        self._live(day, sent if is_moved.any() else None)
        self.messaged_on[is_moved] = np.minimum(self.messaged_on[is_moved], day.toordinal())
        if self.unsent is None or self.other is None or self.others is None:
            today = _today(business, day, self.state.was_active, assigned, asked)
            yield from ((source, source.happened(today), today) for source in self.sources)
            return
        business.process.live(self.unsent, day)
        is_messaged = self.messaged_on <= day.toordinal()
        here = _today(business, day, self.unsent.was_active, assigned, asked)
        there = _today(self.other, day, self.state.was_active & is_messaged, assigned, asked)
        for source in self.sources:
            rows = source.happened(here)
            if source.follows_activity:
                rows = _joined(self._without_messages(rows, day), self.others[source.name].happened(there))
            yield source, rows, here

    def value(self) -> Value:
        """Tell what an active day brings, and what each is owed."""
        orders = _orders(self.sources)
        value = orders.value()
        if self.others is None:
            return value
        owed = orders.outstanding(self.messaged_on) + _orders(list(self.others.values())).outstanding()
        return replace(value, outstanding=owed)

    def _live(self, day: date, messaged: NDArray[np.float64] | None) -> None:
        self.business.process.live(self.state, day, messaged)
        self.last_active = np.where(self.state.was_active, day.toordinal(), self.last_active)

    def _part(self) -> None:
        """Begin to tell users who were sent a message from what they would have done."""
        self.unsent = self.state.copy()
        self.other = replace(self.business, chance=self.business.chance.branch("messaged"))
        self.others = {source.name: source for source in sources(self.other) if source.follows_activity}

    def _without_messages(self, rows: Rows, day: date) -> Rows:
        """Keep what began before anything was sent to its user."""
        began_on = rows.began_on if rows.began_on is not None else day.toordinal()
        kept = began_on < self.messaged_on[rows.batches % MOST_USERS]
        return Rows(rows.table.filter(pa.array(kept)), rows.keys[kept], rows.batches[kept])


def _today(business: Business, day: date, was_active: NDArray[np.bool_], assigned: Assigned, asked: Asked) -> Today:
    active = np.flatnonzero(was_active)
    return Today(day, active, sessions_of(business, day, active), assigned, asked)


def _joined(one: Rows, other: Rows) -> Rows:
    return Rows(
        pa.concat_tables([one.table, other.table]),
        np.concatenate([one.keys, other.keys]),
        np.concatenate([one.batches, other.batches]),
    )


def _orders(of: Sequence[Source]) -> Orders:
    return next(source for source in of if isinstance(source, Orders))
