"""Strategies beside the flat bid: what is better is found, and what is not is not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rekindle.bidding.compare import Blocks, Difference, compare
from rekindle.bidding.log import Auctions, read
from rekindle.bidding.replay import halves
from rekindle.bidding.strategies import STRATEGIES
from rekindle.cli import rta
from rekindle.errors import InputError
from rekindle.settings import settings
from tests.command_line import rekindle

PUBLISHED = {Fraction(1, 32): 37, Fraction(1, 16): 50, Fraction(1, 8): 90, Fraction(1, 4): 119}
"""Clicks of the flat bid on iPinYou's season 2997."""


FILTERS = [one for one in STRATEGIES if one.name.startswith("top_")]


def drawn(seed: int, *, count: int = 4000, chance: float = 0.1, price: int | None = None, is_perfect: bool = False):
    """A log where predictions know nothing, or all; at one price, or at prices that tell nothing of clicks."""
    rng = np.random.default_rng(seed)
    clicked = rng.random(count) < chance
    prices = rng.integers(1, 100, count) if price is None else np.full(count, price)
    predicted = np.where(clicked, 0.9, 0.01) if is_perfect else rng.random(count)
    return Auctions(clicked, prices.astype(float), predicted)


def verdicts(found) -> dict[str, str]:
    (judged,) = found.by_budget.values()
    return {one.strategy.name: one.from_flat.verdict for one in judged if one.from_flat}


@pytest.mark.parametrize("seed", range(3))
def test_who_knows_what_will_be_clicked_beats_the_flat_bid(seed):
    found = verdicts(compare(drawn(seed, chance=0.4, is_perfect=True), [Fraction(1, 16)]))

    assert {found[name] for name in ("linear", "ortb1", "top_25")} == {"better"}


def test_who_bids_most_where_nobody_clicks_is_worse():
    auctions = drawn(0, is_perfect=True)
    misled = Auctions(auctions.clicked, auctions.market_price, 1 - auctions.predicted)

    assert verdicts(compare(misled, [Fraction(1, 16)]))["linear"] == "worse"


def test_predictions_that_know_nothing_are_seldom_told_from_flat():
    """All auctions cost the same, so there is nothing to gain: of 160 intervals about 8 leave out 0 by chance."""
    found = [
        verdict
        for seed in range(40)
        for verdict in verdicts(compare(drawn(seed, price=10), [Fraction(1, 4)], draws=500)).values()
    ]

    assert len(found) == 160
    assert sum(verdict != "cannot be told from flat" for verdict in found) <= 16


def test_chances_that_are_all_alike_bid_as_flat_does():
    auctions = drawn(0)
    alike = Auctions(auctions.clicked, auctions.market_price, np.full(len(auctions), 0.25))
    (judged,) = compare(alike, [Fraction(1, 8)]).by_budget.values()

    assert {(one.from_flat.clicks, one.from_flat.low, one.from_flat.high) for one in judged[1:]} == {(0, 0.0, 0.0)}


def test_nothing_of_the_later_half_is_known_when_a_bid_is_chosen():
    earlier, later = halves(drawn(0))
    dearer = Auctions(later.clicked[::-1], later.market_price * 3 + 0.5, later.predicted**2 / 2)
    auctions, other = together(earlier, later), together(earlier, dearer)
    found, of_other = (compare(log, [Fraction(1, 8)]).by_budget[Fraction(1, 8)] for log in (auctions, other))

    assert [one.number for one in found] == [one.number for one in of_other]
    assert [one.outcome for one in found] != [one.outcome for one in of_other]


def together(*parts: Auctions) -> Auctions:
    columns = [(part.clicked, part.market_price, part.predicted) for part in parts]
    return Auctions(*map(np.concatenate, zip(*columns, strict=True)))


def test_the_same_seed_says_the_same():
    budgets = [Fraction(1, 8), Fraction(1, 2)]

    assert compare(drawn(1), budgets) == compare(drawn(1), budgets)
    assert compare(drawn(1), budgets) != compare(drawn(1), budgets, seed=1)


def test_the_best_bid_in_hindsight_is_no_worse_than_the_chosen_one():
    for judged in compare(drawn(2), list(PUBLISHED)).by_budget.values():
        assert all(one.hindsight_clicks >= one.outcome.clicks for one in judged)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1, 5, "better"), (-5, -1, "worse"), (0, 5, "cannot be told from flat"), (-5, 0, "cannot be told from flat")],
)
def test_an_interval_that_touches_0_tells_nothing(low, high, verdict):
    assert Difference(0, low, high).verdict == verdict


@pytest.mark.parametrize(("count", "length"), [(78_032, 1000), (4000, 200), (7, 1)])
def test_a_draw_is_as_long_as_the_log(count, length):
    blocks = Blocks.drawn(count, 500, 0)

    assert blocks.length == length
    assert blocks.lengths.sum() == count
    assert blocks.starts.shape == (500, len(blocks.lengths))


@pytest.mark.parametrize("count", [1, 2, 4000])
def test_a_log_without_an_earlier_click_is_refused(count):
    auctions = drawn(0, count=count)
    never = Auctions(np.zeros(count, bool), auctions.market_price, auctions.predicted)
    with pytest.raises(InputError) as refused:
        compare(never, [Fraction(1, 8)])

    assert refused.value.code == "no_clicks"


def test_auctions_that_cost_nothing_are_all_won_by_who_bids_on_them():
    (judged,) = compare(drawn(0, price=0), [Fraction(1, 8)]).by_budget.values()

    assert {one.strategy.name for one in judged if one.outcome.wins == 2000} == {"flat", "linear", "ortb1"}


@pytest.fixture(scope="module")
def real():
    path = settings().data / "growth" / "ipinyou_2997_test.npz"
    if not path.is_file():
        pytest.skip("the log of auctions is not on this machine: REKINDLE_DATA names the folder that has growth/")
    return compare(read(path), list(PUBLISHED), others=FILTERS)


def test_the_flat_bid_gets_the_clicks_that_are_known_of_it(real):
    assert {share: judged[0].outcome.clicks for share, judged in real.by_budget.items()} == PUBLISHED


def test_no_filter_is_said_to_be_better_than_the_flat_bid(real):
    said = [one.from_flat.verdict for judged in real.by_budget.values() for one in judged[1:]]

    assert len(said) == 8
    assert "better" not in said


@pytest.fixture
def file(tmp_path):
    auctions = drawn(0)
    path = tmp_path / "log.npz"
    np.savez(path, click=auctions.clicked, price=auctions.market_price, pctr=auctions.predicted)
    return str(path)


def test_the_command_answers_programs(file):
    told = rekindle("rta", "replay", file, "--budget", "1/32", "--budget", "0.25", "--json")
    data = json.loads(told.stdout)

    assert told.returncode == 0
    assert [one["share"] for one in data["budgets"]] == ["1/32", "1/4"]
    for budget in data["budgets"]:
        assert list(budget["strategies"]) == [one.name for one in STRATEGIES]
        assert all(one["spend"] <= budget["budget"] for one in budget["strategies"].values())


def test_the_command_answers_people(file):
    (judged,) = compare(read(Path(file)), [Fraction(1, 32)]).by_budget.values()
    shown = rekindle("rta", "replay", file, "--budget", "1/32")
    rows = {words[0]: words for line in shown.stdout.splitlines() if (words := line.split())}

    assert shown.returncode == 0
    assert {one.strategy.name: rows[one.strategy.name][2] for one in judged} == {
        one.strategy.name: str(one.outcome.clicks) for one in judged
    }
    assert "Of 4 comparisons: better 0" in shown.stdout


def test_the_help_has_an_example_and_json():
    said = rekindle("rta", "replay", "--help").stdout

    assert "Example: rekindle rta replay" in said
    assert "--json" in said


@pytest.mark.parametrize("budget", ["0", "-1/8", "9/8", "much", "1/0", "nan"])
def test_a_budget_that_is_no_share_is_refused(budget):
    with pytest.raises(InputError) as refused:
        rta._shares(["1/8", budget])

    assert refused.value.code == "usage"


def test_a_log_that_cannot_be_read_ends_with_2(tmp_path):
    done = rekindle("rta", "replay", str(tmp_path / "none.csv"))

    assert done.returncode == 2
    assert done.stderr.startswith("no_file: ")
