"""Decisions of a day, built by dbt on a real Spark Connect server: who is bid for, who is left alone, and what is refused."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.bidding.declared import rta
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.warehouse import marts, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

DAY, NEXT = date(1998, 3, 1), date(1998, 3, 2)
USERS = 400
"""Every fourth is active, every tenth has said nothing."""
WRITTEN = ("raw.devices", "raw.consents", "features.user", "scores.recall_daily", "scores.return_value_daily")


def hash_of(number: int) -> str:
    return sha256(f"device {number}".encode()).hexdigest()


def is_active(number: int) -> bool:
    return number % 4 == 0


def has_granted(number: int) -> bool:
    return number % 10 != 0


@pytest.fixture(scope="module")
def world(spark: SparkSession) -> Iterator[None]:
    """A day of users with a device each, of whom 1 and 2 share another."""
    migrate.create_marts(spark)
    numbers = range(USERS)
    append(
        spark,
        "raw.devices",
        [
            {"day": DAY, "user_id": f"u{n}", "id_type": "idfa", "id_hash": hash_of(d)}
            for n, d in [*((n, n) for n in numbers), (1, USERS), (2, USERS), (3, USERS + 1), (4, USERS + 1)]
        ],
    )
    append(
        spark,
        "raw.consents",
        [
            {"day": DAY, "consent_id": f"c{n}", "user_id": f"u{n}", "message_channel": "ads", "purpose": "marketing"}
            | {"action": "grant", "at": f"{DAY} 09:00:00", "occurred_on": DAY, "source": "web", "policy_version": "1"}
            for n in numbers
            if has_granted(n)
        ],
    )
    for day in (DAY, NEXT):
        known = [{"day": day, "user_id": f"u{n}", "recency_days": 1 if is_active(n) else 30} for n in numbers]
        append(spark, "features.user", known)
        lapsed = [n for n in numbers if not is_active(n)]
        append(
            spark,
            "scores.recall_daily",
            [{"day": day, "user_id": f"u{n}", "return_probability": 0.5} for n in lapsed],
        )
        worth = 0 if day == NEXT else 1
        append(
            spark,
            "scores.return_value_daily",
            [{"day": day, "user_id": f"u{n}", "value_if_returns": f"{worth * (n + 1)}.00"} for n in lapsed],
        )
    yield
    for table in (*WRITTEN, "marts.rta_decisions"):
        spark.sql(f"DELETE FROM {table} WHERE day BETWEEN DATE'{DAY}' AND DATE'{NEXT}'")


def append(spark: SparkSession, table: str, rows: list[dict[str, Any]]) -> None:
    """Append rows that name only the columns a test is about; the others are null."""
    schema = spark.table(table).schema
    given = [field for field in schema if field.name in rows[0]]
    texts = spark.createDataFrame(
        [tuple(str(row[field.name]) for field in given) for row in rows],
        ", ".join(f"{field.name} string" for field in given),
    )
    typed = [
        f"cast({f.name} as {f.dataType.simpleString()}) as {f.name}"
        if f.name in rows[0]
        else f"cast(null as {f.dataType.simpleString()}) as {f.name}"
        for f in schema
    ]
    texts.selectExpr(*typed).writeTo(table).append()


def build(spark: SparkSession, day: date) -> object:
    return marts.build(spark, "rta", Days.one(day), records.start_run("test", Days.one(day)), [])


def decisions(spark: SparkSession, day: date) -> dict[str, dict[str, Any]]:
    rows = spark.table("marts.rta_decisions").where(f"day = date'{day}'").collect()
    return {row["id_hash"]: row.asDict() for row in rows}


@pytest.fixture(scope="module")
def decided(spark: SparkSession, world: None) -> dict[str, dict[str, Any]]:  # noqa: ARG001 - is what it is built from
    build(spark, DAY)
    return decisions(spark, DAY)


def test_each_device_is_decided_on_once(decided):
    assert set(decided) == {hash_of(n) for n in range(USERS + 2)}


def test_who_has_said_nothing_or_is_active_is_not_bid_for(decided):
    for number in range(USERS):
        reason = decided[hash_of(number)]["no_bid_reason"]
        if not has_granted(number):
            assert reason == "no_consent"
        elif is_active(number):
            assert reason == "current_user"
        else:
            assert reason in {None, "control", "beyond_share"}


def test_of_several_users_of_a_device_the_most_cautious_holds(decided):
    shared, with_active = decided[hash_of(USERS)], decided[hash_of(USERS + 1)]

    assert float(shared["value_at_stake"]) == 0.5 * 2
    assert shared["is_control"] == any(decided[hash_of(n)]["is_control"] for n in (1, 2))
    assert with_active["no_bid_reason"] == "current_user"


def test_the_control_group_is_as_large_as_declared_and_never_bid_for(decided):
    control = [one for one in decided.values() if one["is_control"]]

    share = rta().control.share
    # Four standard deviations of a draw by lot.
    assert abs(len(control) / len(decided) - share) < 4 * (share * (1 - share) / USERS) ** 0.5
    assert not [one for one in control if one["no_bid_reason"] is None]
    assert [one for one in control if one["no_bid_reason"] == "control"]


def test_no_more_are_bid_for_than_the_share_and_those_of_the_lowest_value_are_left_out(decided):
    biddable = [one for one in decided.values() if one["is_permitted"] and not one["is_control"]]
    bids = [one for one in biddable if one["no_bid_reason"] is None]
    left_out = [one for one in biddable if one["no_bid_reason"] == "beyond_share"]

    assert len(bids) == int(rta().share.most * len(biddable))
    assert left_out
    least = min(one["value_at_stake"] for one in bids)
    assert max(one["value_at_stake"] for one in left_out) <= least
    # Whom they are compared with is of the same value: who would have been left out anyway is left out of the control group.
    control = [one for one in decided.values() if one["no_bid_reason"] == "control"]
    assert control and min(one["value_at_stake"] for one in control) >= least
    unused = [o for o in decided.values() if o["is_control"] and o["no_bid_reason"] == "beyond_share"]
    assert all(one["value_at_stake"] <= least for one in unused)


def test_the_multiplier_never_falls_as_the_value_rises(decided):
    wanted = sorted((one for one in decided.values() if one["multiplier"]), key=lambda one: one["value_at_stake"])
    multipliers = [one["multiplier"] for one in wanted]
    strategy = rta().strategies["recall"]

    assert multipliers == sorted(multipliers)
    assert float(multipliers[0]) == strategy.least
    assert float(multipliers[-1]) <= strategy.most


def test_a_day_that_is_built_again_is_the_same(spark, decided):
    build(spark, DAY)

    assert decisions(spark, DAY) == decided


def test_a_day_with_too_few_to_bid_for_is_refused_and_the_day_before_stays(spark, decided):
    with pytest.raises(CheckFailedError, match="rta_bid_share_is_within_its_limits"):
        build(spark, NEXT)

    assert decisions(spark, NEXT) == {}
    assert decisions(spark, DAY) == decided
