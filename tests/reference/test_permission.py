"""The reference of permission, by hand, and over made-up users with everything that can be wrong."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from rekindle.permission.codes import CODES
from tests.bad_inputs import bad_input
from tests.reference import permission_worlds as worlds
from tests.reference.permission import Rules, World, allowed, code_by_user, is_harmless, zones_of_country
from tests.reference.permission_worlds import AT, BEFORE, DAY, GRANTED, LATELY, LONG_AGO, MOVED, Made, noon

RULES = Rules(harmless=frozenset({"ok", "thanks", "yes"}))
PHONE, OTHER = "+12125550123", "+13105550123"


def made(*, phone: str | None = PHONE, users: tuple[str, ...] = ("ada",)) -> Made:
    """Users who may be texted."""
    one = Made()
    for user in users:
        row = {"user_id": user, "registered_at": noon(LONG_AGO), "country": "US", "timezone": "America/New_York"}
        one.add("users", LONG_AGO, row)
        one.contact(LONG_AGO, user, phone, "US")
        one.consent(GRANTED, user)
        one.scores[user] = {"in_population": True, "expected_gain": 0.1, "valid_until": AT + timedelta(days=2)}
    return one


def code(one: Made, user: str = "ada", at: datetime = AT) -> str | None:
    return code_by_user(one.world, DAY, RULES, at)[user]


def test_who_has_granted_may_be_texted():
    assert code(made()) is None
    assert code_by_user(made().world, DAY, RULES) == {"ada": None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "consent_withdrawn"),
        ({"message_channel": None, "purpose": " ALL "}, "consent_withdrawn"),
        ({"at": None}, "consent_withdrawn"),
        ({"at": noon(GRANTED)}, "consent_withdrawn"),
        ({"at": noon(BEFORE)}, None),
        ({"message_channel": "email"}, None),
    ],
)
def test_a_withdrawal_closes_what_it_may_mean(changes: dict, expected: str | None):
    one = made()
    one.consent(MOVED, "ada", action="withdraw", **changes)

    assert code(one) == expected


@bad_input("two users with one phone, one opted out", gets="not eligible")
def test_a_reply_closes_for_all_who_have_the_phone_until_each_of_them_grants_again():
    """Who of them it was nobody knows."""
    one = made(users=("ada", "bob"))
    one.reply(MOVED, PHONE, "ok, STOP")
    one.consent(LATELY, "ada", source=" ")
    one.consent(LATELY, "bob")
    assert [code(one, user) for user in ("ada", "bob")] == ["consent_withdrawn", "phone_shared_with_opted_out"]
    one.consent(LATELY, "ada", at=noon(LATELY) + timedelta(hours=1))
    assert [code(one, user) for user in ("ada", "bob")] == [None, None]


def test_an_opted_out_phone_stays_so_with_whoever_has_it_next():
    one = made()
    one.contact(BEFORE, "ada", OTHER, "US")
    one.reply(BEFORE - timedelta(days=1), OTHER, "unsubscribe")

    assert code(one) == "phone_shared_with_opted_out"


@pytest.mark.parametrize("bob_had", [PHONE, OTHER])
def test_who_has_withdrawn_closes_the_phone_for_others_until_granting_again(bob_had: str):
    """Also the one that came afterwards."""
    one = made(users=("ada", "bob"))
    one.contact(BEFORE, "bob", bob_had, "US")
    one.contact(LATELY, "bob", PHONE, "US")
    one.consent(MOVED, "bob", action="withdraw")
    assert code(one) == "phone_shared_with_opted_out"
    one.consent(LATELY, "bob")
    assert code(one) is None


def test_a_grant_that_does_not_say_when_never_counts_as_the_latest():
    one = made()
    one.consent(LATELY, "ada", at=None)
    assert code(one) is None
    one.consent(MOVED, "ada", action="withdraw")
    assert code(one) == "consent_withdrawn"


@pytest.mark.parametrize(
    ("phone", "expected"), [(OTHER, "phone_changed"), ("(212) 555-0123", None), (None, "no_phone")]
)
def test_a_number_that_came_after_the_grant_was_not_agreed_to(phone: str | None, expected: str | None):
    one = made()
    one.contact(MOVED, "ada", phone, "US")

    assert code(one) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Thanks", True), ("ok, thanks!", True), ("ok stop", False), ("", False), (None, False), ("who is this?", False)],
)
def test_what_is_not_known_to_be_harmless_opts_out(text: str | None, expected: bool):
    assert is_harmless(text, RULES.harmless) is expected


def test_windows_are_hours_that_all_zones_allow_and_no_holiday_or_sunday():
    saturday_evening = datetime(2024, 6, 15, 22, tzinfo=UTC)
    new_york = frozenset({"America/New_York"})

    def windows(country: str | None, at: datetime, hours: int = 36, zones: frozenset[str] = new_york) -> list[str]:
        found = allowed(zones, country, at, at + timedelta(hours=hours), RULES)
        return [f"{at:%d %H:%M}" for at in (*found[:1], *found[-1:])]

    assert windows("US", saturday_evening) == ["15 22:00", "15 23:45"]
    assert windows("US", saturday_evening + timedelta(hours=1, minutes=1)) == []
    assert windows(None, saturday_evening + timedelta(hours=1, minutes=1)) == ["16 13:00", "16 23:45"]
    assert windows("US", saturday_evening, hours=0) == []
    assert windows("US", datetime(2024, 7, 4, 1, tzinfo=UTC), hours=35) == []
    assert windows("nowhere", saturday_evening) == []
    assert windows(None, AT, zones=frozenset({"Asia/Kolkata", "America/Los_Angeles"})) == []
    assert "Europe/Berlin" in zones_of_country("DE") and not zones_of_country(None)


def test_every_code_is_met_and_no_other():
    """Each question has an answer that is usual: so the last codes are met, too, and unusual answers together."""
    counts = Counter(code_by_user(worlds.world(2500, seed=11), DAY, RULES, AT).values())

    assert {str(code) for code in counts} == {*CODES, "None"}
    assert min(counts.values()) > 3 and counts[None] > 100, counts


def test_what_the_deliveries_decide_is_what_is_decided_with_scores():
    small = worlds.world(600, seed=11)
    alone = code_by_user(small, DAY, RULES)
    later = {"unknown_timezone", "no_send_window", "frequency_cap", "recently_messaged", "low_expected_gain"}
    later |= {"expired", "holdout"}

    for user, whole in code_by_user(small, DAY, RULES, AT).items():
        if whole not in {"erased", "not_in_population"} and user in alone:
            assert alone[user] == (None if whole in later else whole)


def test_none_of_a_thousand_phones_that_opted_out_is_texted():
    opted_out = worlds.opted_out_world(1000)
    before = World(**{**vars(opted_out), "replies": {}})

    assert set(code_by_user(opted_out, DAY, RULES, AT).values()) == {"consent_withdrawn"}
    assert set(code_by_user(before, DAY, RULES).values()) == {None}


def test_more_users_leave_the_first_as_they_are():
    few, many = (worlds.world(users, seed=4) for users in (50, 80))

    assert few.scores.items() <= many.scores.items()
    assert max(few.contacts) <= DAY
    assert isinstance(DAY, date)
