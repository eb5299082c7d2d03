"""
What bids in real-time auctions would have bought: strategies are replayed on a log of auctions, with a budget.

A log (`log`) is what was seen of each auction. A strategy (`strategies`) turns the predicted chance of a click into a bid. A
replay (`replay`) buys what the bids win until the budget is spent, and a comparison (`compare`) sets every strategy beside
the flat bid. Pure computation: no Spark, no Postgres. docs/bidding.md says what a replay can tell, and what it cannot.
"""

from rekindle.bidding.compare import Comparison, compare
from rekindle.bidding.log import Auctions, read

__all__ = ["Auctions", "Comparison", "compare", "read"]
