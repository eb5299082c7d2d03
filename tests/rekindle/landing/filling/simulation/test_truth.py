"""What the truth tells is what happens: over many lives of the same users, and in a simulated business."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rekindle.days import Days
from rekindle.landing.filling.simulation.business import Business
from rekindle.landing.filling.simulation.calendar import Calendar
from rekindle.landing.filling.simulation.chance import Chance
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.population import Population
from rekindle.landing.filling.simulation.process import Process, State
from rekindle.landing.filling.simulation.simulate import days_of
from rekindle.landing.filling.simulation.truth import Value, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = date(2024, 1, 1)
TOLD = date(2024, 1, 14)
"""A Sunday, after which 30 days and the latest deliveries of them lie within DAYS."""
DAYS = Days.between(FIRST, TOLD + timedelta(days=30 + parameters().delivery.late_most_days))
USERS = 20_000
SIGMAS = 4.0


# Many lives of the same users


LIVES = 400


@dataclass
class Lives:
    """Some users with a past, each of whom lives LIVES times from the same state on."""

    business: Business
    state: State
    day: date

    def lived(self, days: int, *, messaged: bool = False) -> Iterator[np.ndarray]:
        """Activity on each of the days ahead: [life, user]."""
        people, users = self.business.people, self.business.people.size
        crowd = Population(**{f.name: np.tile(getattr(people, f.name), LIVES) for f in fields(people)})
        state = State(*(np.tile(getattr(self.state, f.name), LIVES) for f in fields(State)))
        chance = Chance(20)  # any but the business's own: these are other lives
        process = Process(self.business.conf, chance, self.business.process.calendar, crowd)
        for ahead in range(days):
            sent = np.ones(crowd.size, bool) if messaged and not ahead else None
            process.live(state, self.day + timedelta(days=1 + ahead), sent)
            yield state.was_active.reshape(LIVES, users).copy()

    @property
    def walk(self) -> Walk:
        return Walk(self.business.process, self.state, self.day, slice(None))


@pytest.fixture(scope="module")
def lives() -> Lives:
    # Short offsets, so that states change often and it matters how many days each has lasted.
    quick = parameters().activity.model_copy(update={"engaged_offset_days": 1.2, "dormant_offset_days": 0.6})
    business = Business.of(parameters().model_copy(update={"activity": quick}), 200, DAYS)
    # Responses as strong as they get, so that a message shows.
    people = replace(business.people, responsiveness=np.resize([3.0, -2.0, 0.0, 1.5], business.people.size))
    people = replace(people, registered_on=np.minimum(people.registered_on, FIRST.toordinal() - 1))
    business = replace(business, people=people, process=replace(business.process, people=people))
    day = FIRST - timedelta(days=40)
    state = business.process.begin(day)
    while day < FIRST:
        day += timedelta(days=1)
        # Some have been sent messages already, which work on.
        business.process.live(state, day, np.arange(people.size) % 7 == day.day % 7)
    # Both sides of the exact memory: who was active today, and who was not.
    state.was_active = np.arange(people.size) % 2 == 0
    return Lives(business, state, day)


def agrees(seen: np.ndarray, probability: np.ndarray, times: int) -> bool:
    """Whether frequencies scatter about probabilities as those of independent draws do, neither more nor less."""
    likely = (probability > 0.01) & (probability < 0.99)
    z = (seen - probability) / np.sqrt(np.maximum(probability * (1 - probability), 1e-9) / times)
    chi = (z[likely] ** 2).sum()
    far = abs(chi - likely.sum()) / np.sqrt(2 * likely.sum())
    return bool(likely.sum() > 20 and far < SIGMAS and abs(seen.mean() - probability.mean()) < 0.005)


@pytest.mark.parametrize("messaged", [False, True])
def test_the_probability_of_returning_is_exact(lives: Lives, messaged):
    seen = np.any(list(lives.lived(7, messaged=messaged)), axis=0).mean(axis=0)
    walk = lives.walk.messaged() if messaged else lives.walk

    assert agrees(seen, walk.returns(7), LIVES)
    if messaged:
        assert not agrees(seen, lives.walk.returns(7), LIVES), "this test could not tell a message from none"


def test_the_probability_of_each_day_ahead_is_exact(lives: Lives):
    for seen, (on, probability) in zip(lives.lived(30), lives.walk.active(30), strict=True):
        assert agrees(seen.mean(axis=0), probability, LIVES), on


def test_the_probability_of_a_purchase_is_exact(lives: Lives):
    buys = np.resize([0.9, 0.3, 0.05, 0.0], lives.business.people.size)
    told = lives.walk.buys(30, Value(buys, 1.0, buys, buys, buys))
    draw, bought = np.random.default_rng(3), np.zeros((LIVES, len(buys)), bool)
    for ahead, active in enumerate(lives.lived(30)):
        chance = buys * lives.business.process.calendar.purchase(lives.day + timedelta(days=1 + ahead))
        bought |= active & (draw.random(active.shape) < chance)

    assert agrees(bought.mean(axis=0), told, LIVES)
    assert np.abs(told[buys == 0]).max() < 1e-12


def test_a_message_moves_users_differently_and_fades(lives: Lives):
    process, state, everybody = lives.business.process, lives.state, slice(None)
    ages = np.array([1, 7, 30, 400])
    dormant = State(np.ones(4, bool), ages, np.zeros(4, bool), np.zeros(4))
    eager = replace(process, people=replace(process.people, responsiveness=np.ones(4)))
    uplift = lives.walk.messaged().returns(7) - lives.walk.returns(7)
    response = process.people.responsiveness

    assert (uplift[response > 0] > 0).all() and (uplift[response < 0] < 0).all() and (uplift[response == 0] == 0).all()
    just, week, month, year = eager.strength(dormant, everybody)
    assert month > week > just > 0 and month > 4 * year
    later = replace(state, pressure=state.pressure * process.fading**7)
    assert (np.abs(later.pressure) < 0.2 * np.abs(state.pressure) + 1e-12).all()


def test_a_campaign_causes_what_the_truth_says_and_leaves_others_alone():
    """
    All users live twice, with the same lots, and only in one life half of them are sent a message.

    So the difference is what the message caused, in those whom it moves and in those whom it puts off.
    """
    day, days = FIRST + timedelta(days=9), 7
    business = Business.of(parameters(), USERS, DAYS)
    process, state = business.process, business.process.begin(FIRST - timedelta(days=60))
    for ahead in range(1, 70):
        process.live(state, FIRST + timedelta(days=ahead - 60))
    chosen = (np.arange(USERS) % 2 == 0) & (state.age > 0)
    walk = Walk(process, state.of(slice(None)), day, slice(None))
    uplift = walk.messaged().returns(days) - walk.returns(days)

    def returned(messaged):
        life, seen = State(*(getattr(state, f.name).copy() for f in fields(State))), np.zeros(USERS, bool)
        for ahead in range(days):
            process.live(life, day + timedelta(days=1 + ahead), None if ahead else messaged)
            seen |= life.was_active
        return seen.astype(int)

    caused = returned(chosen) - returned(None)
    assert not caused[~chosen].any()
    moved, put_off = (chosen & (sign * business.people.responsiveness > 0) for sign in (1, -1))
    for group in (moved, put_off):
        assert abs(caused[group].sum() - uplift[group].sum()) < SIGMAS * np.sqrt(np.abs(caused[group]).sum())
    assert caused[moved].sum() > 50 and caused[put_off].sum() < 0


# A business as it is delivered


@dataclass
class Run:
    """A simulated business: who was active on each day, all rows with their delivery day, and the truth of TOLD."""

    active: np.ndarray
    rows: dict[str, pa.Table]
    truth: pa.Table
    duplicates: dict[str, int]
    unusable: dict[str, int]


@pytest.fixture(scope="module")
def run() -> Run:
    active, parts, told = [], {}, {}
    duplicates, unusable = {}, {}
    for passed in days_of(USERS, DAYS):
        active.append(passed.state.was_active.copy())
        told[passed.day] = passed.truth
        for source, delivered in passed.delivered.items():
            day = pa.repeat(pa.scalar(passed.day), len(delivered.rows))
            parts.setdefault(source, []).append(delivered.rows.append_column("day", day))
            duplicates[source] = duplicates.get(source, 0) + delivered.duplicates
            unusable[source] = unusable.get(source, 0) + delivered.unusable
    rows = {source: pa.concat_tables(tables) for source, tables in parts.items()}
    return Run(np.array(active), rows, told[TOLD], duplicates, unusable)


def users_of(table: pa.Table) -> np.ndarray:
    return pc.utf8_slice_codeunits(table["user_id"], 1).cast(pa.int64()).to_numpy()


def test_what_the_truth_says_comes_about(run: Run):
    """In each tenth of the users, by their probability, as many return as it says."""
    at = DAYS.all.index(TOLD)
    returned = run.active[at + 1 : at + 8].any(axis=0)[users_of(run.truth)]
    probability = run.truth["return_probability"].to_numpy()

    for tenth in np.array_split(np.argsort(probability), 10):
        expected, variance = probability[tenth].sum(), (probability[tenth] * (1 - probability[tenth])).sum()
        assert abs(returned[tenth].sum() - expected) < SIGMAS * np.sqrt(variance)


def test_expected_orders_sales_and_refunds_come_about(run: Run):
    """Over all users of the day, in the orders that were delivered, each counted once. Refunds are few and uneven."""
    orders = true_facts(run, "orders")
    first, last = (pa.scalar(TOLD + timedelta(days=n)) for n in (1, 30))
    on = orders["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32())
    within = orders.filter(pc.and_(pc.greater_equal(on, first), pc.less_equal(on, last)))
    within = within.filter(pc.is_in(within["user_id"], run.truth["user_id"].combine_chunks()))
    sales, refunds = (within.filter(pc.equal(within["kind"], kind)) for kind in ("sale", "refund"))
    seen = {
        "expected_orders": pc.count_distinct(sales["order_id"]).as_py(),
        "expected_sales": float(pc.sum(sales["amount"]).as_py()),
        "expected_refunds": float(pc.sum(refunds["amount"]).as_py()),
    }
    expected = {name: pc.sum(run.truth[name]).as_py() for name in (*seen, "expected_revenue")}

    for name, near in {"expected_orders": 0.05, "expected_sales": 0.07, "expected_refunds": 0.2}.items():
        assert seen[name] == pytest.approx(expected[name], rel=near), name
    assert expected["expected_revenue"] == pytest.approx(expected["expected_sales"] - expected["expected_refunds"])


def true_facts(run: Run, source: str) -> pa.Table:
    """Each fact once; rows that ingestion must refuse have ids of their own."""
    rows = run.rows[source]
    names = [name for name in ("event_id", "order_id", "line_id", "kind") if name in rows.column_names]
    rows = rows.filter(pc.invert(pc.ends_with(rows[names[0]], "-x")))
    first = rows.append_column("at", pa.array(np.arange(len(rows)))).group_by(names).aggregate([("at", "min")])
    return rows.take(first["at_min"].sort())


def test_late_repeated_and_unusable_rows_are_as_many_as_conf_says(run: Run):
    conf, events = parameters().delivery, run.rows["events"]
    facts = true_facts(run, "events")
    ended = facts.filter(pc.less(facts["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32()), pa.scalar(TOLD)))
    day = ended["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32())
    late = pc.mean(pc.cast(pc.not_equal(day, ended["day"]), pa.float64())).as_py()
    again = len(events) - len(facts) - run.unusable["events"]

    assert late == pytest.approx(conf.late_share, rel=0.2)
    assert run.duplicates["events"] / len(facts) == pytest.approx(
        conf.repeated_share * conf.repeated_same_day_share, rel=0.1
    )
    assert again / len(facts) == pytest.approx(conf.repeated_share, rel=0.1)
    assert run.unusable["events"] / len(facts) == pytest.approx(conf.invalid_share, rel=0.3)
    assert pc.all(pc.greater_equal(ended["day"], day)).as_py()


def test_each_active_user_is_seen_on_the_day_and_nobody_else(run: Run):
    """The label that a model learns is the truth's own idea of activity."""
    events = true_facts(run, "events")
    on = events["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32())
    of_day = events.filter(pc.equal(on, pa.scalar(TOLD)))

    assert set(users_of(of_day)) == set(np.flatnonzero(run.active[DAYS.all.index(TOLD)]))


def test_nobody_does_anything_before_having_registered(run: Run):
    registered = run.rows["users"].select(["user_id", "registered_at"])
    for source in ("events", "orders"):
        both = true_facts(run, source).select(["user_id", "occurred_at"]).join(registered, "user_id", join_type="inner")

        assert len(both) == len(true_facts(run, source))
        assert pc.all(pc.greater_equal(both["occurred_at"], both["registered_at"])).as_py()


def test_sessions_are_visits_with_items_shown_and_clicked(run: Run):
    """A click is on an item that the session was shown before; popular items, and those that a user likes, are seen more."""
    events = true_facts(run, "events")
    visits, shown, clicks = (events.filter(pc.equal(events["type"], of)) for of in ("visit", "impression", "click"))
    key = ["session_id", "item_id"]
    first = shown.group_by(key).aggregate([("occurred_at", "min")])
    both = clicks.select([*key, "occurred_at"]).join(first, key, join_type="inner")
    seen = np.sort(np.unique(shown["item_id"].to_numpy(zero_copy_only=False), return_counts=True)[1])[::-1]
    favourite = Business.of(parameters(), USERS, DAYS).people.favourite_of[users_of(shown)]
    items = dict(zip(*(run.rows["items"][name].to_pylist() for name in ("item_id", "category")), strict=True))
    categories = list(parameters().catalogue.categories)
    liked = np.mean(
        [items[of] == categories[at] for of, at in zip(shown["item_id"].to_pylist(), favourite, strict=True)]
    )

    assert pc.count_distinct(visits["session_id"]).as_py() == len(visits)
    assert set(events["session_id"].to_pylist()) == set(visits["session_id"].to_pylist())
    # A session that is late is not whole where it had not arrived by the last day, and repeats change nothing.
    assert len(both) == len(clicks)
    assert pc.all(pc.greater_equal(both["occurred_at"], both["occurred_at_min"])).as_py()
    assert 0.14 < len(clicks) / len(shown) < 0.25
    assert seen[: len(seen) // 100].sum() > 0.08 * seen.sum()
    assert liked == pytest.approx(0.55 + 0.45 / len(categories), abs=0.03)


def test_a_refund_follows_the_sale_of_its_line(run: Run):
    orders = true_facts(run, "orders")
    sales, refunds = (orders.filter(pc.equal(orders["kind"], kind)) for kind in ("sale", "refund"))
    line = pc.utf8_slice_codeunits(refunds["line_id"], 1)
    refunds = refunds.set_column(refunds.column_names.index("line_id"), "line_id", line)
    both = refunds.join(sales, ["order_id", "line_id"], right_suffix=" sold", join_type="inner")

    assert 0.02 < len(refunds) / len(sales) < 0.06
    # A few sales had not arrived by the last day, or were still under way.
    assert len(both) > 0.99 * len(refunds)
    assert both["amount"].equals(both["amount sold"])
    assert pc.all(pc.greater(both["occurred_at"], pc.add(both["occurred_at sold"], timedelta(days=1)))).as_py()


def test_the_business_is_no_textbook_model(run: Run):
    """Rates are heavy-tailed, days are bursty, and a dormancy is less likely to end the longer it has lasted."""
    business = Business.of(parameters(), USERS, DAYS)
    state, process = run.truth, business.process
    dormant = state.filter(pc.equal(state["state"], "dormant"))
    age, back = dormant["state_days"].to_numpy(), dormant["return_probability"].to_numpy()
    days = run.active.sum(axis=0)[users_of(run.truth)]

    assert back[age <= 7].mean() > 2 * back[(age > 30) & (age <= 60)].mean() > 2 * back[age > 180].mean()
    assert days.var() > 3 * days.mean(), "Poisson counts have a variance of their mean"
    assert np.quantile(business.people.rate, 0.99) > 5 * np.median(business.people.rate)
    assert {process.calendar.is_sale(day) for day in DAYS} == {True, False}


def test_channels_differ_and_what_users_register_tells_something(run: Run):
    """Plan and channel each by itself, age and device only together, the interest about what is liked."""
    people = Business.of(parameters(), USERS, DAYS).people
    back = np.full(USERS, np.nan)
    back[users_of(run.truth)] = run.truth["return_probability"].to_numpy()

    def mean(*, where):
        return np.nanmean(back[where])

    channels, plans = list(parameters().population.channels), list(parameters().population.plans)
    of_channel = [mean(where=people.channel_of == n) for n in range(len(channels))]
    of_plan = [mean(where=people.plan_of == n) for n in range(len(plans))]
    is_odd = (people.device_of + people.age_of) % 2 == 1
    likes = people.interest_of == people.favourite_of

    assert channels[int(np.argmax(of_channel))] == "referral" and channels[int(np.argmin(of_channel))] == "incentivised"
    assert of_plan == sorted(of_plan) and of_plan[-1] > 1.2 * of_plan[0]
    assert mean(where=is_odd) > 1.1 * mean(where=~is_odd)
    assert likes.mean() == pytest.approx(0.7 + 0.3 / len(parameters().catalogue.categories), abs=0.02)


def test_a_sale_at_the_end_of_a_month_goes_on_into_the_next():
    calendar = Calendar(parameters().calendar, Chance(1))
    ends = [date(2020 + n // 12, 1 + n % 12, 1) - timedelta(days=1) for n in range(1, 60)]
    begun = [day for day in ends if day in calendar._sale_days(day.year, day.month)]

    assert begun and all(
        calendar.is_sale(day + timedelta(days=1)) for day in begun if not calendar.is_sale(day - timedelta(days=1))
    )
