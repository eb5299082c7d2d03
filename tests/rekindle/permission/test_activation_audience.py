"""New users of high value: who of them may be texted, by the same question as everybody else."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from ml.products import product_named
from rekindle import records
from rekindle.campaigns.gain import expected_gain, uplift
from rekindle.days import Days
from rekindle.erasure import database as erasing
from rekindle.landing.zone import LandingZone
from rekindle.permission import taking_away
from rekindle.permission.constraints import CONSTRAINTS
from rekindle.publishing import publish
from rekindle.publishing.publications import declared
from rekindle.settings import PROJECT, settings
from tests.rekindle.permission.rows import MONDAY, MORNING, given, permission, suppressed
from tests.rekindle.publishing.test_publishing import (
    BASE,
    LTV,
    MODEL,
    RECALL,
    RETURN_VALUE,
    ltv,
    recall,
    return_value_rows,
)

VIP_30 = product_named("vip_30")
SCHEMA = pa.schema(
    [
        *(("day", pa.date32()), ("user_id", pa.string()), ("first_purchase_probability", pa.float64())),
        *(("tenure_days", pa.int32()), ("horizon_days", pa.int32())),
        *MODEL,
    ]
)


def new_users(**percentiles):
    """Scores of new users by their rank."""
    base = {**BASE, "day": MONDAY, "tenure_days": 3, "horizon_days": 30, "model_name": "rekindle_vip_30"}
    rows = [
        {**base, "user_id": user, "first_purchase_probability": rank / 200, "raw_score": rank, "percentile": rank}
        for user, rank in percentiles.items()
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.fixture
def told(audience):
    """Publish scores with what is known of permission; return what is said of each user."""

    def do(scores, facts=None):
        publish(scores, MONDAY, audience.run_id, given=facts, at=MORNING)
        return {row["user_id"]: row for row in audience.database.rows("select * from sms.activation_audience")}

    return do


def codes(rows):
    return {user: row["suppression_reason"] for user, row in rows.items()}


def test_new_users_of_high_value_who_may_be_texted_have_all_that_it_takes(told):
    facts = given(*map(permission, ("best", "high", "low")), suppressed("refused", "consent_withdrawn"))
    scores = {VIP_30: new_users(best=100, high=61, low=60, refused=90, silent=80), LTV: ltv(["best", "low", "refused"])}
    rows = told(scores, facts)

    assert codes(rows) == {
        "best": None,
        "high": "low_expected_gain",  # nobody knows what the user is worth
        "low": "not_in_population",
        "refused": "consent_withdrawn",
        "silent": "no_consent",
    }
    best, low = rows["best"], rows["low"]
    assert (best["eligible"], best["phone_e164"], best["holdout"]) == (True, permission("best")["phone_e164"], False)
    # An expectation of 12.50, of which .3 are left, that half of such users bring: the lift of their odds, less four cents.
    assert best["value_if_buys"] == Decimal("7.50")
    assert best["expected_gain"] == round(Decimal(float(expected_gain(uplift(0.5, 0.1), 7.5, 0.04))), 2)
    assert (low["first_purchase_probability"], low["ltv_30"], low["expected_gain"]) == (None, None, None)


@pytest.mark.usefixtures("told")
def test_which_share_is_of_high_value_is_a_setting(told, monkeypatch):
    monkeypatch.setenv("REKINDLE_ACTIVATION_SHARE", "0.07")
    settings.cache_clear()
    rows = told({VIP_30: new_users(**{f"u{n}": n for n in range(1, 101)})})

    assert sum(row["in_population"] for row in rows.values()) == 7


def test_of_whom_both_audiences_are_about_both_say_the_same(told, audience, monkeypatch):
    """Also within the hour, and of who is erased."""
    monkeypatch.setenv("REKINDLE_PHONE_KEY", "a key of tests")
    settings.cache_clear()
    found = {"withdrew": "consent_withdrawn", "landline": "not_mobile", "moved": "phone_changed"}
    rows = [permission(user) for user in ("may", "stops", "leaves", "recent")]
    rows += [suppressed(user, code) for user, code in found.items()]
    users = [row["user_id"] for row in rows]
    audience.assign("recent", "mine", MORNING - timedelta(days=1))
    scores = {RECALL: recall(users), LTV: ltv(users), VIP_30: new_users(**dict.fromkeys(users, 90))}
    scores |= {RETURN_VALUE: return_value_rows(*[{"user_id": user, "value_if_returns": 100} for user in users])}

    new = told(scores, given(*rows))
    assert codes(new) == audience.codes == {**dict.fromkeys(users), **found, "recent": "recently_messaged"}
    audience.withdraw("consent", user="stops", at=MORNING)
    run_id = records.start_run("permissions", Days.one(MONDAY))
    taken = taking_away.main(run_id, at=MORNING + timedelta(hours=1), zone=LandingZone())
    erasing.begin(["leaves"], None, run_id)

    after = {row["user_id"]: row for row in audience.database.rows("select * from sms.activation_audience")}
    assert taken.codes == {"consent_withdrawn": 2}
    assert codes(after) == audience.codes
    assert (after["stops"]["suppression_reason"], after["stops"]["phone_e164"]) == ("consent_withdrawn", None)
    assert after["leaves"]["suppression_reason"] == "erased"
    assert {after["leaves"][name] for name in ("first_purchase_probability", "ltv_30", "phone_e164", "holdout")} == {
        None
    }


def test_the_query_of_the_page_finds_whom_to_give_a_coupon_to_now_and_no_one_whom_the_other_audience_has(
    told, audience
):
    page = (PROJECT / "docs" / "for-sms-tools.md").read_text(encoding="utf-8")
    (query,) = (q for q in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "from sms.activation_audience" in q)
    users = ["may", "both", "silent"]
    scores = {RECALL: recall(["both", "other"]), LTV: ltv(users), VIP_30: new_users(**dict.fromkeys(users, 90))}
    scores |= {RETURN_VALUE: return_value_rows({"user_id": "both", "value_if_returns": 100})}
    rows = told(scores, given(permission("may"), permission("both")))

    found = audience.database.rows(query.replace("now()", "'2017-06-06T12:00Z'::timestamptz"))

    assert codes(rows) == {"may": None, "both": None, "silent": "no_consent"}
    assert [row["user_id"] for row in found] == ["may"]


def test_where_nobody_foretells_a_first_purchase_the_table_is_empty_and_readers_may_read_it(audience):
    audience.publish(["may"], given(permission("may")))

    with audience.database.connect() as connection:
        connection.execute("set role sms_reader")
        assert connection.execute("select * from sms.activation_audience").fetchall() == []
        tables = connection.execute("select table_name from sms.freshness").fetchall()
    assert ("activation_audience",) not in tables


def test_postgres_refuses_the_same_of_every_table_that_permits(database):
    """The first was made by migrations, a later one is made as it is declared."""
    tables = [p.target for p in declared() if p.permits]
    rules = {
        table: {
            row["rule"]
            for row in database.rows(
                "select pg_get_constraintdef(oid) as rule from pg_constraint where conrelid = %s::regclass"
                " and contype = 'c'",
                table,
            )
        }
        for table in tables
    }

    assert len(tables) > 1
    assert len(rules["sms.activation_audience"]) > len(CONSTRAINTS)
    own = database.rows(
        "select conname, pg_get_constraintdef(oid) as rule from pg_constraint"
        " where conrelid = 'sms.activation_audience'::regclass and conname = any(%s)",
        list(CONSTRAINTS),
    )
    assert {row["conname"] for row in own} == set(CONSTRAINTS)
    assert {row["rule"] for row in own} <= set.intersection(*rules.values())


def test_permission_is_asked_by_one_question():
    first, *others = [p for p in declared() if p.permits]
    frame = first.query.replace(first.target, "").partition("assigned as (")[2]

    assert others
    assert frame
    assert all(other.query.replace(other.target, "").partition("assigned as (")[2] == frame for other in others)
