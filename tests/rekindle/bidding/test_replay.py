"""A replay buys what a plain loop over the auctions buys, and never more than the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekindle.bidding import strategies
from rekindle.bidding.compare import Blocks
from rekindle.bidding.log import Auctions
from rekindle.bidding.replay import Outcome, chosen, halves, numbers, replay
from rekindle.bidding.strategies import FLAT, STRATEGIES


def by_loop(auctions: Auctions, bids, budget: float) -> Outcome:
    """The definition, auction by auction."""
    clicks = wins = 0
    spend = 0.0
    for n, (bid, price) in enumerate(zip(bids, auctions.market_price, strict=True)):
        if bid < price:
            continue
        if spend + price > budget:
            return Outcome(clicks, wins, spend, n / len(auctions))
        spend += price
        wins += 1
        clicks += int(auctions.clicked[n])
    return Outcome(clicks, wins, spend, 1.0)


def log(clicked, market_price, predicted) -> Auctions:
    return Auctions(np.array(clicked, bool), np.array(market_price, float), np.array(predicted, float))


PRICES = st.one_of(st.integers(0, 9).map(float), st.floats(0, 300))


@st.composite
def logs(draw, prices=PRICES, least: int = 1):
    rows = st.tuples(st.booleans(), prices, st.floats(0, 1))
    return log(*zip(*draw(st.lists(rows, min_size=least, max_size=60)), strict=True))


@settings(max_examples=200, deadline=None)
@given(logs(), st.data())
def test_a_replay_is_the_loop(auctions, data):
    bid = st.one_of(PRICES, st.just(strategies.NO_BID))
    bids = np.array(data.draw(st.lists(bid, min_size=len(auctions), max_size=len(auctions))))
    budget = data.draw(st.floats(0, 1)) * auctions.total_price
    found = replay(auctions, bids, budget)

    assert found == by_loop(auctions, bids, budget)
    assert found.spend <= budget


@settings(max_examples=100, deadline=None)
@given(logs(least=2), st.sampled_from(STRATEGIES), st.floats(0.01, 1))
def test_no_strategy_spends_more_than_its_budget_or_bids_what_is_no_number(auctions, strategy, share):
    earlier, later = halves(auctions)
    bid = strategy.learn(earlier)
    budget = share * later.total_price
    for number in numbers(earlier):
        bids = bid(later.predicted, number)
        assert not np.isnan(bids).any()
        assert replay(later, bids, budget).spend <= budget


def test_all_is_bought_where_the_budget_is_all_and_the_bid_the_highest_price():
    auctions = log([True] * 3, [0.1, 0.2, 0.3], [0.5] * 3)

    assert replay(auctions, np.full(3, 0.3), auctions.total_price) == Outcome(3, 3, auctions.total_price, 1.0)


def test_the_bidding_ends_with_the_first_auction_that_cannot_be_paid():
    """The cheap click after it is not bought, though there would be money for it."""
    auctions = log([True, True, True], [5, 6, 1], [0.5] * 3)

    assert replay(auctions, np.full(3, 9.0), 10) == Outcome(1, 1, 5.0, 1 / 3)


def test_without_a_click_there_is_no_cost_of_one():
    assert replay(log([False], [5], [0.5]), np.array([5.0]), 5).cost_per_click is None


def test_the_lowest_of_equally_good_numbers_is_chosen():
    auctions = log([True, False, False], [2, 3, 4], [0.5] * 3)

    assert chosen(auctions, FLAT.learn(auctions), np.array([1.0, 2.0, 3.0, 4.0]), [9.0, 1.0]).tolist() == [2.0, 1.0]


def test_halves_are_in_order_of_time_and_share_nothing():
    earlier, later = halves(log([False] * 5, range(5), [0.5] * 5))

    assert (earlier.market_price.tolist(), later.market_price.tolist()) == ([0, 1], [2, 3, 4])


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: one.name)
def test_a_number_is_the_bid_at_the_mean_chance(strategy):
    earlier = log([False] * 4, [10, 20, 40, 90], [0.1, 0.2, 0.3, 0.4])
    bids = strategy.learn(earlier)(np.array([0.1, 0.25, 0.4]), 50.0)
    at_mean = bids[1] if strategy.name != "top_25" else bids[2]

    assert at_mean == pytest.approx(50)
    assert bids.tolist() == sorted(bids)


@pytest.mark.parametrize("chance", [0.0, 5e-324])
def test_chances_that_are_as_good_as_0_are_taken_for_equal(chance):
    earlier = log([False] * 2, [0, 90], [chance] * 2)
    for strategy in STRATEGIES:
        assert strategy.learn(earlier)(np.array([chance, 1.0]), 50.0) == pytest.approx(50), strategy.name


def test_ortb1_bids_by_the_formula_of_its_paper():
    earlier = log([False] * 4, [10, 20, 40, 90], [0.1, 0.2, 0.3, 0.4])
    c, mean, number = strategies.half_won_at(earlier.market_price), 0.25, 50.0
    by_lambda = c * mean / (number**2 + 2 * c * number)
    ortb1 = next(one for one in STRATEGIES if one.name == "ortb1").learn(earlier)

    assert ortb1(np.array([0.4]), number)[0] == pytest.approx(np.sqrt(c / by_lambda * 0.4 + c**2) - c)


def test_the_winning_function_is_found_again():
    """Prices of which b / (b + 30) are at most b."""
    shares = np.random.default_rng(0).random(20_000)

    assert strategies.half_won_at(30 * shares / (1 - shares)) == pytest.approx(30, rel=0.1)


def test_filters_bid_on_their_share_of_the_auctions_and_on_no_other():
    earlier = log([False] * 100, [0] * 100, np.arange(100) / 100)
    bidding_on = {one.name: replay(earlier, one.learn(earlier)(earlier.predicted, 1.0), 9).wins for one in STRATEGIES}

    assert bidding_on == {"flat": 100, "linear": 100, "ortb1": 100, "top_50": 50, "top_25": 25}


@settings(max_examples=100, deadline=None)
@given(logs(prices=st.integers(0, 9).map(float)), st.integers(0, 9), st.floats(0, 1), st.integers(1, 7))
def test_clicks_of_a_draw_are_those_of_the_log_that_it_puts_together(auctions, number, share, length):
    bids, budget = np.full(len(auctions), float(number)), share * auctions.total_price
    blocks = blocks_of(len(auctions), min(length, len(auctions)))
    found = blocks.clicks(auctions, bids, budget)
    for starts, clicks in zip(blocks.starts, found, strict=True):
        at = np.concatenate([start + np.arange(n) for start, n in zip(starts, blocks.lengths, strict=True)])
        at %= len(auctions)
        assert len(at) == len(auctions)
        drawn = log(auctions.clicked[at], auctions.market_price[at], auctions.predicted[at])
        assert by_loop(drawn, bids, budget).clicks == clicks


def blocks_of(count: int, length: int) -> Blocks:
    blocks = -(-count // length)
    lengths = np.full(blocks, length)
    lengths[-1] = count - length * (blocks - 1)
    return Blocks(length, np.random.default_rng(count).integers(0, count, (8, blocks)), lengths)
