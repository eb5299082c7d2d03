"""
Ads at equal spend in a simulated business: the same bid for all, and what Rekindle publishes, held beside what ads truly change.

Exchanges ask for each user at most once within the days in which a return counts. What is published is valid for the morning
alone, so the requests of that many days are judged as if all of them came then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from quality.figures import Figure, lots
from rekindle.landing.filling.simulation.auctions import MILLIONTHS
from rekindle.landing.filling.simulation.truth import expected
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from numpy.typing import NDArray

    from quality.mornings import Morning
    from rekindle.landing.filling.simulation.parameters import Parameters

    Floats = NDArray[np.float64]

BUDGETS = {"1/16": 1 / 16, "1/8": 1 / 8, "1/4": 1 / 4}
"""Shares of what all requests would cost at market prices."""

DRAWS = 2000


@dataclass(frozen=True)
class Decided:
    """What was decided of the users with a device, a place each in every array; of the control group there is nobody."""

    users: NDArray[np.intp]
    multiplier: Floats
    """What the usual bid is multiplied by; 0 where there is no bid."""


@dataclass(frozen=True)
class Requests:
    """Requests for users who agree to ads, a place each in every array."""

    price: Floats
    """What the winner pays."""
    gain: Floats
    """What an ad that is shown truly adds to the expected revenue."""
    returns: Floats
    """And to the probability to return."""
    multiplier: Floats


def silent(conf: Parameters) -> Parameters:
    """Let exchanges ask, and bid for nobody: lives are those of a business without auctions, with devices and consents beside."""
    control = conf.auctions.strategies["control"].model_copy(update={"share": 1.0})
    auctions = conf.adding("auctions").auctions.model_copy(update={"strategies": {"control": control}})
    return conf.model_copy(update={"auctions": auctions})


def decided(day: date) -> Decided:
    """Read what was decided of who agrees to ads; of a user's devices the highest bid counts."""
    from rekindle.warehouse.spark import session

    rows = (
        session()
        .sql(
            f"""
            select devices.user_id, max(if(decisions.no_bid_reason is null, decisions.multiplier, 0)) as multiplier
            from marts.rta_decisions as decisions
            inner join (select distinct user_id, id_hash from raw.devices where day <= date'{day}') as devices
                on devices.id_hash = decisions.id_hash
            where decisions.day = date'{day}' and decisions.is_permitted and not decisions.is_control
            group by devices.user_id
            """
        )
        .collect()
    )
    users = np.array([int(row["user_id"].removeprefix("u")) for row in rows], np.intp)
    return Decided(users, np.array([float(row["multiplier"]) for row in rows]))


def requests(begun: Morning, decisions: Decided) -> Requests:
    """Ask for users, and tell of each what an ad would change on the morning."""
    business, conf = begun.business, begun.business.conf
    if business.auctions is None:
        raise ValueError("The business has no auctions.")
    asked = [business.auctions.asked(begun.day + timedelta(ahead)) for ahead in range(conf.truth.return_days)]
    users = np.concatenate([one.users for one in asked])
    price = np.concatenate([one.market_price for one in asked]) / MILLIONTHS
    multipliers = np.full(business.people.size, -1.0)
    multipliers[decisions.users] = decisions.multiplier
    agrees = multipliers[users] >= 0
    users, price = users[agrees], price[agrees]
    told = expected(
        business.process, begun.lives.state, begun.day, begun.lives.value(), users, strength=conf.auctions.strength
    )
    return Requests(price, settings().margin * told["value_uplift"], told["uplift"], multipliers[users])


def compared(begun: Morning, decisions: Decided) -> Iterator[Figure]:
    """Hold the ways to bid beside each other at the same spend; the interval is of which users were asked for."""
    log = requests(begun, decisions)
    yield Figure("ads: requests for users who agree to them", len(log.price), digits=0)
    yield Figure("ads: share of them that is bid for", (log.multiplier > 0).mean(), 0.1, 0.9)
    ways = {
        "the same for all": np.ones(len(log.price)),
        "the same for whom Rekindle wants": (log.multiplier > 0).astype(float),
        "as Rekindle says": log.multiplier,
    }
    flat, *_, ours = ways
    for budget, share in BUDGETS.items():
        bought = {name: won(log, way, share) for name, way in ways.items()}
        for name, is_won in bought.items():
            yield Figure(f"ads for {budget}, {name}: spend", log.price[is_won].sum())
            yield Figure(f"ads for {budget}, {name}: true incremental returns", log.returns[is_won].sum())
            yield Figure(f"ads for {budget}, {name}: true incremental margin", log.gain[is_won].sum(), digits=2)
        low, high = interval(log, ways[flat], ways[ours], share)
        yield Figure(f"ads for {budget}: margin more than by the same bid, lower end of 95 %", low, 0.0, digits=2)
        yield Figure(f"ads for {budget}: margin more than by the same bid, upper end of 95 %", high, digits=2)


def won(log: Requests, way: Floats, share: float, weight: Floats | None = None) -> NDArray[np.bool_]:
    """
    Which requests are won where the usual bid is as high as a share of what all cost lets it be.

    Bids are `way` times the usual bid, auctions are of second price: one is won once the usual bid reaches price / way.
    """
    weight = np.ones(len(log.price)) if weight is None else weight
    needed = np.divide(log.price, way, out=np.full(len(way), np.inf), where=way > 0)
    order = np.argsort(needed, kind="stable")
    spend = np.cumsum((weight * log.price)[order])
    is_won = np.zeros(len(way), bool)
    is_won[order] = (spend <= share * (weight * log.price).sum()) & np.isfinite(needed[order])
    return is_won


def interval(log: Requests, flat: Floats, ours: Floats, share: float) -> tuple[float, float]:
    """Draw users anew, choose the bids anew, and tell between which ends 95 % of the differences in margin lie."""
    draw, size = lots("ads at equal spend"), len(log.price)
    found = []
    for _ in range(DRAWS):
        weight = np.bincount(draw.integers(0, size, size), minlength=size).astype(float)
        ends = [(weight * log.gain)[won(log, way, share, weight)].sum() for way in (ours, flat)]
        found.append(ends[0] - ends[1])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
