"""
Every strategy beside the flat bid, at each budget, with an interval.

The interval is of the difference in clicks: percentiles of 1,000 bootstrap draws (Künsch 1989, blocks; Politis and Romano 1992,
in a circle). A draw puts blocks of consecutive auctions together to a log as long as the later half, and both are replayed on
it with their bids and their budget, so that when the money ends differs from draw to draw. It holds for the numbers that were
chosen: that others might have been chosen on another earlier half is not in it.

**Blocks** are of 1,000 auctions: neighbours are alike in price and in who sees them, a block keeps them together, and the half
of the real log still gives 78. Any length from 1 to 8,000 gives about the same widths there. Shorter logs have 20 blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from rekindle.bidding.replay import chosen, clicks_by_number, halves, numbers, replay
from rekindle.bidding.strategies import FLAT, STRATEGIES
from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from rekindle.bidding.log import Auctions
    from rekindle.bidding.replay import Outcome
    from rekindle.bidding.strategies import Strategy

DRAWS = 1000
BLOCK_LENGTH = 1000
LEAST_BLOCKS = 20
PERCENTILES = (2.5, 97.5)

Verdict = Literal["better", "worse", "cannot be told from flat"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Difference:
    """Clicks more than the flat bid at the same budget, with the ends of a 95 % interval."""

    clicks: int
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "cannot be told from flat"


@dataclass(frozen=True)
class Judged:
    """A strategy at a budget, on the later half."""

    strategy: Strategy
    budget: float
    """In the unit of the log."""
    number: float
    outcome: Outcome
    from_flat: Difference | None
    """None for the flat bid itself."""
    hindsight_clicks: int
    """Of the number that would have been best on the later half itself: nobody knows it, and nothing is judged by it."""


@dataclass(frozen=True)
class Comparison:
    """What a replay of a log says."""

    auction_count: int
    judged_count: int
    judged_clicks: int
    judged_price: float
    """What all judged auctions cost together: budgets are shares of it."""
    draws: int
    block_length: int
    by_budget: dict[Fraction, list[Judged]]
    """The flat bid first."""


def compare(
    auctions: Auctions,
    budgets: Sequence[Fraction],
    *,
    others: Sequence[Strategy] = STRATEGIES[1:],
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """
    Compare strategies with the flat bid at budgets that are shares of what the log costs.

    Raises InputError where no click was seen in the earlier half: nothing could be chosen by it.
    """
    earlier, later = halves(auctions)
    if not earlier.clicked.any():
        raise InputError(
            "No auction of the earlier half of the log was clicked, so no bid can be chosen by its clicks.",
            todo="Give a longer log.",
            safe="Nothing was computed.",
            code="no_clicks",
        )
    blocks = Blocks.drawn(len(later), draws, seed)
    played = [_play(strategy, earlier, later, budgets, blocks) for strategy in (FLAT, *others)]
    return Comparison(
        auction_count=len(auctions),
        judged_count=len(later),
        judged_clicks=int(later.clicked.sum()),
        judged_price=later.total_price,
        draws=draws,
        block_length=blocks.length,
        by_budget={share: _beside_flat([one[k] for one in played]) for k, share in enumerate(budgets)},
    )


@dataclass(frozen=True)
class _Played:
    """A strategy at a budget, with its clicks in each draw."""

    judged: Judged
    drawn: NDArray[np.int64]


def _play(
    strategy: Strategy, earlier: Auctions, later: Auctions, budgets: Sequence[Fraction], blocks: Blocks
) -> list[_Played]:
    """Choose on the earlier half, replay on the later one and on each draw of it; one for each budget."""
    bid, tried = strategy.learn(earlier), numbers(earlier)
    money = [float(share) * later.total_price for share in budgets]
    best = chosen(earlier, bid, tried, [float(share) * earlier.total_price for share in budgets])
    hindsight = clicks_by_number(later, bid, tried, money).max(axis=0)
    played = []
    for budget, number, most in zip(money, best, hindsight, strict=True):
        bids = bid(later.predicted, number)
        judged = Judged(strategy, budget, float(number), replay(later, bids, budget), None, int(most))
        played.append(_Played(judged, blocks.clicks(later, bids, budget)))
    return played


def _beside_flat(played: Sequence[_Played]) -> list[Judged]:
    flat, *others = played
    return [flat.judged, *(replace(one.judged, from_flat=_difference(one, flat)) for one in others)]


def _difference(one: _Played, flat: _Played) -> Difference:
    low, high = np.percentile(one.drawn - flat.drawn, PERCENTILES)
    return Difference(one.judged.outcome.clicks - flat.judged.outcome.clicks, float(low), float(high))


@dataclass(frozen=True)
class Blocks:
    """
    Logs that are put together from blocks of one log, which is taken for a circle.

    `starts` has a row per draw and a column per block: the auction with which it begins. The last block is cut so that every
    drawn log is as long as the log itself.
    """

    length: int
    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    """Of each block of a draw."""

    @classmethod
    def drawn(cls, auction_count: int, draws: int, seed: int) -> Self:
        length = max(min(BLOCK_LENGTH, auction_count // LEAST_BLOCKS), 1)
        count = -(-auction_count // length)
        starts = np.random.default_rng(seed).integers(0, auction_count, (draws, count))
        lengths = np.full(count, length)
        lengths[-1] = auction_count - length * (count - 1)
        return cls(length, starts, lengths)

    def clicks(self, auctions: Auctions, bids: NDArray[np.float64], budget: float) -> NDArray[np.int64]:
        """
        Return the clicks of a replay of each draw.

        What a block costs is the difference of two running sums, so that only the block in which the money ends is looked into.
        """
        won = bids >= auctions.market_price
        spend = self._running(np.where(won, auctions.market_price, 0.0))
        clicks = self._running((won & auctions.clicked).astype(np.int64))
        ends = self.starts + self.lengths
        spent = np.cumsum(spend[ends] - spend[self.starts], axis=1)
        gained = np.cumsum(clicks[ends] - clicks[self.starts], axis=1)
        whole = (spent <= budget).sum(axis=1)
        short = np.flatnonzero(whole < len(self.lengths))
        before = whole[short] - 1
        found = gained[:, -1].copy()
        start = self.starts[short, whole[short]]
        left = budget - np.where(before >= 0, spent[short, before], 0.0)
        bought_to = np.searchsorted(spend, spend[start] + left, side="right") - 1
        found[short] = np.where(before >= 0, gained[short, before], 0) + clicks[bought_to] - clicks[start]
        return found

    def _running(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sums of the first 0, 1, … values, a block beyond the end, where the circle goes on."""
        return np.concatenate([[0], np.cumsum(np.concatenate([values, values[: self.length]]))])
