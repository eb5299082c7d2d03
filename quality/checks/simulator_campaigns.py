"""On the simulated business of conf/simulation.yml, campaign intervals cover the truth in .93 to .97 of 2,000 campaigns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from quality.figures import Figure, lots
from rekindle.days import Days
from rekindle.experiments import ALPHA, compare, sums_of
from rekindle.landing.filling.simulation.business import Business, Today, sessions_of
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.naming import MOST_USERS
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.sources.orders import Orders
from rekindle.landing.filling.simulation.truth import expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CAMPAIGNS, BUSINESSES = 2_000, 40
"""Each business, with users and a calendar of its own, is lived many times from the same morning on."""

USERS = 12_000
COVERED = (0.93, 0.97)
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


def morning(n: int, drawn: np.random.Generator) -> Morning:
    """Let a business of its own come to its first day, which lies anywhere in a year."""
    day = date(2024, 1, 1) + timedelta(int(drawn.integers(366)))
    conf = parameters().model_copy(update={"seed": int(drawn.integers(2**62)) + n})
    business = Business.of(conf, USERS, Days.one(day))
    lives = Lives.begin(business)
    lapsed = np.flatnonzero((lives.last_active > 0) & (lives.last_active < day.toordinal() - LAPSE_DAYS))
    return Morning(business, lives, day, lapsed, expected(business.process, lives.state, day, lives.value(), lapsed))


def lived(begun: Morning, chance: str, treated: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Live the days of the outcomes with chance of their own: who came back, and what all spent, by user."""
    conf, own = begun.business.conf.truth, begun.business.chance.branch(chance)
    process = replace(begun.business.process, chance=own)
    business = replace(begun.business, chance=own, process=process)
    state, orders = begun.lives.state.copy(), Orders(business)
    messaged, returned, spent = np.zeros(USERS, bool), np.zeros(USERS), np.zeros(USERS)
    messaged[treated] = True
    for ahead in range(conf.value_days):
        day = begun.day + timedelta(ahead)
        process.live(state, day, None if ahead else messaged)
        if ahead < conf.return_days:
            returned = np.maximum(returned, state.was_active)
        active = np.flatnonzero(state.was_active)
        rows = orders.happened(Today(day, active, sessions_of(business, day, active)))
        amount = rows.table["amount"].cast("float64").to_numpy()
        is_sale = pc.equal(rows.table["kind"], "sale").to_numpy()
        spent += np.bincount(rows.batches % MOST_USERS, np.where(is_sale, amount, -amount), USERS)
    return returned, spent


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Assign the lapsed at random, live on, and count how often the interval holds what was truly caused."""
    drawn = lots("Rekindle's campaigns in the simulated business")
    businesses = max(round(BUSINESSES * size), 1)
    each = max(round(CAMPAIGNS * size / businesses), 1)
    covered: dict[str, list[bool]] = {"returns": [], "value": []}
    texted = []
    for n in range(businesses):
        begun = morning(n, drawn)
        blurred = begun.told["expected_revenue"] * np.exp(drawn.normal(0, 0.5, len(begun.lapsed)))
        for campaign in range(each):
            is_treated = drawn.random(len(begun.lapsed)) < drawn.uniform(0.5, 0.9)
            returned, spent = lived(begun, f"campaign {campaign}", begun.lapsed[is_treated])
            texted.append(is_treated.sum())
            for name, outcome, caused in (("returns", returned, "uplift"), ("value", spent, "value_uplift")):
                arms = {
                    arm: sums_of(outcome[begun.lapsed[chosen]], blurred[chosen])
                    for arm, chosen in (("sent", is_treated), ("control", ~is_treated))
                }
                (found,) = compare(arms, "control", has_covariate=True)
                low, high = found.effect.interval(ALPHA)
                covered[name].append(low <= begun.told[caused][is_treated].mean() <= high)
    yield Figure(
        "simulated campaigns whose interval covers the true incremental value", np.mean(covered["value"]), *COVERED
    )
    yield Figure(
        "simulated campaigns whose interval covers the true incremental returns", np.mean(covered["returns"]), *COVERED
    )
    yield Figure("simulated campaigns", len(texted), digits=0)
    yield Figure("users texted in a campaign, median", np.median(texted), digits=0)
