"""A simulated business on the morning of a campaign: what a message would truly change, and the days that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from rekindle.landing.filling.simulation.business import Assigned, Business, Today, sessions_of
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.sources.orders import Orders
from rekindle.landing.filling.simulation.truth import expected

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from rekindle.days import Days
    from rekindle.landing.filling.simulation.parameters import Parameters

    Floats = NDArray[np.float64]

LAPSE_DAYS = 7


@dataclass(frozen=True)
class Morning:
    """A business on the morning of a campaign, and what a message to each of the lapsed will truly change."""

    business: Business
    lives: Lives
    day: date
    lapsed: NDArray[np.intp]
    told: dict[str, Floats]
    """Of the lapsed."""


def morning(conf: Parameters, users: int, business_days: Days, day: date) -> Morning:
    """Let a business come to a day, without a message to anybody before; its first day at the earliest."""
    business = Business.of(conf, users, business_days)
    lives = Lives.begin(business)
    for passed in business_days:
        if passed >= day:
            break
        for _rows in lives.live(passed, Assigned()):
            pass
    lapsed = np.flatnonzero((lives.last_active > 0) & (lives.last_active < day.toordinal() - LAPSE_DAYS))
    return Morning(business, lives, day, lapsed, expected(business.process, lives.state, day, lives.value(), lapsed))


def lived(begun: Morning, chance: str, treated: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Live the days of the outcomes with chance of their own: who came back, and what all spent, by user."""
    conf, own = begun.business.conf.truth, begun.business.chance.branch(chance)
    process = replace(begun.business.process, chance=own)
    business = replace(begun.business, chance=own, process=process)
    state, orders, users = begun.lives.state.copy(), Orders(business), business.people.size
    messaged, returned, spent = np.zeros(users), np.zeros(users), np.zeros(users)
    messaged[treated] = 1
    for ahead in range(conf.value_days):
        day = begun.day + timedelta(ahead)
        process.live(state, day, None if ahead else messaged)
        if ahead < conf.return_days:
            returned = np.maximum(returned, state.was_active)
        active = np.flatnonzero(state.was_active)
        rows = orders.happened(Today(day, active, sessions_of(business, day, active)))
        amount = rows.table["amount"].cast("float64").to_numpy()
        is_sale = pc.equal(rows.table["kind"], "sale").to_numpy()
        spent += np.bincount(rows.batches % MOST_USERS, np.where(is_sale, amount, -amount), users)
    return returned, spent
