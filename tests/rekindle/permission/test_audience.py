"""Whom the published audience lets be texted: the first code that matches, and nothing of anybody who is not eligible."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from rekindle.experiments import sums_of
from rekindle.experiments.estimates import difference
from rekindle.settings import PROJECT
from tests.bad_inputs import bad_input
from tests.rekindle.permission.rows import DAYS, GRANTED, MONDAY, MORNING, given, hmac, permission, phone_of, suppressed
from tests.traps import trap

TUESDAY = DAYS[1]
PERMISSION = (
    "phone_e164",
    "consent_at",
    "consent_source",
    "policy_version",
    "timezone",
    "send_window_start",
    "send_window_end",
)


@trap("a consent that is always granted")
def test_who_may_be_texted_has_all_that_it_takes(audience):
    profile = [{"user_id": "may", "day": MONDAY, "country": "GB", "segment": "lost"}]
    audience.publish(["may", "nobody"], given(permission("may"), profile=profile))

    may, nobody = audience.rows["may"], audience.rows["nobody"]
    assert {name: may[name] for name in ("eligible", "eligible_before_holdout", "suppression_reason", *PERMISSION)} == {
        "eligible": True,
        "eligible_before_holdout": True,
        "suppression_reason": None,
        "phone_e164": phone_of("may"),
        "consent_at": GRANTED,
        "consent_source": "checkout",
        "policy_version": "3",
        "timezone": "Europe/London",
        "send_window_start": datetime(2017, 6, 6, 8, tzinfo=UTC),
        "send_window_end": datetime(2017, 6, 6, 19, tzinfo=UTC),
    }
    assert may["valid_until"] == datetime(2017, 6, 7, 12, tzinfo=UTC)
    assert (may["holdout"], may["uplift"], may["uplift_status"]) == (False, None, "no_experiment")
    assert (may["country"], may["segment"], may["campaign_id"]) == ("GB", "lost", None)
    # A tenth of users return by themselves; a message makes it .11 / 1.01, and costs four cents.
    assert float(may["expected_gain"]) == round((0.1 * 1.1 / 1.01 - 0.1) * 100 - 0.04, 2)
    assert (nobody["eligible"], nobody["suppression_reason"]) == (False, "no_consent")
    assert {nobody[name] for name in (*PERMISSION, "valid_until", "holdout")} == {None}


LOTS = np.random.default_rng(0)


def arms(campaign, effect, users=(900, 600), share=0.4):
    """Sums of a campaign's arms, some phones with two users, and the effect with its error by rekindle.experiments."""
    phone = [np.arange(count) - np.arange(count) % 2 * (np.arange(count) < 100) for count in users]
    came = [(LOTS.random(count) < 0.1 + raised).astype(float) for count, raised in zip(users, (effect, 0), strict=True)]
    sent, control = (sums_of(y, None, of) for y, of in zip(came, phone, strict=True))
    rows = [
        {"day": MONDAY, "kind": "planned", "campaign_id": campaign, "feature_day": MONDAY - timedelta(10)}
        | {"label": "active_1_7", "segment": "", "arm": arm, "is_control": arm == "control", "has_x": False, "cost": 0}
        | {"probability": share if arm == "control" else 1 - share, **vars(sums)}
        for arm, sums in (("sent", sent), ("control", control))
    ]
    return rows, difference(sent, control)


def known(audience, *campaigns):
    for row in (row for rows, _ in campaigns for row in rows):
        names = ", ".join(row)
        audience.database.execute(
            f"insert into rekindle.campaign_result ({names}) values ({', '.join(['%s'] * len(row))})", *row.values()
        )


def test_the_uplift_is_the_mean_effect_of_campaigns_and_decides_the_gain(audience):
    """Of two campaigns, weighted by users; who was removed from a third is not believed."""
    one, other, torn = arms("one", 0.1), arms("other", 0.2, (400, 260)), arms("torn", 0.5, share=0.2)
    known(audience, one, other, torn)
    audience.publish(["may"], given(permission("may")))
    row = audience.rows["may"]
    shares = [1500 / 2160, 660 / 2160]
    mean = sum(share * found.value for share, (_, found) in zip(shares, (one, other), strict=True))
    error = sum((share * found.error) ** 2 for share, (_, found) in zip(shares, (one, other), strict=True)) ** 0.5

    assert row["uplift_status"] == "average"
    assert [float(row[name]) for name in ("uplift", "uplift_low", "uplift_high")] == pytest.approx(
        [mean, mean - 1.96 * error, mean + 1.96 * error], abs=6e-4
    )
    assert float(row["expected_gain"]) == pytest.approx(mean * 100 - 0.04, abs=0.006)


@pytest.mark.parametrize(
    ("campaigns", "status"),
    [
        ([("none", 0.0, (900, 600), 0.4)], "not_shown"),
        ([("torn", 0.5, (900, 600), 0.2)], "not_believed"),
        ([("small", 0.8, (90, 60), 0.4)], "no_experiment"),
    ],
)
def test_where_no_campaign_has_shown_an_uplift_the_prior_stands(audience, campaigns, status):
    known(audience, *(arms(*campaign) for campaign in campaigns))
    audience.publish(["may"], given(permission("may")))
    row = audience.rows["may"]

    assert (row["uplift"], row["uplift_low"], row["uplift_high"], row["uplift_status"]) == (None, None, None, status)
    assert float(row["expected_gain"]) == round((0.1 * 1.1 / 1.01 - 0.1) * 100 - 0.04, 2)


def test_a_user_with_an_uplift_of_their_own_is_published_with_it_and_gains_by_it(audience):
    """Whatever campaigns have shown on the mean; a message that keeps somebody away is not sent."""
    known(audience, arms("one", 0.1))
    own = {"moved": (0.05, 0.02, 0.08), "put_off": (-0.02, -0.05, 0.01)}
    audience.publish([*own, "other"], given(*map(permission, (*own, "other"))), uplifts=own)
    rows, names = audience.rows, ("uplift", "uplift_low", "uplift_high")

    assert [rows[user]["uplift_status"] for user in rows] == ["modelled", "average", "modelled"]
    assert {user: tuple(float(rows[user][name]) for name in names) for user in own} == own
    assert [float(rows[user]["expected_gain"]) for user in own] == [4.96, -2.04]
    assert audience.codes == {"moved": None, "put_off": "low_expected_gain", "other": None}


def test_who_has_left_keeps_no_uplift(audience):
    audience.publish(
        ["gone", "may"], given(permission("gone"), permission("may")), uplifts={"gone": (0.05, 0.02, 0.08)}
    )
    audience.publish(["may", "new"], given(permission("may", day=TUESDAY)), day=TUESDAY)
    gone = audience.rows["gone"]

    assert {gone[name] for name in ("uplift", "uplift_low", "uplift_high", "uplift_status", "expected_gain")} == {None}


def test_the_window_begins_at_the_hour_at_which_a_user_usually_comes(audience):
    hours = {"afternoon": 15, "night": 2, "unknown": None}
    profile = [{"user_id": user, "day": MONDAY, "usual_hour": hour} for user, hour in hours.items()]
    audience.publish(list(hours), given(*map(permission, hours), profile=profile))

    assert {user: row["send_window_start"].hour for user, row in audience.rows.items()} == {
        "afternoon": 15,
        "night": 8,
        "unknown": 8,
    }


@trap("a missing time zone that sends")
def test_the_first_code_that_matches_is_the_reason(audience):
    """Each user has what the code before theirs was about as well, but for what comes before everything."""
    long_ago = MORNING - timedelta(days=1200)
    nowhere = {"zones": None}
    on_holiday = {"country": "nowhere"}
    rows = [
        suppressed("refused", "no_consent"),
        suppressed("withdrew", "consent_withdrawn", consent_at=None),
        permission("withdrew_today"),
        suppressed("incomplete", "consent_incomplete"),
        suppressed("stale", "consent_stale"),
        permission("stale_by_now", consent_at=long_ago),
        suppressed("phoneless", "no_phone", phone_hmac=None),
        suppressed("wrong", "invalid_phone"),
        suppressed("landline", "not_mobile"),
        suppressed("moved", "phone_changed"),
        suppressed("shares", "phone_shared_with_opted_out"),
        permission("shares_today", phone=phone_of("withdrew_today"), **nowhere),
        permission("of_an_erased", phone="+447700900999", **nowhere),
        permission("nowhere", **nowhere, country="nowhere"),
        permission("on_holiday", **on_holiday),
        permission("capped"),
        permission("recent"),
        permission("poor"),
        permission("may"),
    ]
    elsewhere = [
        {"campaign_id": f"c{n}", "user_id": user, "assigned_at": MORNING - timedelta(days=n)}
        for user in ("capped", "on_holiday", "refused")
        for n in (1, 5, 9, 29)
    ]
    audience.withdraw("consent", user="withdrew_today")
    audience.withdraw("erasure", user="forgotten")
    audience.database.execute("insert into rekindle.phone_opt_out values (%s, %s)", hmac("+447700900999"), MORNING)
    audience.assign("recent", "mine", MORNING - timedelta(days=2, hours=23))
    users = [*(row["user_id"] for row in rows), "unknown", "forgotten", "left"]
    audience.publish(users, given(*rows), worth={"poor": 1}, at=MORNING - timedelta(hours=1))
    audience.publish(
        [user for user in users if user != "left"], given(*rows, sent_elsewhere=elsewhere), worth={"poor": 1}
    )

    assert audience.codes == {
        "forgotten": "erased",
        "left": "not_in_population",
        "unknown": "no_consent",
        "refused": "no_consent",
        "withdrew": "consent_withdrawn",
        "withdrew_today": "consent_withdrawn",
        "incomplete": "consent_incomplete",
        "stale": "consent_stale",
        "stale_by_now": "consent_stale",
        "phoneless": "no_phone",
        "wrong": "invalid_phone",
        "landline": "not_mobile",
        "moved": "phone_changed",
        "shares": "phone_shared_with_opted_out",
        "shares_today": "phone_shared_with_opted_out",
        "of_an_erased": "phone_shared_with_opted_out",
        "nowhere": "unknown_timezone",
        "on_holiday": "no_send_window",
        "capped": "frequency_cap",
        "recent": "recently_messaged",
        "poor": "low_expected_gain",
        "may": None,
    }
    erased = audience.rows["forgotten"]
    kept = {"user_id", "in_population", "eligible", "eligible_before_holdout", "suppression_reason", "schema_version"}
    kept |= {"day", "run_id", "updated_at", "content_updated_at"}
    assert {name for name, value in erased.items() if value is not None} == kept
    assert (audience.rows["recent"]["campaign_id"], audience.rows["recent"]["experiment_arm"]) == ("mine", "control")


def test_caps_count_campaigns_and_end(audience):
    """Of one campaign here and in the log of the tool, and of what is over, nothing is counted twice or for ever."""
    elsewhere = [
        {"campaign_id": "mine", "user_id": "twice", "assigned_at": MORNING - timedelta(days=4)},
        *({"campaign_id": f"c{n}", "user_id": "twice", "assigned_at": MORNING - timedelta(days=n)} for n in (5, 6, 30)),
        {"campaign_id": "c", "user_id": "cool", "assigned_at": MORNING - timedelta(days=3)},
    ]
    audience.assign("twice", "mine", MORNING - timedelta(days=4))
    audience.publish(["twice", "cool"], given(permission("twice"), permission("cool"), sent_elsewhere=elsewhere))

    assert audience.codes == {"twice": None, "cool": None}


@pytest.mark.parametrize(
    ("now", "found"),
    [("2017-06-06T07:59Z", []), ("2017-06-06T12:00Z", ["may"]), ("2017-06-06T19:01Z", []), ("2017-06-08T12:00Z", [])],
)
def test_the_query_of_the_page_finds_whom_to_send_to_now(now, found, audience):
    page = (PROJECT / "docs" / "for-sms-tools.md").read_text(encoding="utf-8")
    (query,) = (
        q for q in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "sms.audience\nwhere eligible and now()" in q
    )
    audience.publish(["may", "other"], given(permission("may")))

    rows = audience.database.rows(query.replace("now()", f"'{now}'::timestamptz"))

    assert [row["user_id"] for row in rows] == found


def test_an_old_day_has_expired_unless_its_own_time_is_given(audience):
    audience.publish(["may", "other"], given(permission("may")), at=MORNING + timedelta(days=300))
    assert audience.codes == {"may": "expired", "other": "no_consent"}

    audience.publish(["may", "other"], given(permission("may")))
    assert audience.codes == {"may": None, "other": "no_consent"}


@bad_input("an opt-out delivery that is missing", gets="fine")
@pytest.mark.parametrize(
    "tuesday",
    [
        None,
        given(
            *(permission(user, day=TUESDAY) for user in ("has", "new")),
            suppressed("loses", "consent_withdrawn", day=TUESDAY),
            why_nothing_new="no replies were delivered",
        ),
    ],
    ids=["no rows of the day", "rows without the day's opt-outs"],
)
def test_without_the_days_opt_outs_nobody_gains_permission_and_who_has_it_may_lose_it(tuesday, audience):
    rows = [permission("has"), permission("loses"), suppressed("new", "no_phone")]
    audience.publish(["has", "loses", "new"], given(*rows))
    assert audience.codes == {"has": None, "loses": None, "new": "no_phone"}

    audience.withdraw("consent", user="loses")
    audience.publish(["has", "loses", "new"], tuesday, day=TUESDAY)

    assert audience.codes == {"has": None, "loses": "consent_withdrawn", "new": "no_phone"}
    audience.publish(["has", "loses", "new"], given(permission("new", day=DAYS[2])), day=DAYS[2])
    assert audience.codes == {"has": "no_consent", "loses": "no_consent", "new": None}


def test_a_backfill_and_an_older_day_change_no_permission(audience):
    audience.publish(["may", "other"], given(permission("may", day=TUESDAY)), day=TUESDAY)
    before = audience.rows
    for how in ({"backfill": True, "day": TUESDAY}, {"day": MONDAY}):
        audience.publish(["may", "other"], given(permission("other")), **how)
    assert audience.rows == before


def test_a_stop_or_withdrawal_ends_with_a_later_grant_and_not_with_an_equal_one(audience):
    equal = {"phone": "+447700900001", "consent_at": MORNING - timedelta(days=10)}
    later = {"phone": "+447700900002", "consent_at": MORNING - timedelta(days=9)}
    audience.withdraw("stop", phone_hmac=hmac("+447700900001"))
    audience.withdraw("stop", phone_hmac=hmac("+447700900002"))
    audience.withdraw("consent", user="later")
    audience.publish(["equal", "later"], given(permission("equal", **equal), permission("later", **later)))

    assert audience.codes == {"equal": "consent_withdrawn", "later": None}


def test_content_moves_with_all_but_the_day_that_permission_ends(audience):
    rows = [permission("may"), permission("other")]
    audience.publish(["may", "other"], given(*rows))
    first = audience.rows
    friday = DAYS[4]
    audience.publish(["may", "other"], given(*rows), at=MORNING + timedelta(hours=1))
    assert audience.rows == first, "The same again moves nothing."

    audience.database.execute("update sms.audience set valid_until = valid_until + interval '1 day'")
    audience.publish(["may", "other"], given(*rows))
    second = audience.rows
    assert second["may"]["valid_until"] == first["may"]["valid_until"]
    assert second["may"]["updated_at"] > first["may"]["updated_at"]
    assert second["may"]["content_updated_at"] == first["may"]["content_updated_at"] == first["may"]["updated_at"]

    audience.publish(["may", "other"], given(*rows), day=friday)
    assert audience.rows["may"]["content_updated_at"] == audience.rows["may"]["updated_at"]


@pytest.mark.parametrize(
    "change",
    [
        "phone_e164 = '+447700900123' where user_id = 'not'",
        "holdout = true where user_id = 'may'",
        "holdout = null where user_id = 'may'",
        "expected_gain = 0 where user_id = 'may'",
        "expected_gain = null where user_id = 'may'",
        "suppression_reason = 'holdout', eligible_before_holdout = true where user_id = 'not'",
        "suppression_reason = 'erased' where user_id = 'not'",
        "eligible = false, suppression_reason = 'expired', eligible_before_holdout = false where user_id = 'may'",
    ],
)
def test_postgres_refuses_rows_that_contradict_themselves(change, audience):
    audience.publish(["may", "not"], given(permission("may")))

    with pytest.raises(psycopg.errors.CheckViolation):
        audience.database.execute(f"update sms.audience set {change}")
