"""From who was assigned to what came of it, on real servers: the job, and the mart over its rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from rekindle import postgres, records
from rekindle.campaigns.offers import offers
from rekindle.days import Days
from rekindle.warehouse import contracts
from spark_jobs.campaigns import assignment

FIRST = date(1998, 3, 1)
DAYS = Days.between(FIRST + timedelta(10), FIRST + timedelta(11))
"""The deliveries that complete the seven days after the first of March, and after the second."""

HMAC = "a" * 64


@pytest.fixture(scope="module")
def planned(platform):  # noqa: ARG001 - has Postgres
    """A campaign of two users of one phone, one of them the control of another; and a ledger of the holdout."""

    def plan(connection):
        for name, day in (("c", FIRST), ("late", FIRST + timedelta(1)), ("other", FIRST + timedelta(5))):
            connection.execute(
                "insert into rekindle.campaign values (%s, %s, '1998-03-02 09:00Z', '{}', '{}', 'digest')", [name, day]
            )
        for campaign, user, phone, arm in (
            ("c", "u1", HMAC, "sent"), ("c", "u2", HMAC, "sent"), ("c", "u3", None, "control"),
            ("late", "u1", HMAC, "control"), ("other", "u1", HMAC, "sent"),
        ):  # fmt: skip
            connection.execute(
                "insert into rekindle.assignment values"
                " (%s, %s, %s, '1998-03-02 09:00Z', %s, %s, .5, 1, %s, 'lost', 'US', .25, 10, .1, .04)",
                [campaign, user, phone, arm, arm == "control", offers().offers[0].name],
            )
        for user, phone, held, day in (
            ("u8", None, True, FIRST),
            ("u9", None, False, FIRST),
            ("u9", HMAC, True, FIRST),
        ):
            connection.execute(
                "insert into rekindle.holdout (user_id, phone_hmac, is_held_out, decided_on, decided_by, share)"
                " values (%s, %s, %s, %s, 'hash', .05)",
                [user, phone, held, day],
            )

    def forget(connection):
        connection.execute(
            "delete from rekindle.assignment; delete from rekindle.campaign; delete from rekindle.holdout"
        )

    postgres.transact(plan)
    yield
    postgres.transact(forget)


@pytest.fixture(scope="module")
def built(spark, planned):  # noqa: ARG001 - what it is built from
    """Both days at once, with messages of a tool, one of which has changed since."""
    columns = contracts.load("raw.messages").names

    def message(day, name, campaign, user, arm="treatment", *, sent=FIRST + timedelta(1), cost="0.050000"):
        told = {
            "day": FIRST + timedelta(day), "message_id": name, "campaign_id": campaign, "user_id": user,
            "message_channel": "sms", "arm": arm, "status": "sent", "cost": Decimal(cost),
            "sent_at": datetime(sent.year, sent.month, sent.day, 10),  # noqa: DTZ001 - Spark's sessions are in UTC
        }  # fmt: skip
        return tuple(told[column] for column in columns)

    spark.createDataFrame(
        [
            message(1, "m1", "c", "u1"),
            message(2, "m1", "c", "u1", cost="0.070000"),
            message(11, "m1", "c", "u1", cost="9.000000"),
            message(1, "m2", "theirs", "u4"),
            message(1, "m3", "theirs", "u5", "control"),
            message(3, "m4", "theirs", "u4", sent=FIRST + timedelta(3)),
            message(1, "m5", "theirs", "u6"),
            message(2, "m6", "theirs", "u6", "control"),
        ],
        spark.table("raw.messages").schema,
    ).writeTo("raw.messages").append()
    assignment.main(spark, DAYS, records.start_run("test", DAYS))
    yield {
        (row.day, row.campaign_id, row.user_id): row.asDict()
        for row in spark.table(assignment.TABLE)
        .where(f"day between date'{DAYS.first}' and date'{DAYS.last}'")
        .collect()
    }
    for table in ("raw.messages", assignment.TABLE):
        spark.sql(f"DELETE FROM {table} WHERE day < DATE'1998-06-01'")


def test_each_is_taken_on_the_day_that_completes_its_outcome(built):
    assert {(day - FIRST).days: {key[1:] for key in built if key[0] == day} for day in DAYS} == {
        10: {("c", "u1"), ("c", "u2"), ("c", "u3"), ("theirs", "u4"), ("theirs", "u5"), ("holdout", "u8"), ("holdout", "u9")},
        11: {("late", "u1")},
    }  # fmt: skip


def test_users_of_a_phone_are_one_cluster_and_controls_cost_nothing(built):
    found = {user: built[DAYS.first, "c", user] for user in ("u1", "u2", "u3")}

    assert found["u1"]["cluster"] == found["u2"]["cluster"] == HMAC
    assert found["u3"]["cluster"] == "u3"
    assert [found[user]["cost"] for user in found] == [Decimal("0.07"), Decimal("0.04"), None]
    assert {one["redeemed_by"] for one in found.values()} == {offers().offers[0].redeemed_by}
    assert found["u3"]["is_control"] and found["u1"]["return_probability"] == 0.25


def test_the_tools_messages_say_who_was_in_a_campaign_of_its_own(built):
    sent, control = built[DAYS.first, "theirs", "u4"], built[DAYS.first, "theirs", "u5"]

    assert (sent["kind"], sent["is_control"], sent["cost"]) == ("elsewhere", False, Decimal("0.10"))
    assert (control["is_control"], control["cost"]) == (True, None)


def test_who_had_several_phones_is_in_the_arm_of_the_first(built):
    assert built[DAYS.first, "holdout", "u9"]["arm"] == "may be texted"
    assert built[DAYS.first, "holdout", "u8"]["is_control"]


def test_a_day_by_itself_is_the_day_of_the_range(spark, built):
    one = Days.one(DAYS.first)
    assignment.main(spark, one, records.start_run("test", one))
    again = spark.table(assignment.TABLE).where(f"day = date'{DAYS.first}'").collect()

    assert {(row.day, row.campaign_id, row.user_id): row.asDict() for row in again} == {
        key: row for key, row in built.items() if key[0] == DAYS.first
    }
