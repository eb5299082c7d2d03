"""Item choices: what users click on, stay with and buy follows their tastes, and all else is as it was."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rekindle.days import Days
from rekindle.landing.filling.simulation.business import Business
from rekindle.landing.filling.simulation.parameters import Parameters, parameters
from rekindle.landing.filling.simulation.simulate import days_of
from tests.rekindle.landing.filling.simulation.test_simulate import COMMITTED

FIRST = date(2024, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=27))
USERS = 900
SIGMAS = 4
"""As in test_truth: of thousands of tests that hold, one fails by chance."""


def chosen(strength: float | None = None) -> Parameters:
    """Choices on, nothing late or repeated, so that each fact is there once."""
    conf = parameters().adding("choices")
    punctual = conf.delivery.model_copy(update={"late_share": 0.0, "repeated_share": 0.0, "invalid_share": 0.0})
    conf = conf.model_copy(update={"delivery": punctual})
    if strength is None:
        return conf
    return conf.model_copy(update={"choices": conf.choices.model_copy(update={"taste_strength": strength})})


@dataclass(frozen=True)
class Lived:
    """All that was delivered, and the business that it is of."""

    business: Business
    rows: dict[str, pa.Table]

    def of_type(self, name: str) -> pa.Table:
        events = self.rows["events"]
        return events.filter(pc.equal(events["type"], name))

    def probability(self, rows: pa.Table) -> np.ndarray:
        """The true probability of a click on what each of the rows is about."""
        assert self.business.choices is not None
        return self.business.choices.click_probability(number(rows, "user_id"), number(rows, "item_id"))


def number(rows: pa.Table, column: str) -> np.ndarray:
    return pc.utf8_slice_codeunits(rows[column], 1).cast(pa.int64()).to_numpy()


def live(conf: Parameters, users: int = USERS, days: Days = DAYS) -> Lived:
    parts = defaultdict(list)
    for day in days_of(users, days, conf=conf):
        for source, delivered in day.delivered.items():
            parts[source].append(delivered.rows)
    return Lived(Business.of(conf, users, days), {source: pa.concat_tables(tables) for source, tables in parts.items()})


@pytest.fixture(scope="module")
def lived() -> Lived:
    return live(chosen())


@pytest.fixture(scope="module")
def before() -> Lived:
    conf = chosen()
    return live(conf.model_copy(update={"choices": conf.choices.model_copy(update={"is_on": False})}))


def test_they_are_off_unless_they_are_asked_for():
    """So that what was published of the business stands: test_simulate holds its rows to what they were."""
    assert not parameters().choices.is_on
    assert set(COMMITTED) >= {"events", "orders"}


def test_nothing_changes_but_what_is_shown_clicked_and_bought(lived: Lived, before: Lived):
    """Who comes when, what is paid, who registers and who may be reached."""
    for source in ("users", "items", "contacts", "consents", "replies"):
        assert lived.rows[source].equals(before.rows[source])
    assert lived.of_type("visit").equals(before.of_type("visit"))
    sold, orders = ([one.rows["orders"].drop_columns(["item_id", "occurred_at"]) for one in (lived, before)]), "orders"
    assert sold[0].equals(sold[1]) and not lived.rows[orders].equals(before.rows[orders])
    on = [one.rows[orders]["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32()) for one in (lived, before)]
    assert on[0].equals(on[1]), "an order waits for what is clicked on before it, and stays on its day"


def test_as_many_click_as_the_truth_says(lived: Lived):
    """Of each channel and in each tenth of what was shown, by its probability."""
    shown, clicks = lived.of_type("impression"), lived.of_type("click")
    # A click has the number of what it is on, moved by 500.
    clicked = np.isin(number(shown, "event_id") + 500, number(clicks, "event_id"))
    probability = lived.probability(shown)
    channel = lived.business.people.channel_of[number(shown, "user_id")]

    assert clicked.sum() == len(clicks) > 500
    groups = [channel == n for n in range(len(parameters().population.channels))]
    tenths = np.array_split(np.argsort(probability), 10)
    for group in (*groups, *tenths):
        expected, variance = probability[group].sum(), (probability[group] * (1 - probability[group])).sum()
        assert abs(clicked[group].sum() - expected) < SIGMAS * np.sqrt(variance)
    assert probability[tenths[-1]].mean() > 10 * probability[tenths[0]].mean()


def test_what_is_shown_knows_nothing_of_who_looks(lived: Lived):
    """So that clicks per item shown are without a bias: categories are equally often shown to those who like them."""
    shown, business = lived.of_type("impression"), lived.business
    is_favourite = (
        business.catalogue.category_of[number(shown, "item_id")]
        == business.people.favourite_of[number(shown, "user_id")]
    )

    assert abs(is_favourite.mean() - 1 / 8) < SIGMAS * np.sqrt(7 / 64 / len(shown))


@pytest.mark.parametrize(("strength", "is_ahead"), [(1.0, True), (0.0, False)])
def test_tastes_can_be_learnt_as_far_as_there_are_any(strength: float, *, is_ahead: bool):
    """A rule for each user against popularity for all, by the true chance of a click on the ten items that each would show."""
    lived = live(chosen(strength))
    shown, clicks, catalogue = lived.of_type("impression"), lived.of_type("click"), lived.business.catalogue
    items, categories = len(catalogue.weight), len(catalogue.price)

    def counts(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        user, item = number(rows, "user_id"), number(rows, "item_id")
        of_user = np.zeros((USERS, categories))
        np.add.at(of_user, (user, catalogue.category_of[item]), 1)
        return of_user, np.bincount(item, minlength=items)

    (seen, item_seen), (clicked, item_clicked) = counts(shown), counts(clicks)
    overall = len(clicks) / len(shown)
    item_rate = (item_clicked + 20 * overall) / (item_seen + 20)
    of_user = clicked.sum(1, keepdims=True) + 3 * overall
    rate = (clicked + 3 * of_user / (seen.sum(1, keepdims=True) + 3)) / (seen + 3)
    users = np.flatnonzero(seen.sum(1) >= 15)
    personal = np.argsort(-(rate[users][:, catalogue.category_of] * item_rate), axis=1)[:, :10]
    popular = np.broadcast_to(np.argsort(-item_rate)[:10], personal.shape)
    assert lived.business.choices is not None
    worth = [
        lived.business.choices.click_probability(np.repeat(users, 10), shows.ravel()).mean()
        for shows in (personal, popular)
    ]

    assert len(users) > 100
    assert (worth[0] > 1.3 * worth[1]) == is_ahead
    assert is_ahead or worth[0] < 1.02 * worth[1]


def test_some_of_what_is_bought_was_clicked_on_before(lived: Lived, before: Lived):
    def share(one: Lived) -> float:
        first = one.of_type("click").group_by(["user_id", "item_id"]).aggregate([("occurred_at", "min")])
        sales = one.rows["orders"].filter(pc.equal(one.rows["orders"]["kind"], "sale"))
        both = sales.join(first, ["user_id", "item_id"], join_type="inner")
        return pc.sum(pc.less_equal(both["occurred_at_min"], both["occurred_at"])).as_py() / len(sales)

    assert share(lived) > 2 * share(before)


def test_clicks_make_users_stay_for_longer_where_they_like_it(lived: Lived):
    clicks, choices = lived.of_type("click"), lived.business.choices
    assert choices is not None
    taste = choices.taste[number(clicks, "user_id"), lived.business.catalogue.category_of[number(clicks, "item_id")]]
    stayed, conf = np.log(np.maximum(clicks["value"].to_numpy(), 1)), choices.conf.choices
    slope = np.polyfit(np.log(taste), stayed, 1)[0]

    assert np.median(stayed) > np.log(conf.stay_median_seconds)
    assert slope == pytest.approx(conf.stay_taste, abs=SIGMAS * conf.stay_spread / np.sqrt(len(clicks)))
    # What is shown has its place on the page there, as ever.
    assert pc.min(lived.of_type("impression")["value"]).as_py() == 1


def test_the_favourite_is_what_a_user_likes_best(lived: Lived):
    """So what users say to be interested in tells something of what they click on."""
    choices = lived.business.choices
    assert choices is not None

    assert (choices.taste.argmax(axis=1) == lived.business.people.favourite_of).all()
    assert choices.taste.mean(axis=1) == pytest.approx(1)


def test_more_users_change_nothing_about_the_others():
    few, more = (Business.of(chosen(), users, DAYS).choices for users in (50, 150))
    assert few is not None and more is not None

    assert np.array_equal(few.liking, more.liking[:50]) and np.array_equal(few.appeal, more.appeal)


def test_the_command_tells_what_users_like(rekindle, zone, files, tmp_path):
    """From which follows the chance of each click; and the same command writes the same bytes."""
    command = ("simulate", "--users", 60, "--days", 5, "--choices", "--truth")
    rekindle(*command, tmp_path / "truth")
    first = zone.rename(tmp_path / "first")
    rekindle(*command, tmp_path / "again")
    likings = pq.read_table(tmp_path / "truth" / "likings.parquet")
    appeals = pq.read_table(tmp_path / "truth" / "appeals.parquet")

    assert files(zone) == files(first) and files(tmp_path / "truth") == files(tmp_path / "again")
    assert likings.column_names == ["user_id", "category", "liking"] and len(likings) == 60 * 8
    assert appeals.column_names == ["item_id", "category", "appeal", "weight"] and len(appeals) == 2000
