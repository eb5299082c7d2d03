"""Choosing: constraints hold whatever the candidates are, arms are drawn by phone, the same plan is the same list."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekindle.campaigns import gain
from rekindle.campaigns.choosing import CONTROL, Arm, Candidates, Terms, arms_of, choose, draw, offer_each
from rekindle.campaigns.offers import NONE, Offer
from rekindle.errors import InputError

COUPON = Offer(name="coupon", says="10 % off", cost=1, margin=0.2, lift=0.5, lowest_value=20)

TERMS = Terms(
    campaign="spring",
    salt="salt",
    budget=1.0,
    control_share=0.2,
    arms=(Arm("treatment", 1.0),),
    offers=(NONE,),
    prior_lift=0.1,
    margin=0.3,
)


def candidates(size, seed=0, **columns):
    random = np.random.default_rng(seed)
    value = random.gamma(1.0, 20.0, size)
    made = {
        "user_id": np.array([f"u{n:05}" for n in range(size)], object),
        "unit": np.array([f"phone {n}" for n in range(size)], object),
        "probability": random.random(size),
        "value": value,
        "value_low": value * 0.8,
        "value_high": value * 1.2,
        "lapsed_days": random.integers(7, 365, size),
        "segment_cost": np.full(size, 0.04),
        **dict.fromkeys(("uplift", "uplift_low", "uplift_high"), np.full(size, np.nan)),
    }
    return Candidates(**{**made, **columns})


@settings(max_examples=60)
@given(
    size=st.integers(0, 200),
    seed=st.integers(0, 5),
    budget=st.floats(0.01, 10),
    share=st.floats(0, 0.9),
    capacity=st.none() | st.integers(1, 100),
    min_roi=st.floats(0, 5),
    min_gain=st.floats(0, 1),
    offers=st.sampled_from([(NONE,), (NONE, COUPON)]),
    arms=st.sampled_from(
        [(Arm("treatment", 1),), (Arm("a", 1), Arm("b", 2)), (Arm("plain", 1), Arm("coupon", 1, COUPON))]
    ),
)
def test_no_constraint_is_ever_broken(size, seed, budget, share, capacity, min_roi, min_gain, offers, arms):  # noqa: PLR0917
    if any(arm.offer for arm in arms):
        offers = (NONE, COUPON)
    people = candidates(size, seed)
    terms = replace(
        TERMS,
        budget=budget,
        control_share=share,
        capacity=capacity,
        min_roi=min_roi,
        min_gain=min_gain,
        offers=offers,
        arms=arms,
    )

    chosen = choose(people, terms)

    texted = ~chosen.is_control
    assert chosen.offered.cost[texted].sum() <= budget + 1e-6
    assert capacity is None or texted.sum() <= capacity
    assert len(set(chosen.place)) == len(chosen.place)
    assert ((chosen.arm == CONTROL) == chosen.is_control).all()
    if not any(arm.offer for arm in arms):
        assert (chosen.offered.gain > min_gain).all()
        assert (chosen.offered.gain >= min_roi * chosen.offered.cost - 1e-9).all()
    given_coupon = (chosen.offered.offer == 1) & texted
    assert (people.value[chosen.place][given_coupon] >= COUPON.lowest_value).all()


def test_the_choice_is_the_best_prefix_by_gain_per_cost():
    """A plain reading: sort by gain for each unit of cost, text until the money is gone."""
    people = candidates(300)
    chosen = choose(people, replace(TERMS, control_share=0.0))

    gains = gain.expected_gain(gain.uplift(people.probability, 0.1), people.value, 0.04)
    best = sorted((name for name in range(300) if gains[name] > 0), key=lambda n: -gains[n])[:25]  # 1.00 / 0.04
    assert chosen.place.tolist() == best
    assert chosen.ended_by == "budget"


def test_the_same_plan_gives_the_same_list_in_whatever_order_people_come():
    people = candidates(500)
    mixed = people.where(np.random.default_rng(1).permutation(500))

    one, other = choose(people, TERMS), choose(mixed, TERMS)

    for name, first, second in (
        ("users", people.user_id[one.place], mixed.user_id[other.place]),
        ("arms", one.arm, other.arm),
        ("gains", one.offered.gain, other.offered.gain),
    ):
        assert first.tolist() == second.tolist(), name


def test_users_who_share_a_phone_are_in_one_arm_and_the_next_campaign_draws_anew():
    units = [f"phone {n // 2}" for n in range(20_000)]

    arm, chance = arms_of(TERMS, units)

    assert (arm[::2] == arm[1::2]).all()
    assert chance[arm == 0].mean() == pytest.approx(0.2) and chance[arm == 1].mean() == pytest.approx(0.8)
    assert (arm[::2] == 0).mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 10_000))
    again, _ = arms_of(replace(TERMS, campaign="summer"), units)
    both = ((arm[::2] == 0) & (again[::2] == 0)).mean()
    assert both == pytest.approx(0.04, abs=4 * np.sqrt(0.04 * 0.96 / 10_000))


def test_draws_are_even():
    numbers = draw("spring", "salt", [str(n) for n in range(10_000)])

    counts, _ = np.histogram(numbers, 10, (0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # .999 of chi-squared with 9 degrees


def test_an_arm_does_not_decide_who_is_chosen():
    """With money for all, the same users are chosen whatever the salt."""
    people, rich = candidates(200), replace(TERMS, budget=1e6)

    lists = defaultdict(set)
    for salt in ("one", "another"):
        chosen = choose(people, replace(rich, salt=salt))
        lists["users"].add(tuple(people.user_id[chosen.place]))
        lists["arms"].add(tuple(chosen.arm))

    assert len(lists["users"]) == 1 and len(lists["arms"]) == 2


def test_an_offer_is_picked_where_it_pays_and_never_below_its_lowest_value():
    people = candidates(2, probability=np.array([0.5, 0.5]), value=np.array([19.0, 400.0]))

    gift = COUPON.model_copy(update={"margin": None})
    terms = replace(TERMS, budget=1e6, offers=(NONE, gift), control_share=0.0)

    chosen = choose(people, terms)

    assert dict(zip(people.user_id[chosen.place], chosen.offered.offer, strict=True)) == {"u00000": 0, "u00001": 1}


def test_a_users_own_uplift_counts_in_the_place_of_the_lift_of_all():
    """Of an offer the business has said what it does; who has no uplift of their own has that of all."""
    people = candidates(3, probability=np.full(3, 0.5), value=np.full(3, 100.0), uplift=np.array([0.2, -0.1, np.nan]))
    plain, coupon = (offer_each(people, replace(TERMS, offers=(one,)), TERMS.arms[0]) for one in (NONE, COUPON))

    assert plain.uplift == pytest.approx([0.2, -0.1, gain.uplift(0.5, 0.1)])
    assert plain.gain == pytest.approx(plain.uplift * 100 - 0.04)
    assert coupon.uplift == pytest.approx(gain.uplift(np.full(3, 0.5), 0.5))
    chosen = choose(people, replace(TERMS, control_share=0.0))
    assert people.user_id[chosen.place].tolist() == ["u00000", "u00002"]


def test_a_discount_costs_what_is_given_to_whoever_comes_anyway():
    """Half of a surest returner's 300 is lost with a margin of .15 instead of .30; no lift makes up for that."""
    people = candidates(1, probability=np.array([0.95]), value=np.array([300.0]))
    half = COUPON.model_copy(update={"margin": 0.15})

    chosen = choose(people, replace(TERMS, budget=1e6, offers=(NONE, half), control_share=0.0))

    assert chosen.offered.offer.tolist() == [0]


def test_an_offer_without_a_lift_of_its_own_is_only_a_cost():
    people = candidates(100)
    plain = COUPON.model_copy(update={"lift": None})

    assert set(choose(people, replace(TERMS, budget=1e6, offers=(NONE, plain))).offered.offer) == {0}


@pytest.mark.parametrize(
    "change",
    [
        {"budget": 0},
        {"budget": float("nan")},
        {"capacity": 0},
        {"control_share": 1.0},
        {"arms": ()},
        {"arms": (Arm(CONTROL, 1),)},
    ],
)
def test_terms_that_nothing_can_be_chosen_under_are_refused(change):
    with pytest.raises(InputError):
        choose(candidates(3), replace(TERMS, **change))
