"""
Choosing: who is in a campaign, with which offer and in which arm.

Choosing the most gain under a budget is a knapsack. It is filled greedily by gain per cost: that is the best there is as long
as a message costs little of the budget, because at most the last user's gain is lost; and costs of messages are nearly equal.

The arm comes from a salted hash of campaign and phone, so it depends on nothing that was chosen by, the same campaign always
gives it again, and two users who share a phone are in one arm. What a plan spends is what its treatment arms cost: controls
are chosen, assigned and not texted.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from rekindle.campaigns import gain
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.campaigns.offers import Offer

CONTROL = "control"

STEPS = 2.0**64


@dataclass(frozen=True)
class Candidates:
    """Who may be texted, column by column; one row per user."""

    user_id: np.ndarray
    unit: np.ndarray
    """What is randomised: HMAC of the phone, else the user."""
    probability: np.ndarray
    """Of a return without a message."""
    value: np.ndarray
    """If the user returns, in money; what is not known is not a candidate."""
    value_low: np.ndarray
    value_high: np.ndarray
    lapsed_days: np.ndarray
    segment_cost: np.ndarray
    """Of one segment of a text message to the user's country."""
    uplift: np.ndarray
    """By a message, as campaigns have shown it of this user, within what the chance allows; NaN where they have not."""
    uplift_low: np.ndarray
    uplift_high: np.ndarray

    def __len__(self) -> int:
        return len(self.user_id)

    def where(self, kept: np.ndarray) -> Candidates:
        """Return the rows that `kept` names, by place or by a mask."""
        return Candidates(**{name: column[kept] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Arm:
    """An arm that is texted; `weight` is its share among those, and an `offer` is given to all of it."""

    name: str
    weight: float
    offer: Offer | None = None
    segments: int = 1
    """What its message is billed as."""


@dataclass(frozen=True)
class Terms:
    """Under which a plan chooses."""

    campaign: str
    salt: str
    budget: float
    control_share: float
    arms: tuple[Arm, ...]
    offers: tuple[Offer, ...]
    prior_lift: float
    margin: float
    capacity: int | None = None
    """At most so many messages."""
    min_roi: float = -np.inf
    """Expected gain for each unit of cost, at least; of who is chosen last, not on average."""
    min_gain: float = 0.0
    """Expected gain of a user must be above this."""

    def offers_of(self, arm: Arm) -> tuple[Offer, ...]:
        """Return what the plan may pick for users of an arm: where arms are about offers, what the arm is about."""
        if arm.offer:
            return (arm.offer,)
        return self.offers[:1] if any(one.offer for one in self.arms) else self.offers


@dataclass(frozen=True)
class Offered:
    """What each candidate would be given, and what is expected of it; places in `offers`."""

    offer: np.ndarray
    lift: np.ndarray
    """Share by which it raises the odds of a return; NaN where the user's own uplift counts."""
    uplift: np.ndarray
    value: np.ndarray
    """value_if_returns with the margin that the offer leaves."""
    cost: np.ndarray
    gain: np.ndarray

    def where(self, kept: np.ndarray) -> Offered:
        return Offered(**{name: column[kept] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Chosen:
    """Who is in a campaign, in its order: the first is texted first."""

    place: np.ndarray
    """Of the candidate."""
    arm: np.ndarray
    """Name of the arm."""
    is_control: np.ndarray
    chance: np.ndarray
    """Probability of being assigned to this arm."""
    offered: Offered
    ended_by: str
    """What ended the list: budget, capacity, min_roi, min_gain, or everyone."""


def draw(campaign: str, salt: str, units: Sequence[str]) -> np.ndarray:
    """Draw a number in [0, 1) for each unit, by a salted hash: the same again, and no other campaign's."""
    prefix = f"campaign {len(campaign)} {campaign} {salt} ".encode()
    seed = sha256(prefix)
    numbers = np.empty(len(units))
    for place, unit in enumerate(units):
        hashed = seed.copy()
        hashed.update(unit.encode())
        numbers[place] = int.from_bytes(hashed.digest()[:8]) / STEPS
    # The division rounds, and the largest hashes round to 1.
    return np.minimum(numbers, np.nextafter(1.0, 0.0))


def arms_of(terms: Terms, units: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the arm of each unit, as its place, and its probability; place 0 is the control."""
    weights = np.array([arm.weight for arm in terms.arms])
    shares = np.array([terms.control_share, *(1 - terms.control_share) * weights / weights.sum()])
    arm = np.searchsorted(np.cumsum(shares)[:-1], draw(terms.campaign, terms.salt, units), side="right")
    return arm, shares[arm]


def offer_each(candidates: Candidates, terms: Terms, arm: Arm) -> Offered:
    """Pick for each candidate the offer of an arm that is expected to gain most; the first of equals, which is no offer."""
    each = [_with(candidates, offer, terms, arm.segments) for offer in terms.offers_of(arm)]
    best = np.argmax([one.gain for one in each], axis=0)
    return _taken(each, best)


def _taken(each: Sequence[Offered], which: np.ndarray) -> Offered:
    """Take of several columns, row by row, the one that `which` names."""
    rows = np.arange(len(which))
    return Offered(**{name: np.array([vars(one)[name] for one in each])[which, rows] for name in vars(each[0])})


def _with(candidates: Candidates, offer: Offer, terms: Terms, segments: int) -> Offered:
    """
    What is expected of every candidate with an offer; who may not get it gains least.

    An offer's own lift is what the business says of it. The lift of all gives way to a user's own uplift.
    """
    size = len(candidates)
    usual = np.where(np.isnan(candidates.uplift), terms.prior_lift, np.nan)
    lift = usual if offer.lift is None else np.full(size, float(offer.lift))
    caused = np.where(np.isnan(lift), candidates.uplift, gain.uplift(candidates.probability, lift))
    value = candidates.value * ((offer.margin if offer.margin is not None else terms.margin) / terms.margin)
    # Margin is lost on whoever comes anyway, too: what their return would have brought without the offer.
    given_away = candidates.probability * np.maximum(candidates.value - value, 0.0)
    redeemed = (candidates.probability + caused) * offer.cost
    cost = candidates.segment_cost * segments + redeemed + given_away
    expected = gain.expected_gain(caused, value, cost)
    allowed = candidates.value >= offer.lowest_value
    place = np.full(size, terms.offers.index(offer))
    return Offered(place, lift, caused, value, cost, np.where(allowed, expected, -np.inf))


def choose(candidates: Candidates, terms: Terms) -> Chosen:
    """
    Choose who is in the campaign, both arms, under budget, capacity, return on investment and lowest gain.

    Raises InputError for terms that nothing can be chosen under. Ends with the first who does not fit, so that who is
    chosen depends on nobody's arm but for the place where the list ends.
    """
    refuse_wrong(terms)
    arm, chance = arms_of(terms, candidates.unit.tolist())
    planned, own = _offered(candidates, terms, arm)
    ratio = per_cost(planned.gain, planned.cost)
    gains, pays = planned.gain > terms.min_gain, ratio >= terms.min_roi
    order = np.lexsort((candidates.user_id, -planned.gain, -ratio))
    order = order[(gains & pays)[order]]
    is_control = arm[order] == 0
    spent = np.cumsum(np.where(is_control, 0.0, own.cost[order]))
    ends = {
        # How sums of floating-point numbers differ is no reason to stop.
        "budget": _first(spent > terms.budget + 1e-9),
        "capacity": _first(np.cumsum(~is_control) > terms.capacity) if terms.capacity is not None else len(order),
    }
    ended_by = min(ends, key=lambda name: ends[name])
    if ends[ended_by] == len(order):
        ended_by = "min_roi" if (gains & ~pays).any() else "everyone" if gains.all() else "min_gain"
    taken = order[: min(ends.values())]
    names = np.array([CONTROL, *(one.name for one in terms.arms)], object)
    return Chosen(taken, names[arm[taken]], arm[taken] == 0, chance[taken], own.where(taken), ended_by)


def _offered(candidates: Candidates, terms: Terms, arm: np.ndarray) -> tuple[Offered, Offered]:
    """
    Return what the choice goes by, and what each is given in the own arm.

    The choice must not depend on the arm, so it goes by the mean of arms that differ. They are compared among users who may
    be in any of them: who may not get an arm's offer gains least.
    """
    each = [offer_each(candidates, terms, one) for one in terms.arms]
    # A control is given nothing; what it might have been given is told by the first arm.
    own = _taken(each, np.maximum(arm - 1, 0))
    weights = np.array([one.weight for one in terms.arms])
    mean = {name: np.average([vars(one)[name] for one in each], axis=0, weights=weights) for name in vars(own)}
    return Offered(**mean), own


def per_cost(gained: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Return gain for each unit of cost; what costs nothing comes first, or last where it loses."""
    free = np.where(gained > 0, np.inf, -np.inf)
    return np.divide(gained, cost, out=free, where=cost > 0)


def _first(stops: np.ndarray) -> int:
    """Place of the first that stops; the length where none does."""
    return int(np.argmax(stops)) if stops.any() else len(stops)


def refuse_wrong(terms: Terms) -> None:
    """Raise InputError for terms under which nobody could be chosen, or nothing measured."""
    names = [arm.name for arm in terms.arms]
    wrong = {
        "The budget is not above 0.": not terms.budget > 0,
        "The capacity is not above 0.": terms.capacity is not None and terms.capacity <= 0,
        "The share of the control is not within 0 and 1.": not 0 <= terms.control_share < 1,
        "There is no arm to text.": not terms.arms or any(not arm.weight > 0 for arm in terms.arms),
        "Two arms have one name.": len({*names, CONTROL}) <= len(names),
    }
    for what, is_so in wrong.items():
        if is_so:
            raise InputError(what, todo="See rekindle plan --help.", safe="Nothing was planned.", code="usage")
