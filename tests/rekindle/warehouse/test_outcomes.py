"""Whom what came true counts, on a real Spark Connect server: by a reference, and where the chance of each user is known."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.settings import settings
from rekindle.warehouse import marts, migrate
from tests.reference.outcomes import User, counted, sums
from tests.rekindle.warehouse.test_marts import append

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

FIRST = date(1998, 1, 1)
"""Long before the days of any other test of scores and labels."""

WORLDS = 24
"""Scored days, each a world of its own; on the day after them the chance of each user is known."""

HORIZON = 7
SHORT = {"label": "active_1_7", "from_day": 1, "to_day": HORIZON}
LATER = {"label": "active_3_9", "from_day": 3, "to_day": 9}
LABELS = [{"name": one["label"], "kind": "active", "messages": True, **one} for one in (SHORT, LATER)]
OUTCOMES = [
    {"product": product, "table": "scores.recall_daily", "without_messages": without_messages, **label}
    | {"predicted": "case when horizon_days = 7 then return_probability end"}
    for product, label, without_messages in (("alone", SHORT, True), ("anyhow", SHORT, False), ("late", LATER, True))
]
TABLES = ("scores.recall_daily", "marts.labels", "marts.score_outcomes")
LAST_DAY = FIRST + timedelta(days=WORLDS + 30)

Row = dict[str, Any]
Lived = tuple[int | None, int | None]
"""The days of the window with the first message and the first activity."""


def scored_on(n: int) -> date:
    return FIRST + timedelta(days=n)


def score(n: int, user: str, chance: float, decile: int, horizon_days: int = HORIZON) -> Row:
    told = {"day": scored_on(n), "user_id": user, "return_probability": chance, "horizon_days": horizon_days}
    return told | {"decile": decile, "is_backfilled": False}


def label(n: int, user: str, of: Row, value: float, lived: Lived | None) -> Row:
    """A row as marts.labels says it, or, without what was `lived`, as it was said before it told of messages."""
    message, active = lived or (None, None)
    told = {"messages": int(message is not None) if lived else None, "message_after_days": message}
    known = scored_on(n) + timedelta(days=of["to_day"] + settings().lateness_days)
    key = {"day": known, "feature_day": scored_on(n), "user_id": user, "label": of["label"], "value": value}
    return key | told | {"active_after_days": active}


def happens(dice: random.Random, chance: float, of: Row) -> int | None:
    """The first day of a window on which something happens that may on each of them."""
    return next((day for day in range(of["from_day"], of["to_day"] + 1) if dice.random() < chance), None)


def made_up(n: int) -> tuple[list[Row], list[Row]]:
    """Scores and labels of a world: messages may also follow a return, scores be of another horizon, and labels be missing."""
    dice = random.Random(n)  # noqa: S311 - a test's dice
    crowd, deciles = dice.choice([1, 7, 40, 200]), dice.choice([1, 3, 10])
    sent, back = dice.choice([0.0, 0.03, 0.1, 0.5]), dice.choice([0.02, 0.1, 0.4])
    says_of_messages, all_in_the_end = n % 8 != 7, n % 6 == 5
    scores, labels = [], []
    for number in range(crowd):
        user, decile = f"w{number}", 1 + number % deciles
        scores.append(score(n, user, dice.random(), decile, dice.choice([7] * 19 + [30])))
        for of in (SHORT, LATER):
            message, active = happens(dice, sent * decile / deciles, of), happens(dice, back, of)
            if all_in_the_end and message is None and active is None:
                message = of["to_day"] - 1
            # Who was active is not always told of in time to say when.
            value, active = float(active is not None), dice.choice([active] * 19 + [None])
            if dice.random() < 0.95:
                labels.append(label(n, user, of, value, (message, active) if says_of_messages else None))
    return scores, labels


def with_chances(n: int, crowd: int = 30_000, sent: float = 0.06, lift: float = 0.7) -> tuple[list[Row], list[Row]]:
    """
    A perfect score: each user's chance of a return without a message.

    Who is still away may be sent one on each day, which adds to the log-odds of a return from then on. The likelier half is
    sent five times more.
    """
    dice = random.Random(n)  # noqa: S311 - a test's dice
    odds = sorted((dice.gauss(-3.8, 0.8) for _ in range(crowd)), reverse=True)
    scores, labels = [], []
    for number, odd in enumerate(odds):
        decile, message, active = 1 + 10 * number // crowd, None, None
        for day in range(1, HORIZON + 1):
            if active is None and message is None and dice.random() < sent * (5 / 3 if decile <= 5 else 1 / 3):
                message = day
            if active is None and dice.random() < _share(odd + lift * (message is not None)):
                active = day
        scores.append(score(n, f"s{number}", 1 - (1 - _share(odd)) ** HORIZON, decile))
        labels.append(label(n, f"s{number}", SHORT, float(active is not None), (message, active)))
    return scores, labels


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


@pytest.fixture(scope="module")
def worlds() -> tuple[list[Row], list[Row]]:
    found = [*(made_up(n) for n in range(WORLDS)), with_chances(WORLDS)]
    return [row for scores, _ in found for row in scores], [row for _, labels in found for row in labels]


@pytest.fixture(scope="module")
def outcomes(spark: SparkSession, worlds: tuple[list[Row], list[Row]]) -> Iterator[list[records.Outcome]]:
    """All of it built in one pass."""
    migrate.create_marts(spark)
    try:
        for table, rows in zip(TABLES, worlds, strict=False):
            append(spark, table, rows)
        yield build(spark, FIRST, LAST_DAY)
    finally:
        for table in TABLES:
            spark.sql(f"DELETE FROM {table} WHERE day BETWEEN DATE'{FIRST}' AND DATE'{LAST_DAY}'")


def build(spark: SparkSession, first: date, last: date) -> list[records.Outcome]:
    days = Days.between(first, last)
    marts.build(spark, "outcomes", days, records.start_run("backfill", days), LABELS, OUTCOMES)
    return [one for product in ("alone", "anyhow", "late") for one in records.outcomes(product, first, last)]


def lots(spark: SparkSession) -> dict[tuple[date, str], Fraction]:
    """What the hash makes of each user and day."""
    drawn = spark.table("scores.recall_daily").where(f"day between date'{FIRST}' and date'{scored_on(WORLDS - 1)}'")
    rows = drawn.selectExpr("day", "user_id", "pmod(xxhash64('without a message', user_id, day), 1000000) as lot")
    return {(row.day, row.user_id): Fraction(row.lot, 1_000_000) for row in rows.collect()}


def test_who_counts_is_who_the_reference_says(spark, worlds, outcomes):
    scores, labels = worlds
    lot_of = lots(spark)
    known = {(row["feature_day"], row["user_id"], row["label"]): row for row in labels}
    expected, left_out = {}, {"alone": 0, "anyhow": 0, "late": 0}
    for outcome in OUTCOMES:
        deciles: dict[tuple[date, int], list[User]] = {}
        for row in scores:
            came = known.get((row["day"], row["user_id"], outcome["label"]))
            if came and row["horizon_days"] == HORIZON and row["day"] < scored_on(WORLDS):
                lot, tells = lot_of[row["day"], row["user_id"]], outcome["without_messages"]
                lived = (came["message_after_days"], came["active_after_days"]) if tells else (None, None)
                user = User(row["return_probability"], came["value"], *lived, lot)
                deciles.setdefault((row["day"], row["decile"]), []).append(user)
        for key, users in deciles.items():
            kept = list(counted(users, outcome["to_day"]))
            left_out[outcome["product"]] += sum(user.message is None for user in users if user not in kept)
            if kept:
                expected[outcome["product"], *key] = pytest.approx(sums(kept))
    found = {
        (one.product, one.scored_on, one.decile): (one.users, one.predicted, one.actual, one.squared_error)
        for one in outcomes
        if one.scored_on < scored_on(WORLDS)
    }

    assert found == expected
    # Who came back without any message, and still does not count.
    assert left_out["alone"] > 20
    assert left_out["late"] > 20
    assert left_out["anyhow"] == 0


def test_a_perfect_score_comes_true_where_messages_are_spread_over_the_week(worlds, outcomes):
    """Of whoever was sent none a fifth more came back than the score has said, and of all, more by what messages change."""
    scores, labels = ([row for row in rows if row["user_id"].startswith("s")] for rows in worlds)
    sent_none = [at for at, row in enumerate(labels) if row["message_after_days"] is None]
    promised = sum(scores[at]["return_probability"] for at in sent_none)
    assert promised / sum(labels[at]["value"] for at in sent_none) < 0.87

    found = [one for one in outcomes if one.scored_on == scored_on(WORLDS)]
    for deciles, reach in ((range(1, 11), 0.04), (range(1, 6), 0.05), (range(6, 11), 0.07)):
        some = [one for one in found if one.product == "alone" and one.decile in deciles]
        assert sum(one.predicted for one in some) / sum(one.actual for one in some) == pytest.approx(1, abs=reach)
    assert sum(one.users for one in found if one.product == "anyhow") == len(scores)
    assert {one.product for one in found} == {"alone", "anyhow"}


def test_a_day_that_is_built_alone_draws_the_same_users(spark, outcomes):
    day = scored_on(WORLDS) + timedelta(days=HORIZON + settings().lateness_days)
    before = [one for one in outcomes if one.day == day]

    assert {one.product for one in before} == {"alone", "anyhow", "late"}
    assert build(spark, day, day) == before
