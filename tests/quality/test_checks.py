"""The checks of `make quality`, on few numbers: what they measure has the right size, and who fails is named."""

from __future__ import annotations

import numpy as np
import pytest

from quality import __main__ as quality
from quality import auctions
from quality.campaigns import campaign
from quality.checks import (
    campaign_intervals,
    cuped,
    gate,
    looks,
    purchase_process,
    simulator_campaigns,
    uplift_intervals,
    uplift_targets,
    who_is_texted,
)
from quality.figures import Figure, lots
from quality.mornings import morning
from rekindle.days import Days
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.truth import expected


def test_intervals_of_few_campaigns_cover_the_truth_about_as_often_as_they_say():
    covered = next(campaign_intervals.figures(0.05))

    assert covered.value == pytest.approx(0.95, abs=0.06)


def test_a_campaign_of_the_simulated_business_is_lived_and_compared_with_its_truth():
    value, returns, campaigns, texted = simulator_campaigns.figures(1 / simulator_campaigns.CAMPAIGNS)

    assert {value.value, returns.value} <= {0.0, 1.0}
    assert campaigns.value == 1 and texted.value > 1_000


def test_intervals_of_uplift_are_held_against_the_truth():
    figures = {figure.name: figure.value for figure in uplift_intervals.figures(10 / uplift_intervals.TRIALS)}

    assert figures.pop("simulated trials") == 10
    assert len(figures) == 6
    assert all(0.6 <= value <= 1 for name, value in figures.items() if "30 %" not in name and "Qini" not in name)


def test_uplift_reaches_more_of_the_truth_than_propensity_where_a_message_moves_some():
    found = uplift_targets.targeted(0, users=8_000, effect=0.08)

    assert found.status == "modelled"
    assert 1 > found.reached["uplift"] > found.reached["propensity"]


def test_three_choices_are_compared_by_the_truth_at_equal_volume():
    """The score is here the truth itself, and the plan's choice that by lot of half of those whom a message moves most."""
    conf = parameters()
    begun = morning(conf, 2_000, Days.one(conf.first_day), conf.first_day)
    moved = who_is_texted.highest(begun.told["value_uplift"], 300)
    is_sent = lots("half").random(300) < 0.5
    assigned = dict(zip(begun.lapsed[moved].tolist(), is_sent.tolist(), strict=True))
    sent = frozenset(user for user, is_for_them in assigned.items() if is_for_them)
    scored = who_is_texted.Scored(begun.lapsed, begun.told["return_probability"], sent, assigned)

    found = {figure.name: figure for figure in who_is_texted.compared(begun, scored)}

    assert found["users texted by each"].value == is_sent.sum()
    assert found["the same response, of what the true probabilities reach"].value == 1
    # On its first day the business is livelier than later.
    assert [name for name, figure in found.items() if not figure.holds] == [
        "share of the lapsed who truly return by themselves"
    ]
    gain = {who: found[f"{who}: true gain, margin less cost"].value for who in ("random", "the plan")}
    assert gain["the plan"] > gain["random"]
    caused = found["the plan: true incremental returns"].value
    assert caused == pytest.approx(begun.told["uplift"][moved][is_sent].sum())
    low, high = (
        found[f"the plan with a control, measured: {end} end of the 95 % interval"].value for end in ("lower", "upper")
    )
    assert low < found["the plan with a control, measured: incremental returns"].value < high


def test_ways_to_bid_are_compared_by_the_truth_at_equal_spend():
    """Decisions are here the truth itself: whom an ad moves is bid for, by what it brings."""
    conf = auctions.silent(parameters())
    begun = morning(conf, 2_000, Days.one(conf.first_day), conf.first_day)
    everybody = np.arange(2_000)
    alike = auctions.requests(begun, auctions.Decided(everybody, np.ones(2_000)))
    worth = expected(begun.business.process, begun.lives.state, begun.day, begun.lives.value(), everybody)
    decided = auctions.Decided(everybody, np.maximum(worth["value_uplift"], 0))
    log = auctions.requests(begun, decided)
    found = {figure.name: figure.value for figure in auctions.compared(begun, decided)}

    assert len(log.price) == len(alike.price) > 500
    for budget, share in auctions.BUDGETS.items():
        for way in (log.multiplier, alike.multiplier):
            spent = log.price[auctions.won(log, way, share)].sum()
            assert share * log.price.sum() - log.price.max() <= spent <= share * log.price.sum()
        assert found[f"ads for {budget}: margin more than by the same bid, lower end of 95 %"] > 0
    assert auctions.interval(log, alike.multiplier, alike.multiplier, 1 / 8) == (0, 0)


def test_a_few_experiments_with_five_looks_are_fooled_seldom():
    spent, always, once = looks.figures(0.05)

    assert spent.value < 0.09
    assert always.value < spent.value < once.value


def test_a_score_of_before_leaves_about_what_it_should():
    off = [figure.value - (figure.at_least + figure.at_most) / 2 for figure in cuped.figures(0.02)]

    assert np.abs(off).max() < 0.25
    assert np.abs(off[1::2]).max() < 0.02


def test_a_campaign_without_strength_causes_nothing():
    assert campaign(lots("a test"), strength=0).true_value == pytest.approx(0, abs=1e-6)


def test_users_of_a_phone_are_in_one_arm():
    one = campaign(lots("a test"))
    pairs = np.unique(np.stack([one.phone, one.is_treated]), axis=1)

    assert pairs.shape[1] == len(np.unique(one.phone)) < len(one.phone)


def test_lots_are_drawn_from_their_sentence():
    assert lots("one").random() == lots("one").random() != lots("two").random()


@pytest.mark.parametrize(
    ("figure", "holds", "said"),
    [
        (Figure("a", 0.95, 0.93, 0.97), True, "pass"),
        (Figure("a", 0.98, 0.93, 0.97), False, "FAIL"),
        (Figure("a", float("nan"), at_most=1), False, "FAIL"),
        (Figure("a", 2.0), True, "shown"),
    ],
)
def test_a_figure_is_printed_with_its_threshold_and_its_verdict(figure, holds, said):
    assert figure.holds == holds
    assert figure.line().split()[0] == said


@pytest.mark.parametrize(
    ("figures", "code"),
    [([Figure("a", 1.0, 0.5)], 0), ([Figure("a", 0.1, 0.5)], 1), ([], 1), (ValueError("broken"), 1)],
)
def test_a_check_that_fails_or_measures_nothing_ends_in_1(monkeypatch, capsys, figures, code):
    def measured(_size):
        if isinstance(figures, Exception):
            raise figures
        return iter(figures)

    monkeypatch.setattr(cuped, "figures", measured)

    assert quality.main(["cuped"]) == code
    assert ("Not: cuped" in capsys.readouterr().out) == bool(code)


def test_a_check_that_is_not_there_is_named(capsys):
    assert quality.main(["nothing"]) == 2
    assert "campaign_intervals" in capsys.readouterr().err


def test_a_purchase_process_of_few_customers_is_timed_and_comes_true():
    said = {figure.name: figure for figure in purchase_process.figures(0.02)}

    assert [name for name, figure in said.items() if name.startswith("CDNOW") and not figure.holds] == []
    assert said["simulated: expected over actual purchases of the next year"].value == pytest.approx(1, abs=0.15)
    assert said["simulated: share at or below the upper end of an 80 % interval"].holds


def test_the_gate_tells_a_few_recipes_apart():
    equal, better, *worse = gate.figures(0.05)

    assert equal.value <= 2
    assert better.value == 1
    assert [figure.value for figure in worse] == [0, 0]
