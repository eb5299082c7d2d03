"""A plan, against a real Postgres: chosen, written down and published at once, and never changed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from rekindle import cli
from rekindle.campaigns.gain import uplift
from rekindle.campaigns.page import power_in_words, render
from rekindle.campaigns.plan import Asked, arms_from, plan
from rekindle.errors import CheckFailedError, InputError
from tests.rekindle.campaigns.conftest import AT, DAY

SPRING = Asked(campaign="spring", day=DAY, budget=4.0, control_share=0.2, offers=())


def listed(database, campaign="spring"):
    return database.rows("select * from sms.campaign_list where campaign_id = %s order by rank", campaign)


def test_both_arms_are_assigned_and_published_and_the_same_plan_changes_nothing(many, database):
    many(400)

    first = plan(SPRING, {}, at=AT)
    rows, log = listed(database), database.value("select max(updated_at) from sms.campaign_list")
    again = plan(SPRING, {}, at=AT + timedelta(days=1))

    assert first.is_new and not again.is_new
    assert again.summary == first.summary and listed(database) == rows
    assert database.value("select max(updated_at) from sms.campaign_list") == log
    texted = [row for row in rows if not row["is_control"]]
    assert len(texted) == 100 == first.summary["texted"]  # 4.00 / 0.04
    assert {row["arm"] for row in rows} == {"control", "treatment"}
    assert {row["probability"] for row in texted} == {0.8}
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["assigned_at"] for row in rows} == {AT}
    best = database.rows(
        "select user_id from sms.audience order by return_probability * (1 - return_probability)"
        " * .1 / (1 + return_probability * .1) * value_if_returns desc limit %s",
        len(rows),
    )
    assert {row["user_id"] for row in rows} == {row["user_id"] for row in best}


def test_the_same_name_with_other_settings_is_refused_by_name(many, database):
    many(50)
    plan(SPRING, {}, at=AT)
    before = listed(database)

    with pytest.raises(InputError, match="another budget") as refused:
        plan(replace(SPRING, budget=5.0), {}, at=AT)

    assert refused.value.exit_code == 2 and refused.value.code == "campaign_exists"
    assert listed(database) == before


def test_a_second_campaign_leaves_out_who_is_in_the_first_until_the_cool_down_is_over(many, database):
    many(300)
    plan(SPRING, {}, at=AT)
    late = "update sms.audience set valid_until = %s"
    database.execute(late, AT + timedelta(days=9))

    plan(replace(SPRING, campaign="summer"), {}, at=AT + timedelta(days=2))
    plan(replace(SPRING, campaign="autumn"), {}, at=AT + timedelta(days=6))

    first, second, third = ({row["user_id"] for row in listed(database, c)} for c in ("spring", "summer", "autumn"))
    assert second and not first & second
    # The arms are drawn anew, so the budget may end a little sooner or later on the same order.
    assert third <= first or first <= third


def test_who_shares_a_phone_with_somebody_who_was_assigned_is_left_out_too(audience, database):
    audience({"user_id": "one"}, {"user_id": "two", "return_probability": 0.3}, {"user_id": "three"})
    permission = (
        "insert into rekindle.permission (user_id, day, phone_hmac, phone_e164, consent_at, consent_source, policy_version)"
        " values (%s, %s, %s, '+15005550006', %s, 'form', '1')"
    )
    for user, phone in (("one", "a" * 64), ("two", "a" * 64), ("three", "b" * 64)):
        database.execute(permission, user, DAY, phone, AT)

    plan(replace(SPRING, capacity=1, control_share=0.0), {}, at=AT)
    plan(replace(SPRING, campaign="summer", control_share=0.0), {}, at=AT + timedelta(hours=1))

    chosen = [row["user_id"] for row in listed(database)]
    assert chosen == ["one"]
    assert [row["user_id"] for row in listed(database, "summer")] == ["three"]


def test_nobody_is_chosen_who_may_not_be_texted_or_whose_permission_has_run_out(audience, database):
    audience(
        {"user_id": "may"},
        {"user_id": "held out", "eligible": False, "suppression_reason": "holdout", "holdout": True},
        {"user_id": "run out", "valid_until": AT},
        {"user_id": "no value", "value_if_returns": None},
    )

    plan(SPRING, {}, at=AT)

    assert [row["user_id"] for row in listed(database)] == ["may"]


def test_where_and_costs_by_hand(many, database):
    many(90)

    told = plan(replace(SPRING, where="country=FR,US value>=30", cost=0.5, min_roi=0.1), {}, at=AT).summary

    rows = listed(database)
    assert {row["country"] for row in rows} <= {"FR", "US"} and min(row["value_if_returns"] for row in rows) >= 30
    assert {float(row["cost"]) for row in rows} == {0.5}
    assert told["expected"]["cost"] == 0.5 * told["texted"]


def test_the_channel_is_known_beside_the_audience(many, database):
    """Of whom it is not known, no condition on it holds."""
    many(20)
    users = [f"u{n:05}" for n in range(7)]
    database.execute(
        "insert into rekindle.profile (user_id, day, channel) select unnest(%s::text[]), %s, 'ads'", users, DAY
    )

    assert plan(replace(SPRING, campaign="ads", where="channel=ads"), {}, at=AT, dry_run=True).summary["eligible"] == 7
    assert plan(replace(SPRING, campaign="not", where="channel!=ads"), {}, at=AT, dry_run=True).summary["eligible"] == 0


def test_a_dry_run_writes_nothing(many, database):
    many(30)

    planned = plan(SPRING, {}, at=AT, dry_run=True)

    assert planned.summary["chosen"] and not planned.is_written
    assert database.value("select count(*) from rekindle.campaign") == 0 == len(listed(database))


def test_what_campaigns_have_shown_takes_the_place_of_the_prior(many, database):
    """Of a mean effect of .02 the plan's lift causes .02 on the mean; its range follows the interval."""
    many(60)
    database.execute(
        "update sms.audience set uplift = .02, uplift_low = .01, uplift_high = .03, uplift_status = 'average'"
    )
    chance = [float(row["return_probability"]) for row in database.rows("select return_probability from sms.audience")]
    lift = plan(SPRING, {}, at=AT, dry_run=True).summary["lift"]

    assert lift["is_measured"]
    assert uplift(chance, lift["prior"]).mean() == pytest.approx(0.02, abs=1e-6)
    assert uplift(chance, lift["low"]).mean() == pytest.approx(0.01, abs=1e-6)
    assert uplift(chance, lift["high"]).mean() == pytest.approx(0.03, abs=1e-6)


def test_users_are_chosen_by_their_own_uplift_where_the_audience_has_one(many, database):
    """Who is moved against the odds comes first; what was said of the user's chance bounds it."""
    many(60)
    database.execute(
        "update sms.audience set uplift = case when user_id < 'u00010' then .3 else -.01 end, uplift_low = -.05,"
        " uplift_high = .4, uplift_status = 'modelled'"
    )
    planned = plan(SPRING, {}, at=AT)

    assert planned.summary["own_uplift"] == 60
    assert {row["user_id"] for row in listed(database)} == {f"u{n:05}" for n in range(10)}
    assert 0 < planned.summary["expected"]["returns"]["expected"] <= 0.3 * 10
    page = " ".join(render(planned).split())
    assert "Of 60 of those who may be texted" in page
    assert "that rise may be \N{MINUS SIGN}" in page


def test_another_day_than_the_audience_is_about_is_refused(many):
    many(5)

    with pytest.raises(InputError, match="was to be planned with") as refused:
        plan(replace(SPRING, day=DAY - timedelta(days=1)), {}, at=AT)

    assert refused.value.code == "other_day"


def test_a_message_that_promises_what_is_not_given_stops_the_plan(many, database):
    many(30)

    with pytest.raises(CheckFailedError, match="'20 %'"):
        plan(SPRING, {"": "20 % off. Reply STOP to end"}, at=AT)

    assert database.value("select count(*) from rekindle.campaign") == 0


def test_arms_with_messages_and_offers_cost_what_they_cost(many, database):
    many(200)
    asked = replace(SPRING, arms="plain,coupon:ten_percent", offers=None, min_gain=-5.0)
    texts = {"plain": "We miss you. Reply STOP to end", "coupon": "10 % off. Reply STOP to end." + " Come in." * 20}

    plan(asked, texts, at=AT)

    rows = [row for row in listed(database) if not row["is_control"]]
    assert {(row["arm"], row["offer"]) for row in rows} == {("plain", None), ("coupon", "ten_percent")}
    assert sum(row["cost"] for row in rows) <= 4
    assert {float(row["cost"]) for row in rows if row["arm"] == "plain"} == {0.04}
    assert min(row["cost"] for row in rows if row["arm"] == "coupon") > 0.08


def test_the_command_answers_and_the_page_names_nobody(many, monkeypatch, capsys, tmp_path):
    many(60)
    monkeypatch.setattr(
        sys,
        "argv",
        [
            *("rekindle", "plan", "--campaign", "spring", "--day", str(DAY), "--budget", "1", "--json"),
            *("--at", AT.isoformat(), "--note"),
            "Simulated <figures>.",
        ],
    )

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and said["is_new"] and said["eligible"] == 60
    page = (tmp_path / "campaigns" / "spring" / "plan.html").read_text(encoding="utf-8")
    assert "Simulated &lt;figures&gt;." in page
    assert "u000" not in page and "+1" not in page


def test_a_page_of_nobody_is_a_page(audience):
    audience()

    page = render(plan(SPRING, {}, at=AT))

    assert "Nobody may be texted" in page


@pytest.mark.parametrize("name", ["../x", "", "a b", ".hidden", "x/y", "é"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(InputError):
        plan(replace(SPRING, campaign=name), {}, at=AT)


@pytest.mark.parametrize("text", ["a=0", "a=x", "a b", "a:nothing", "a=inf"])
def test_arms_that_are_not_understood_are_refused(text):
    with pytest.raises(InputError):
        arms_from(text, {})


def test_power_is_told_in_words():
    told = power_in_words(
        {
            "texted": 950,
            "controls": 50,
            "detectable": 0.12,
            "expected": 0.01,
            "needed_share": None,
            "needed_users": 40_000,
        }
    )

    assert "12.00 points" in told and "would probably not be seen" in told and "40,000 users" in told
