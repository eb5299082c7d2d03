"""
Strategies: what the plan is expected to bring, beside other ways to spend the same budget.

The interval of a figure contains two things: how far the lift and the value of a return may be off (the lift's range of the
settings, or each user's own uplift_low and _high, and each user's value_if_returns_low and _high, all at their ends at once),
and that whether a user returns because of a message is chance (10th to 90th percentile of a sum of independent returns). It
contains no doubt about the probabilities themselves, nor about what happens to a business meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rekindle.campaigns import gain
from rekindle.campaigns.choosing import offer_each, per_cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.campaigns.choosing import Candidates, Offered, Terms

Z = 1.2815515594457409
"""Of the 90th percentile."""

CURVE_POINTS = 60


@dataclass(frozen=True)
class Range:
    """A figure with the interval that this module's head describes."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Expected:
    """What texting some users is expected to do; each of them is texted, controls are not among them."""

    texted: int
    cost: float
    responses: float
    """How many of them return, most of whom would have returned by themselves."""
    returns: Range
    """How many return because of the message."""
    value: Range
    """What those returns are worth, in money."""

    @property
    def gain(self) -> float:
        """Value minus cost."""
        return self.value.expected - self.cost

    @property
    def cost_per_return(self) -> float | None:
        """Cost of a return that a message caused."""
        return self.cost / self.returns.expected if self.returns.expected > 0 else None


@dataclass(frozen=True)
class Point:
    """So many users texted, in the plan's order, and what is expected of them all; the last one's return on investment."""

    texted: int
    cost: float
    returns: float
    value: float
    marginal_roi: float | None
    """Gain for each unit of its cost; None where that is 0."""


def expected(candidates: Candidates, offered: Offered, lifts: tuple[float, float], usual_lift: float) -> Expected:
    """
    Return what texting all of the candidates is expected to do.

    `lifts` are the ends of the range of the usual lift; the lift of an offer moves in proportion. A user's own uplift has ends of
    its own.
    """
    p, value, up = candidates.probability, offered.value, offered.uplift
    own = (candidates.uplift_low, candidates.uplift_high)
    ends = [
        np.where(np.isnan(offered.lift), end_of_user, gain.uplift(p, offered.lift * (end / usual_lift)))
        for end, end_of_user in zip(lifts, own, strict=True)
    ]
    of_value = np.divide(value, candidates.value, out=np.ones(len(p)), where=candidates.value > 0)
    worth = [value, candidates.value_low * of_value, candidates.value_high * of_value]
    return Expected(
        texted=len(candidates),
        cost=float(offered.cost.sum()),
        responses=float((p + up).sum()),
        returns=_range(up, ends, [np.ones(len(p))] * 3),
        value=_range(up, ends, worth),
    )


def _range(up: np.ndarray, ends_of_up: list[np.ndarray], worth: list[np.ndarray]) -> Range:
    middle, least, most = worth
    ends = [
        float((u * w).sum()) + sign * Z * float(np.sqrt((np.abs(u) * (1 - np.abs(u)) * w * w).sum()))
        for u, w, sign in zip(ends_of_up, (least, most), (-1, 1), strict=True)
    ]
    # Where no message keeps anybody from returning, none of the returns is less than 0; a value may be.
    floor = 0.0 if (least >= 0).all() and all((u >= 0).all() for u in ends_of_up) else -np.inf
    return Range(float((up * middle).sum()), max(ends[0], floor), ends[1])


def orders(candidates: Candidates, offered: Offered, seed: int) -> Mapping[str, np.ndarray]:
    """Return the orders in which strategies text, by name; ties by user."""
    by = {
        "plan": -per_cost(offered.gain, offered.cost),
        "random": np.random.default_rng(seed).random(len(candidates)),
        "most recent first": candidates.lapsed_days,
        "most likely to return": -candidates.probability,
    }
    return {name: np.lexsort((candidates.user_id, column)) for name, column in by.items()}


def compared(
    candidates: Candidates, terms: Terms, lifts: tuple[float, float], spend: float, seed: int
) -> dict[str, Expected]:
    """
    Return what each strategy is expected to do with `spend`, which is what the plan's messages cost; everyone costs more.

    All of them text as the plan's first arm does, so that they differ in nothing but whom they text; none keeps a control.
    """
    offered = offer_each(candidates, terms, terms.arms[0])
    found = {}
    for name, order in orders(candidates, offered, seed).items():
        taken = order[np.cumsum(offered.cost[order]) <= spend + 1e-9]
        found[name] = expected(candidates.where(taken), offered.where(taken), lifts, terms.prior_lift)
    found["text everyone"] = expected(candidates, offered, lifts, terms.prior_lift)
    return found


def curve(candidates: Candidates, offered: Offered) -> list[Point]:
    """Return what texting the first 1, …, all candidates in the plan's order is expected to do, at some of these sizes."""
    size = len(candidates)
    if size == 0:
        return []
    order = np.lexsort((candidates.user_id, -offered.gain, -per_cost(offered.gain, offered.cost)))
    up = offered.uplift[order]
    cost, returns = np.cumsum(offered.cost[order]), np.cumsum(up)
    value = np.cumsum(up * offered.value[order])
    roi = per_cost(offered.gain, offered.cost)[order]
    places = np.unique(np.linspace(0, size - 1, min(size, CURVE_POINTS)).round().astype(int))
    return [
        Point(
            int(at) + 1,
            float(cost[at]),
            float(returns[at]),
            float(value[at]),
            float(roi[at]) if np.isfinite(roi[at]) else None,
        )
        for at in places
    ]
