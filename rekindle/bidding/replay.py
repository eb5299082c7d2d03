"""
Second-price replay, and the rule by which a strategy's number is chosen.

**Replay.** Auctions come in order of time. A bid at or above the market price wins and pays the market price. The first that
is won and costs more than what is left of the budget is not bought, and there the bidding ends: nobody goes on to live on the
few auctions that cost next to nothing.

**Protocol.** The log is cut in two halves. On the earlier one every number of a list is replayed, with a share of that half's
total market price as budget; of those with the most clicks the lowest is chosen. It is then replayed on the later half, with
the same share of the later half's total as budget, and only that counts. What else a strategy learns it learns on the earlier
half. List and rule are the same for all strategies.
By this rule the flat bid gets 37, 50, 90 and 119 clicks of season 2997 of iPinYou, at 1/32, 1/16, 1/8 and 1/4.

Source of replay and budgets: Zhang, Yuan and Wang (KDD 2014), where budgets are 1/64 to 1/2 of what the log costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rekindle.bidding.log import Auctions
    from rekindle.bidding.strategies import Bid

MOST_NUMBERS = 400
"""Of a log with more prices than this every so many is tried: clicks are too few to tell finer ones apart."""

DOUBLINGS = 5
"""A strategy may have to bid up to 2⁵ of the highest price at the mean chance to win auctions of a far lower one."""


@dataclass(frozen=True)
class Outcome:
    """What a replay bought."""

    clicks: int
    wins: int
    spend: float
    """In the unit of the log."""
    passed: float
    """Share of the auctions that had passed when the budget did not suffice; 1 where it always did."""

    @property
    def cost_per_click(self) -> float | None:
        return self.spend / self.clicks if self.clicks else None


@dataclass(frozen=True)
class Wins:
    """What bids would win without a budget: an entry per auction that is won, in order of time."""

    auction_count: int
    at: NDArray[np.intp]
    """Which auction, counted from 0."""
    spend: NDArray[np.float64]
    """Of this one and all before."""
    clicked_at: NDArray[np.intp]
    """Those of `at` that were clicked."""

    def within(self, budget: float) -> Outcome:
        """Return what is bought with a budget."""
        bought = int(np.searchsorted(self.spend, budget, side="right"))
        passed = int(self.at[bought]) if bought < len(self.at) else self.auction_count
        return Outcome(
            clicks=int(np.searchsorted(self.clicked_at, passed)),
            wins=bought,
            spend=float(self.spend[bought - 1]) if bought else 0.0,
            passed=passed / self.auction_count,
        )


def wins(auctions: Auctions, bids: NDArray[np.float64]) -> Wins:
    """Return what bids win, one bid per auction."""
    at = np.flatnonzero(bids >= auctions.market_price)
    return Wins(len(auctions), at, np.cumsum(auctions.market_price[at]), at[auctions.clicked[at]])


def replay(auctions: Auctions, bids: NDArray[np.float64], budget: float) -> Outcome:
    """Return what bids buy with a budget, in the unit of the log."""
    return wins(auctions, bids).within(budget)


def halves(auctions: Auctions) -> tuple[Auctions, Auctions]:
    """The earlier auctions, on which is chosen, and the later ones, on which is judged."""
    middle = len(auctions) // 2
    return auctions[:middle], auctions[middle:]


def numbers(earlier: Auctions) -> NDArray[np.float64]:
    """
    Return the numbers that are tried of every strategy, from low to high.

    They are the market prices that occur: between two of them a flat bid wins nothing more.
    """
    prices = np.unique(earlier.market_price)
    if len(prices) > MOST_NUMBERS:
        prices = prices[np.linspace(0, len(prices) - 1, MOST_NUMBERS).round().astype(int)]
    return np.unique(np.concatenate([prices, prices[-1] * 2.0 ** np.arange(1, DOUBLINGS + 1)]))


def clicks_by_number(
    auctions: Auctions, bid: Bid, tried: NDArray[np.float64], budgets: Sequence[float]
) -> NDArray[np.int64]:
    """Return the clicks of each number (rows) at each budget (columns)."""
    won = (wins(auctions, bid(auctions.predicted, number)) for number in tried)
    return np.array([[one.within(budget).clicks for budget in budgets] for one in won])


def chosen(earlier: Auctions, bid: Bid, tried: NDArray[np.float64], budgets: Sequence[float]) -> NDArray[np.float64]:
    """Return for each budget the number with the most clicks; of several the lowest."""
    return tried[clicks_by_number(earlier, bid, tried, budgets).argmax(axis=0)]
