"""
Strategies: what is bid for an auction, by its predicted chance of a click.

Each has one number that sets how much it spends: what it bids where the predicted chance is the mean of the earlier auctions,
or, of a flat bid, wherever it bids at all. So the numbers of all strategies mean the same, and the same ones are tried of each.
What else a strategy needs it learns from the earlier auctions. A new one is a function here and a line in STRATEGIES.

Sources: Perlich et al., *Bid Optimizing and Inventory Scoring in Targeted Online Advertising* (KDD 2012), for the linear bid;
Zhang, Yuan and Wang, *Optimal Real-Time Bidding for Display Advertising* (KDD 2014), for ORTB1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rekindle.bidding.log import Auctions

Bid = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""From the predicted chances, one per auction, and the number to the bids, one per auction, in the unit of market prices."""

NO_BID = -np.inf
"""Wins nothing: a bid of 0 would win what costs nothing."""


LEAST_CHANCE = 1e-12
"""A mean chance below this is no prediction, and multiples of it would pass what a number can hold."""


@dataclass(frozen=True)
class Strategy:
    """A way to bid: `learn` makes it from the earlier auctions."""

    name: str
    told: str
    """What it does, for people."""
    learn: Callable[[Auctions], Bid]


def _flat(_: Auctions) -> Bid:
    return lambda predicted, number: np.full(len(predicted), float(number))


def _linear(earlier: Auctions) -> Bid:
    relative = _relative(earlier)
    return lambda predicted, number: number * relative(predicted)


def _ortb1(earlier: Auctions) -> Bid:
    """
    Bid sqrt(p c / λ + c²) less c, where a bid b wins with the chance b / (c + b).

    λ is what the number sets: the bid at the mean chance is x where c / λ = (x² + 2 c x) / mean.
    """
    relative, c = _relative(earlier), half_won_at(earlier.market_price)
    return lambda predicted, number: np.sqrt((number**2 + 2 * c * number) * relative(predicted) + c**2) - c


def _flat_above(share: float) -> Callable[[Auctions], Bid]:
    """Bid on the highest share of the earlier chances; of those that are equal to the least of them on all."""

    def learn(earlier: Auctions) -> Bid:
        least = np.quantile(earlier.predicted, 1 - share)
        return lambda predicted, number: np.where(predicted >= least, number, NO_BID)

    return learn


def _relative(earlier: Auctions) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The predicted chance as a multiple of its earlier mean; where that is as good as 0, all are taken for equal."""
    mean = float(earlier.predicted.mean())
    return lambda predicted: predicted / mean if mean > LEAST_CHANCE else np.ones(len(predicted))


def half_won_at(market_price: NDArray[np.float64]) -> float:
    """
    Return the c with which b / (c + b) is nearest to the share of auctions that a bid b wins, by least squares.

    The paper's form of the winning function. It is fitted at the percentiles of the market price, and c is one of them.
    """
    won = np.arange(1, 100) / 100
    bids = np.quantile(market_price, won)
    candidates = np.unique(bids[bids > 0])
    if not len(candidates):
        return 1.0
    off = bids / (candidates[:, None] + bids) - won
    return float(candidates[(off**2).sum(axis=1).argmin()])


FLAT = Strategy("flat", "the same bid for all", _flat)

STRATEGIES = (
    FLAT,
    Strategy("linear", "in proportion to the predicted chance", _linear),
    Strategy("ortb1", "more for a higher chance, and less than in proportion", _ortb1),
    Strategy("top_50", "the same bid, for the upper half by predicted chance", _flat_above(0.5)),
    Strategy("top_25", "the same bid, for the upper quarter by predicted chance", _flat_above(0.25)),
)
"""The flat bid first: it is what the others are compared with."""
