"""Publishing to a real Postgres: what SMS tools read, and what they never see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from statistics import mean, median

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bench.published import published as hashes
from ml.products import product_named
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.publishing import due_day, merge, publish, renewed_by
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import contracts
from rekindle.warehouse.checks import accepting
from tests.bad_inputs import bad_input, marks
from tests.traps import trap

UPLIFT = ("uplift", "uplift_low", "uplift_high")

RECALL, LTV, RETURN_VALUE = product_named("recall"), product_named("ltv"), product_named("return_value")

MONDAY = date(2017, 6, 5)
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (MONDAY + timedelta(days=n) for n in range(1, 5))

REASONS = pa.list_(pa.struct([("feature", pa.string()), ("words", pa.string()), ("contribution", pa.float64())]))
MODEL = [
    ("raw_score", pa.float64()),
    ("percentile", pa.int32()),
    ("decile", pa.int32()),
    ("reasons", REASONS),
    ("baseline", pa.float64()),
    ("other_contribution", pa.float64()),
    ("model_name", pa.string()),
    ("model_version", pa.string()),
    ("model_digest", pa.string()),
    ("run_id", pa.string()),
    ("is_backfilled", pa.bool_()),
]
RECALL_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("user_id", pa.string()),
        ("return_probability", pa.float64()),
        ("lapsed_days", pa.int32()),
        ("horizon_days", pa.int32()),
        *((name, pa.float64()) for name in UPLIFT),
        *MODEL,
    ]
)
HORIZONS = [
    column
    for days in (30, 90, 365)
    for column in (
        *((f"ltv_{days}{end}", pa.decimal128(18, 2)) for end in ("", "_low", "_high")),
        (f"ltv_{days}_status", pa.string()),
    )
]
RETURN_VALUE_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("user_id", pa.string()),
        *[(f"value_if_returns{end}", pa.decimal128(18, 2)) for end in ("", "_low", "_high")],
        ("currency", pa.string()),
        ("run_id", pa.string()),
    ]
)
CHANCES = [("purchase_probability", pa.float64()), ("p_alive", pa.float64())]
LTV_SCHEMA = pa.schema(
    [("day", pa.date32()), ("user_id", pa.string()), *HORIZONS, *CHANCES, ("currency", pa.string()), *MODEL]
)

BASE = {
    "raw_score": 0.1,
    "percentile": 50,
    "decile": 5,
    "reasons": [],
    "baseline": -1.0,
    "other_contribution": 0.25,
    "model_version": "3",
    "model_digest": "a" * 64,
    "run_id": "the run that scored",
    "is_backfilled": False,
}
BASE_RECALL = {
    **BASE,
    "return_probability": 0.25,
    "lapsed_days": 20,
    "horizon_days": 7,
    "model_name": "rekindle_recall",
}
BASE_LTV = {
    **BASE,
    "ltv_30": Decimal("12.50"),
    "ltv_30_status": "modelled",
    "ltv_90": Decimal("30.00"),
    "ltv_90_status": "modelled",
    "ltv_365": None,
    "ltv_365_status": "not_available",
    "currency": "USD",
    "model_name": "rekindle_ltv",
}


def recall(users, day=MONDAY, **changes):
    """Scores of `users`, no two alike: a constant score is refused."""
    probabilities = {user: round(0.1 + place / 1000, 3) for place, user in enumerate(users)}
    return recall_rows(
        *[{"user_id": u, "return_probability": p, "raw_score": p, **changes} for u, p in probabilities.items()],
        day=day,
    )


def return_value_rows(*rows, day=MONDAY):
    base = {"day": day, "currency": "USD", "run_id": BASE["run_id"]}
    return pa.Table.from_pylist([base | row for row in rows], RETURN_VALUE_SCHEMA)


def recall_rows(*rows, day=MONDAY):
    return pa.Table.from_pylist([{**BASE_RECALL, "day": day, **row} for row in rows], RECALL_SCHEMA)


def ltv(users, day=MONDAY, **changes):
    rows = [{**BASE_LTV, "day": day, "user_id": u, "raw_score": place, **changes} for place, u in enumerate(users)]
    return pa.Table.from_pylist(rows, LTV_SCHEMA)


@pytest.fixture
def run_id(database):  # noqa: ARG001 - the run is recorded there
    return records.start_run("daily", Days.one(MONDAY))


@pytest.fixture
def published(database, run_id):
    """Publish, and read what SMS tools see then."""

    def do(*tables, day=MONDAY, run=run_id, backfill=False):
        scores = {LTV if "ltv_30" in table.column_names else RECALL: table for table in tables}
        return publish(scores, day, run, backfill=backfill)

    do.database = database
    return do


def what_tools_see(database):
    """Everything in schema `sms`, without the times of publishing that the freshness names."""
    tables = "recall_scores", "ltv_scores", "recall_scores_history", "ltv_scores_history", "audience"
    seen = {table: database.rows(f"select * from sms.{table} order by user_id, day") for table in tables}
    seen["freshness"] = database.rows(
        "select table_name, day, row_count, valid_until, status from sms.freshness order by table_name"
    )
    return seen


def users_in(database, table="recall_scores"):
    return [row["user_id"] for row in database.rows(f"select user_id from sms.{table} where in_population order by 1")]


# What is published


def test_a_score_becomes_a_row_that_people_and_tools_can_read(published, database, run_id):
    reasons = [
        {"feature": "recency_days", "words": "20 days since the last activity", "contribution": 0.4249},
        {"feature": "frequency", "words": 'bought "often", 7 times\n', "contribution": -0.31},
    ]
    before = datetime.now(UTC)
    result = published(recall_rows({"user_id": "u1", "return_probability": 0.12349, "reasons": reasons}))

    (row,) = database.rows("select * from sms.recall_scores")
    assert row == {
        "user_id": "u1",
        "in_population": True,
        "return_probability": Decimal("0.123"),
        "lapsed_days": 20,
        "horizon_days": 7,
        **dict.fromkeys(UPLIFT),
        "percentile": 50,
        "decile": 5,
        "reason_1": "20 days since the last activity (+0.42)",
        "reason_2": 'bought "often", 7 times\n (-0.31)',
        "reason_3": None,
        "other_contribution": Decimal("0.25"),
        "model_name": "rekindle_recall",
        "model_version": "3",
        "model_digest": "a" * 64,
        "schema_version": 1,
        "day": MONDAY,
        "run_id": run_id,
        "updated_at": result.published_at,
    }
    assert before < row["updated_at"].astimezone(UTC) < datetime.now(UTC)
    (history,) = database.rows("select * from sms.recall_scores_history")
    assert history == {**{k: v for k, v in row.items() if k != "in_population"}, "is_backfilled": False}


def test_a_text_that_postgres_cannot_hold_keeps_nobody_from_being_published(published, database):
    reason = {"feature": "country", "words": "country: D\x00E", "contribution": 0.1}
    published(recall_rows({"user_id": "u1", "reasons": [reason]}))

    assert database.value("select reason_1 from sms.recall_scores") == "country: D\ufffdE (+0.10)"


def test_the_audience_has_value_and_no_permission(published, database):
    published(recall(["lapsed", "poor"]), ltv(["lapsed", "active"]))

    lapsed, poor = database.rows("select * from sms.audience order by user_id")
    for row in (lapsed, poor):
        assert (row["eligible"], row["eligible_before_holdout"], row["suppression_reason"]) == (
            False,
            False,
            "no_consent",
        )
        permission = "valid_until phone_e164 consent_at consent_source policy_version timezone"
        window = "send_window_start send_window_end"
        assert {row[name] for name in f"{permission} {window}".split()} == {None}
    assert (lapsed["return_probability"], lapsed["ltv_90"]) == (Decimal("0.100"), Decimal("30.00"))
    assert (lapsed["ltv_365"], lapsed["ltv_365_status"]) == (None, "not_available")
    assert (poor["ltv_30"], poor["ltv_30_status"]) == (None, None)
    assert len(database.rows("select * from sms.ltv_scores")) == 2


def test_freshness_says_until_when_a_table_may_be_used(published, database):
    done = published(recall(["u1", "u2"]), ltv(["u1"]))

    rows = database.rows("select * from sms.freshness order by table_name")
    assert [(row["table_name"], row["day"], row["row_count"]) for row in rows] == [
        ("audience", MONDAY, 2),
        ("ltv_scores", MONDAY, 1),
        ("recall_scores", MONDAY, 2),
    ]
    assert [tuple(row.values()) for row in renewed_by(done)] == [
        (row["table_name"], row["day"], row["row_count"]) for row in rows
    ]
    assert {row["valid_until"] for row in rows} == {datetime(2017, 6, 7, 12, tzinfo=UTC)}
    assert {row["status"] for row in rows} == {"expired"}, "2017 is over"


@bad_input("user_id `Robert'); DROP TABLE scores;--`", gets="fine")
def test_an_id_that_looks_like_sql_is_data(published, database):
    names = ["Robert'); DROP TABLE scores;--", "../../etc/passwd", 'quo"te', "комма,", "\\N", "\\.", " "]
    published(recall(names))

    assert users_in(database) == sorted(names, key=lambda name: name.encode())


# What a tool that follows the tables sees


@trap("a time of change that moves each day")
def test_publishing_the_same_again_moves_nothing(published, database, run_id):
    tables = [recall(["u1", "u2"]), ltv(["u1", "u3"])]
    published(*tables)
    before = what_tools_see(database)

    result = published(*tables, run=records.start_run("daily", Days.one(MONDAY)))

    assert what_tools_see(database) == before
    assert [product.changed_count for product in result.products] == [0, 0]
    assert {row["run_id"] for row in before["recall_scores"]} == {run_id}


def test_the_order_of_the_rows_does_not_matter(published, database):
    table = recall(["u1", "u2", "u3"])
    published(table)
    before = what_tools_see(database)

    published(table.take([2, 0, 1]))

    assert what_tools_see(database) == before
    assert database.value("select count(distinct content_digest) from rekindle.publish_log") == 1


@trap("a time of change that moves each day")
@trap("yesterday's scores overwritten")
def test_a_row_moves_only_when_its_content_changes_after_rounding(published, database):
    published(recall_rows({"user_id": "same", "return_probability": 0.1234}, {"user_id": "other", "raw_score": 0.2}))
    first = {row["user_id"]: row for row in database.rows("select * from sms.recall_scores")}

    result = published(
        recall_rows(
            {"user_id": "same", "return_probability": 0.1231},
            {"user_id": "other", "return_probability": 0.251, "raw_score": 0.3},
            day=TUESDAY,
        ),
        day=TUESDAY,
    )

    second = {row["user_id"]: row for row in database.rows("select * from sms.recall_scores")}
    assert second["same"] == first["same"]
    assert (second["other"]["day"], second["other"]["updated_at"]) == (TUESDAY, result.published_at)
    assert result.published_at > first["other"]["updated_at"]
    assert database.value("select count(*) from sms.recall_scores_history where day = %s", TUESDAY) == 2


def test_who_leaves_the_population_stays_without_a_score_and_may_come_back(published, database):
    published(recall(["stays", "leaves"]))
    published(recall(["stays", "comes"], TUESDAY), day=TUESDAY)

    (row,) = database.rows("select * from sms.recall_scores where user_id = 'leaves'")
    known = {name for name, value in row.items() if value is not None}
    assert known == {"user_id", "in_population", "schema_version", "day", "run_id", "updated_at"}
    assert (row["in_population"], row["day"]) == (False, TUESDAY)
    (row,) = database.rows("select * from sms.audience where user_id = 'leaves'")
    assert (row["suppression_reason"], row["return_probability"]) == ("not_in_population", None)

    left_at = row["updated_at"]
    published(recall(["stays", "comes"], WEDNESDAY), day=WEDNESDAY)
    assert database.value("select updated_at from sms.audience where user_id = 'leaves'") == left_at

    published(recall(["stays", "leaves"], THURSDAY), day=THURSDAY)
    assert users_in(database) == ["leaves", "stays"]
    assert database.value("select suppression_reason from sms.audience where user_id = 'leaves'") == "no_consent"
    assert database.value("select count(*) from sms.recall_scores_history where user_id = 'leaves'") == 2


def test_an_empty_population_is_a_population(published, database):
    published(recall(["u1", "u2"]))
    published(recall([], TUESDAY), day=TUESDAY)

    assert users_in(database) == []
    assert users_in(database, "audience") == []
    assert len(database.rows("select * from sms.audience")) == 2


def test_a_product_without_sources_leaves_the_others_alone(published, database):
    published(recall(["u1", "u2"]), ltv(["u1"]))
    published(recall(["u1", "u2"], TUESDAY), day=TUESDAY)

    days = {row["table_name"]: row["day"] for row in database.rows("select table_name, day from sms.freshness")}
    assert days == {"recall_scores": TUESDAY, "audience": TUESDAY, "ltv_scores": MONDAY}


# Comparing what is published before and after a change (bench/published.py)


def test_hashes_tell_the_content_of_a_day_and_not_who_published_it_when(published):
    tables = [recall(["u1", "u2"]), ltv(["u1", "u3"])]
    published(*tables)
    before = hashes()
    assert sorted(before) == [
        "activation_audience",
        "audience",
        "campaign_list",
        "erasure_feed",
        "freshness",
        "ltv_scores",
        "ltv_scores_history",
        "recall_scores",
        "recall_scores_history",
        "recommendations",
        "return_values",
        "return_values_history",
        "vip_30_scores",
        "vip_30_scores_history",
    ]
    assert before["erasure_feed"] == before["return_values"] == {}
    filled = {name: days for name, days in before.items() if days}
    assert {name: days[str(MONDAY)]["rows"] for name, days in filled.items()} == dict.fromkeys(filled, 2) | {
        "freshness": 3
    }

    published(*[retrained(table) for table in tables], run=records.start_run("daily", Days.one(MONDAY)))
    assert hashes() == before

    probabilities = [0.1, 0.102]
    published(
        recall_rows(
            *[{"user_id": f"u{n}", "return_probability": p, "raw_score": p} for n, p in enumerate(probabilities, 1)]
        ),
        tables[1],
    )
    after = hashes()
    assert {name for name in before if after[name] != before[name]} == {
        "audience",
        "recall_scores",
        "recall_scores_history",
    }


def retrained(scores):
    """Equal scores of another version."""
    place = scores.schema.get_field_index("model_version")
    return scores.set_column(place, "model_version", pa.array(["4"] * scores.num_rows))


def test_a_product_is_published_also_before_there_is_whom_the_audience_is_about(published, database):
    published(ltv(["u1"]))

    assert [(row["table_name"], row["row_count"]) for row in database.rows("select * from sms.freshness")] == [
        ("ltv_scores", 1)
    ]


@pytest.mark.parametrize("hour", ["0", "9", "23"])
def test_what_must_be_published_by_now_is_yesterday_from_a_set_hour_on(database, monkeypatch, hour):
    monkeypatch.setenv("REKINDLE_FRESH_BY_HOUR", hour)
    settings.cache_clear()
    now = database.value("select clock_timestamp() at time zone 'utc'")

    assert due_day() == now.date() - timedelta(1 if now.hour >= int(hour) else 2)


# Which day is current


@trap("yesterday's scores overwritten")
def test_an_older_day_goes_to_history_only_and_says_so(published, database):
    published(recall(["u1", "u2"], TUESDAY), day=TUESDAY)
    before = what_tools_see(database)

    done = published(recall(["u1", "u3"]))

    (product,) = done.products
    assert (product.is_current, product.current_day, product.changed_count) == (False, TUESDAY, 0)
    assert renewed_by(done) == [], "nobody is told of a table that is as it was"
    after = what_tools_see(database)
    history = after.pop("recall_scores_history")
    assert after == {table: rows for table, rows in before.items() if table != "recall_scores_history"}
    assert [(row["user_id"], row["day"]) for row in history] == [
        ("u1", MONDAY),
        ("u1", TUESDAY),
        ("u2", TUESDAY),
        ("u3", MONDAY),
    ]


def test_a_backfill_goes_to_history_only_even_for_the_newest_day(published, database):
    (product,) = published(recall(["u1", "u2"], is_backfilled=True), backfill=True).products

    assert (product.is_current, product.current_day) == (False, None)
    assert database.value("select bool_and(is_backfilled) from sms.recall_scores_history")
    for table in ("recall_scores", "audience", "freshness"):
        assert database.rows(f"select * from sms.{table}") == []


def test_a_day_that_is_scored_again_replaces_its_history(published, database):
    published(recall(["u1", "u2"]))
    published(recall_rows({"user_id": "u2", "return_probability": 0.9}, {"user_id": "u3", "raw_score": 0.2}))

    rows = database.rows("select user_id, return_probability from sms.recall_scores_history order by user_id")
    assert [tuple(row.values()) for row in rows] == [("u2", Decimal("0.900")), ("u3", Decimal("0.250"))]
    assert users_in(database) == ["u2", "u3"]


@pytest.mark.parametrize("day", [MONDAY, TUESDAY])
def test_the_planner_knows_of_a_day_as_soon_as_it_can_be_read(published, database, day):
    """Left to find out by itself it takes a new day for one row, and joins a million users' histories in a nested loop."""
    users = [f"u{n}" for n in range(40)]
    published(recall(users))
    published(recall(users, TUESDAY), day=TUESDAY)

    query = "explain (format json) select user_id from sms.recall_scores_history where day = %s"
    assert database.value(query, day)[0]["Plan"]["Plan Rows"] == len(users)


# What is refused


@pytest.fixture
def a_week(published):
    """Three published days of ten users: enough to judge a number of rows by."""
    users = [f"u{n}" for n in range(10)]
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        published(recall(users, day), ltv(users, day), day=day)
    return users


def broken(users, **change):
    """Thursday's scores, of which one row is broken."""
    rows = recall(users, THURSDAY).to_pylist()
    rows[3] |= change
    return recall_rows(*rows, day=THURSDAY)


BAD = {
    "NaN": (lambda users: broken(users, return_probability=float("nan")), "return_probability is between 0 and 1"),
    "inf": (lambda users: broken(users, raw_score=float("inf")), "raw_score is a finite number"),
    "1.2": (lambda users: broken(users, return_probability=1.2), "return_probability is between 0 and 1, 1 rows"),
    "below 0": (lambda users: broken(users, return_probability=-0.1), "return_probability is between 0 and 1"),
    "a null": (lambda users: broken(users, return_probability=None), "return_probability is not null"),
    "a null key": (lambda users: broken(users, user_id=None), "user_id is not null"),
    "a duplicate": (lambda users: broken(users, user_id="u1"), "key user_id is unique, 1 rows"),
    "percentile 0": (lambda users: broken(users, percentile=0), "percentile is between 1 and 100"),
    "half a digest": (lambda users: broken(users, model_digest="a" * 32), "model_digest matches"),
    "yesterday's day": (lambda users: recall(users, WEDNESDAY), "day is 2017-06-08, 10 rows"),
    "all equal": (lambda users: recall(users, THURSDAY, return_probability=0.3), "return_probability is not constant"),
    "half the rows": (lambda users: recall(users[:5], THURSDAY), "rows change by at most 0.4"),
    "no rows": (lambda _: recall([], THURSDAY), "rows change by at most 0.4"),
    "three times the rows": (lambda _: recall([f"v{n}" for n in range(30)], THURSDAY), "rows change by at most 0.4"),
    "LTV ten times as high": (
        lambda users: ltv(users, THURSDAY, ltv_30=Decimal(125), ltv_90=Decimal(300)),
        "sms.ltv_scores: mean of ltv_30 moves by at most 0.4",
    ),
    "all of them likely": (
        lambda users: recall_rows(
            *[{"user_id": user, "return_probability": 0.9 + place / 1000} for place, user in enumerate(users)],
            day=THURSDAY,
        ),
        "mean of return_probability moves by at most 0.4",
    ),
    "a NaN in a reason": (
        lambda users: broken(users, reasons=[{"feature": "f", "words": "w", "contribution": float("nan")}]),
        "reason_1_contribution is a finite number",
    ),
    "a text that Postgres cannot hold": (lambda users: broken(users, model_version="\x00"), "CharacterNotInRepertoire"),
}


SHOWS = {
    "NaN": ("scores NaN",),
    "inf": ("scores inf",),
    "1.2": ("scores outside [0, 1]",),
    "below 0": ("scores outside [0, 1]",),
    "a duplicate": ("duplicate ids",),
    "yesterday's day": ("scores of yesterday's day",),
    "all equal": ("scores all equal",),
    "half the rows": ("half the rows",),
    "three times the rows": ("three times the rows",),
    "LTV ten times as high": ("LTV ten times as high",),
}
"""Which of the bad inputs some of them show."""


@pytest.mark.parametrize(
    ("scores", "rule"),
    [pytest.param(*one, id=name, marks=marks(SHOWS.get(name, ()), gets="B")) for name, one in BAD.items()],
)
def test_unfit_scores_are_refused_by_name_and_change_nothing(scores, rule, a_week, published, database):
    before = what_tools_see(database)

    with pytest.raises(CheckFailedError, match=rule) as refused:
        published(ltv(a_week, THURSDAY), scores(a_week), day=THURSDAY)

    assert what_tools_see(database) == before
    assert "u3" not in str(refused.value)
    assert refused.value.exit_code == 1


def test_what_was_judged_is_recorded_whether_it_passed_or_not(a_week, published, run_id):
    with pytest.raises(CheckFailedError):
        published(broken(a_week, return_probability=1.2), day=THURSDAY)

    on_thursday = {check.rule: check.outcome for check in records.checks(run_id=run_id, day=THURSDAY)}
    assert {rule for rule, outcome in on_thursday.items() if outcome == "failed"} == {
        "mean of return_probability moves by at most 0.4",
        "return_probability is between 0 and 1",
    }
    on_monday = {check.rule: check for check in records.checks(run_id=run_id, day=MONDAY)}
    row_count = on_monday["rows change by at most 0.4 of the week's median"]
    assert (row_count.outcome, row_count.detail) == ("not_judged", {"days": 0})


def test_what_a_person_has_accepted_is_published_for_that_day_and_no_other(a_week, published, database):
    contract = contracts.load(RECALL.table)
    with pytest.raises(CheckFailedError, match=r"accept sms.recall_scores rows_change_by --day 2017-06-08"):
        published(recall(a_week[:5], THURSDAY), day=THURSDAY)
    done = accepting.accept("sms.recall_scores", contract, "rows_change_by", THURSDAY, "ada", "a\nsale")

    published(recall(a_week[:5], THURSDAY), day=THURSDAY)

    assert len(users_in(database)) == 5
    (check,) = [
        c for c in records.checks(day=THURSDAY) if c.table_name == "sms.recall_scores" and c.outcome == "failed"
    ]
    assert check.detail["accepted"] == [done.words]
    assert done.words.startswith("2017-06-08 by ada, ")
    assert done.words.endswith(" UTC: a sale")
    with pytest.raises(CheckFailedError, match="rows change"):
        published(recall(a_week[:4], THURSDAY), day=THURSDAY)
    with pytest.raises(CheckFailedError, match="rows change"):
        published(recall(a_week[:5], FRIDAY), day=FRIDAY)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("update rekindle.acceptance set because = 'another'")


def test_an_honest_move_of_the_row_count_passes(a_week, published, database):
    published(recall(a_week[:6], THURSDAY), day=THURSDAY)

    assert len(users_in(database)) == 6


def test_scores_without_a_column_are_refused_by_its_name(published):
    with pytest.raises(InputError, match="percentile"):
        published(recall(["u1", "u2"]).drop(["percentile"]))


# All or nothing


def test_a_publish_that_fails_halfway_leaves_no_trace(published, database, monkeypatch):
    published(recall(["u1", "u2"]))
    before = what_tools_see(database)
    monkeypatch.setattr(merge, "merge_query", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        published(recall(["u1", "u3"], TUESDAY), day=TUESDAY)

    assert what_tools_see(database) == before


KILLED = """
import os, pickle, signal, sys
from datetime import date
from ml.products import product_named
from rekindle import publishing
publishing.merge.merge_query = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
import pyarrow as pa
scores = pa.ipc.open_stream(sys.stdin.buffer).read_all()
publishing.publish({product_named("recall"): scores}, date(2017, 6, 6), sys.argv[1])
"""


def test_a_publish_that_is_killed_halfway_leaves_no_trace_and_no_lock(published, database, run_id):
    published(recall(["u1", "u2"]))
    before = what_tools_see(database)
    table = recall(["u1", "u3"], TUESDAY)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, run_id],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        input=sink.getvalue().to_pybytes(),
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    assert what_tools_see(database) == before
    published(table, day=TUESDAY)
    assert users_in(database) == ["u1", "u3"]


def test_a_publish_whose_connection_breaks_is_done_again(published, database, monkeypatch):
    monkeypatch.setattr(postgres, "RETRY_PAUSES_SECONDS", (0.01, 0.01))
    merge_query, breaks = merge.merge_query, iter([True])

    def break_once(*about):
        changed_count = merge_query(*about)
        if next(breaks, False):
            about[0].execute("select pg_terminate_backend(pg_backend_pid())")
        return changed_count

    monkeypatch.setattr(merge, "merge_query", break_once)

    result = published(recall(["u1", "u2"]))

    assert users_in(database, "audience") == ["u1", "u2"]
    assert database.value("select count(*) from rekindle.publish_log") == 1
    assert database.value("select min(updated_at) from sms.audience") == result.published_at


def test_a_commit_whose_answer_was_lost_is_found_in_the_log(published, database, monkeypatch):
    """Someone else published in between: doing it again would take their rows back."""
    monkeypatch.setattr(postgres, "RETRY_PAUSES_SECONDS", (0.01,))
    connect = psycopg.connect
    losses = iter([True])

    class LosesAnswer(psycopg.Connection):
        def commit(self):
            super().commit()
            if next(losses, False):
                monkeypatch.setattr(psycopg, "connect", connect)
                published(recall(["u1", "other"]))
                raise psycopg.OperationalError("server closed the connection unexpectedly")

    postgres.disconnect()
    monkeypatch.setattr(psycopg, "connect", LosesAnswer.connect)

    result = published(recall(["u1", "u2"]))

    assert users_in(database) == ["other", "u1"]
    first, second = database.rows("select * from rekindle.publish_log order by publish_id")
    assert result.published_at == first["published_at"] < second["published_at"]
    assert result.products[0].changed_count == 2


def test_two_publishes_take_turns(published, database):
    days = [MONDAY, TUESDAY, WEDNESDAY, THURSDAY]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda day: published(recall([f"u{day.day}", "u"], day), day=day), days))

    assert len({result.published_at for result in results}) == len(days)
    assert users_in(database) == ["u", "u8"]
    assert database.value("select day from sms.freshness where table_name = 'audience'") == THURSDAY


def test_who_waits_too_long_for_a_turn_is_told_who_else_publishes(published, database, monkeypatch):
    postgres.disconnect()
    monkeypatch.setitem(postgres.SESSION, "lock_timeout", "100ms")
    monkeypatch.setattr(postgres, "RETRY_PAUSES_SECONDS", ())
    with database.connect() as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('rekindle publish', 0))")

        with pytest.raises(InputError) as refused:
            published(recall(["u1", "u2"]))
    assert refused.value.code == "already_running"


def test_readers_see_all_of_a_publish_or_nothing(published, database):
    """Each publish gives all rows one new version and as many rows as its number says."""
    users = [f"u{n}" for n in range(200)]
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            with database.connect() as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                versions = [
                    connection.execute(f"select array_agg(distinct model_version), count(*) from sms.{t}").fetchone()
                    for t in ("recall_scores", "audience")
                ]
                day = connection.execute("select max(day) from sms.freshness").fetchone()
            seen.add((str(versions), day))
            (current, row_count), (in_audience, audience_count) = versions
            assert current == in_audience
            assert current is None or len(current) == 1
            assert row_count == audience_count in {0, len(users)}

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number, day in enumerate([MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]):
            published(recall(users, day, model_version=str(number)), day=day)
        done.set()
        for reader in readers:
            reader.result()
    assert len(seen) > 1


def test_a_clock_that_goes_back_does_not_hide_a_change(published, database):
    published(recall(["u1", "u2"]))
    database.execute("update rekindle.publish_log set published_at = published_at + interval '1 year'")
    later = database.value("select max(published_at) from rekindle.publish_log")

    result = published(recall(["u1", "u3"], TUESDAY), day=TUESDAY)

    assert result.published_at == later + timedelta(microseconds=1)


# The role of the readers


def test_sms_reader_can_select_what_is_listed_and_nothing_else(database):
    listed = {
        f"sms.{name}"
        for name in (
            "activation_audience",
            "audience",
            "campaign_list",
            "erasure_feed",
            "freshness",
            "ltv_scores",
            "ltv_scores_history",
            "recall_scores",
            "recall_scores_history",
            "recommendations",
            "return_values",
            "return_values_history",
            "vip_30_scores",
            "vip_30_scores_history",
        )
    }
    rights = database.rows(
        """
        select c.oid::regclass::text as relation, privilege
        from pg_class as c,
            unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege
        where c.relnamespace in ('sms'::regnamespace, 'rekindle'::regnamespace, 'public'::regnamespace)
            and c.relkind in ('r', 'v', 'm', 'p') and has_table_privilege('sms_reader', c.oid, privilege)
        """
    )
    assert {(row["relation"], row["privilege"]) for row in rights} == {(table, "select") for table in listed}
    elsewhere = """
        select has_schema_privilege('sms_reader', 'sms', 'create')
            or has_schema_privilege('sms_reader', 'public', 'create')
            or has_schema_privilege('sms_reader', 'rekindle', 'usage')
            or has_database_privilege('sms_reader', current_database(), 'create, temporary')
    """
    assert database.value(elsewhere) is False


READ = (
    "select count(*) from sms.freshness",
    "select user_id, eligible, phone_e164 from sms.audience where eligible",
    "select user_id, updated_at from sms.audience where (updated_at, user_id) > ('-infinity', '') order by 2, 1",
    "select count(*) from sms.recall_scores_history where day = '2017-06-05'",
    "select count(*) from sms.ltv_scores left join sms.recall_scores using (user_id)",
)

FORBIDDEN = (
    "update sms.audience set eligible = true",
    "insert into sms.audience (user_id) values ('u3')",
    "delete from sms.recall_scores",
    "truncate sms.audience",
    "merge into sms.audience as a using sms.recall_scores as r on a.user_id = r.user_id when matched then delete",
    "select * from sms.audience for update",
    "lock table sms.audience in exclusive mode",
    "copy sms.audience from stdin",
    "copy sms.audience to program 'true'",
    "alter table sms.audience add column mine text",
    "comment on table sms.audience is 'mine'",
    "create index on sms.audience (phone_e164)",
    "drop table sms.recall_scores_history",
    "create table sms.mine (user_id text)",
    "create table public.mine (user_id text)",
    "create temporary table mine (user_id text)",
    "create view sms.mine as select 1",
    "create schema mine",
    "create role mine",
    "alter table sms.audience owner to sms_reader",
    "select phone_e164 from rekindle.permission",
    "select user_id from rekindle.withdrawal",
    "select user_id, is_held_out from rekindle.holdout",
    "select user_hmac from rekindle.tombstone",
    "select rolpassword from pg_authid",
    "select pg_read_file('postgresql.conf')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename <> 'sms_reader'",
)
"""What a reader might try: to write, to lock others out, to keep something, to look where phones and secrets are."""


def test_sms_reader_runs_its_selects_and_is_refused_everything_else(published, database):
    published(recall(["u1", "u2"]), ltv(["u1"]))
    with database.connect() as connection:
        connection.execute("set role sms_reader")
        for statement in READ:
            assert connection.execute(statement).fetchall() is not None, statement
        assert [statement for statement in FORBIDDEN if not is_refused(connection, statement)] == []
    assert len(FORBIDDEN) >= 25


def is_refused(connection, statement):
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


@trap("a consent that is always granted")
def test_nobody_can_mark_a_user_eligible_without_all_that_permission_takes(published, database):
    published(recall(["u1", "u2"]))
    for change in (
        "eligible = true",
        "eligible = true, eligible_before_holdout = true, suppression_reason = null",
        "phone_e164 = '+14155550123'",
        "suppression_reason = 'felt like it'",
        "suppression_reason = null",
        "suppression_reason = 'holdout'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            database.execute(f"update sms.audience set {change}")


# The page for those who build the readers

PAGE = (PROJECT / "docs" / "for-sms-tools.md").read_text()


def test_the_queries_of_the_page_run_for_the_role_of_the_readers(published, database):
    """Whom to text, of whom there is nobody without a consent, is asked in the tests of the audience."""
    published(recall(["u1", "42"]), ltv(["42"]))
    queries = [q for q in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if q.startswith("select")]
    start = {":last_updated_at": "'-infinity'", ":last_user_id": "''"}

    with database.connect() as connection:
        connection.execute("set role sms_reader")
        for query in queries:
            sql = re.sub(r":last_\w+", lambda name: start[name[0]], query)
            found = connection.execute(sql).fetchall()
            assert found or "eligible and now()" in query, query
    assert len(queries) == 8


def test_the_page_explains_every_column_and_every_code(database):
    columns = database.rows(
        "select distinct attname as name from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relnamespace = 'sms'::regnamespace and relkind in ('r', 'v') and attnum > 0"
    )
    (codes,) = database.rows(
        "select pg_get_constraintdef(oid) as code from pg_constraint"
        " where conname = 'audience_suppression_reason_check'"
    )
    explained = set(re.findall(r"`(\w+)`", PAGE)) | {"reason_2", "ltv_90_status", "ltv_365_status"}
    explained |= {f"ltv_{days}_{end}" for days in (90, 365) for end in ("low", "high")}
    explained |= {"table_name", "published_at"}  # in the query about freshness

    assert {row["name"] for row in columns} - explained == set()
    assert set(re.findall(r"'(\w+)'::text", codes["code"])) - explained == set()


# Against a dictionary

USERS = ["a", "b", "c", "d", "e"]
PUBLISHES = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=5),
        st.dictionaries(st.sampled_from(USERS), st.integers(min_value=0, max_value=9), max_size=len(USERS)),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


class Model:
    """What publishing must do, said with dictionaries."""

    def __init__(self):
        self.current, self.history, self.row_counts, self.day, self.number = {}, {}, {}, None, 0

    def publish(self, day, scores, backfill):
        """Return whether the scores are fit; then apply them."""
        week = [count for d, count in self.row_counts.items() if 0 < (day - d).days <= 7]
        usual = median(week) if len(week) >= 3 else None
        if usual and abs(len(scores) - usual) / usual > 0.4:
            return False
        if len(scores) > 1 and len(set(scores.values())) == 1:
            return False
        if scores and self.is_far(day, mean(map(Fraction, scores.values()))):
            return False
        return self.accept(day, scores, backfill)

    def is_far(self, day, today):
        """Whether a mean is far from those of the week before."""
        by_day = groupby(
            sorted((d, score) for (d, _), score in self.history.items() if 0 < (day - d).days <= 7), itemgetter(0)
        )
        week = [mean(Fraction(score) for _, score in scores) for _, scores in by_day]
        return len(week) >= 3 and median(week) > 0 and abs(today - median(week)) / median(week) > Fraction(4, 10)

    def accept(self, day, scores, backfill):
        self.number += 1
        self.row_counts[day] = len(scores)
        self.history = {key: value for key, value in self.history.items() if key[0] != day}
        self.history |= {(day, user): score for user, score in scores.items()}
        if not backfill and (self.day is None or day >= self.day):
            self.day = day
            gone = dict.fromkeys(self.current)
            for user, score in (gone | scores).items():
                if user not in self.current or self.current[user][0] != score:
                    self.current[user] = (score, day, self.number)
        return True


@given(publishes=PUBLISHES)
@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_sequence_of_publishes_does_what_dictionaries_do(publishes, database):
    """And a tool that pulls by (updated_at, user_id) has the same rows after each of them."""
    database.clear()
    model, stamps, pulled, last = Model(), {}, {}, (datetime.min.replace(tzinfo=UTC), "")
    for offset, scores, backfill in publishes:
        day = MONDAY + timedelta(days=offset)
        run_id = records.start_run("daily", Days.one(day))
        rows = [{"user_id": u, "return_probability": s / 10, "raw_score": float(s)} for u, s in scores.items()]
        table = {RECALL: recall_rows(*rows, day=day)}
        if model.publish(day, scores, backfill):
            stamps[model.number] = publish(table, day, run_id, backfill=backfill).published_at
        else:
            with pytest.raises(CheckFailedError):
                publish(table, day, run_id, backfill=backfill)

        expected = {
            user: (None if score is None else Decimal(score) / 10, score is not None, since, stamps[number])
            for user, (score, since, number) in model.current.items()
        }
        assert {
            row["user_id"]: (row["return_probability"], row["in_population"], row["day"], row["updated_at"])
            for row in database.rows("select * from sms.recall_scores")
        } == expected
        assert {
            (row["day"], row["user_id"]): row["return_probability"] * 10
            for row in database.rows("select * from sms.recall_scores_history")
        } == model.history
        for row in database.rows(
            "select * from sms.audience where (updated_at, user_id) > (%s, %s) order by updated_at, user_id", *last
        ):
            pulled[row["user_id"]] = (row["return_probability"], row["in_population"], row["day"], row["updated_at"])
            last = row["updated_at"], row["user_id"]
        assert pulled == expected
    assert list(stamps.values()) == sorted(set(stamps.values()))
