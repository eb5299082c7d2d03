"""The ledger of the holdout: decided once, kept by user and phone, and the same again if it is lost."""

from __future__ import annotations

import math
import random

import pytest

from quality import ledger as ledgers
from rekindle.permission import holdout
from rekindle.settings import settings
from tests.rekindle.permission.rows import given, hmac, permission


class Ledger(ledgers.Ledger):
    """Knows phones by their numbers, and finds some by what is decided of them."""

    def __init__(self, database):
        super().__init__(database.connect())
        self.used = set()

    def decide(self, phones, share=0.05, salt="salt"):
        return super().decide({user: hmac(phone) for user, phone in phones.items()}, share, salt)

    @property
    def rows(self):
        return self.connection.execute("select count(*) from rekindle.holdout").fetchone()[0]

    def phone_that_is(self, held_out, share=0.5):
        """Return a phone whose hash decides so."""
        for n in range(1000):
            phone = f"+4477009{n:05}"
            uniform = holdout.UNIFORM.format(phone_hmac="%(hmac)s::text")
            (is_held_out,) = self.connection.execute(
                f"select {uniform} < %(share)s", {"holdout_salt": "salt", "hmac": hmac(phone), "share": share}
            ).fetchone()
            if is_held_out == held_out and phone not in self.used:
                self.used.add(phone)
                return phone
        raise AssertionError("no such phone")


@pytest.fixture
def ledger(database):
    ledger = Ledger(database)
    yield ledger
    ledger.connection.rollback()
    ledger.connection.close()


def everybody(count):
    return {f"u{n}": f"+44770{n:07}" for n in range(count)}


def test_nobody_flips_over_runs_and_over_ledgers_that_are_made_anew(ledger):
    phones = everybody(300)
    phones |= {f"sharer{n}": phones[f"u{n}"] for n in range(50)}
    first = ledger.decide(phones)
    draw = random.Random(20170605)  # noqa: S311 - an order, not a secret
    for run in range(6):
        if run % 2:
            ledger.lose()
        present = dict(draw.sample(sorted(phones.items()), 300))
        ledger.decide(present)
        assert ledger.decide(phones) == first


def test_the_share_is_that_of_the_setting_within_chance(ledger):
    count, share = 4000, 0.05
    arms = ledger.decide(everybody(count), share)

    assert len(arms) == count
    assert abs(sum(arms.values()) - count * share) < 4 * math.sqrt(count * share * (1 - share))
    other = ledger.decide({f"other{user}": f"{phone}9" for user, phone in everybody(count).items()}, share, "pepper")
    assert abs(sum(other.values()) - 2 * count * share) < 4 * math.sqrt(2 * count * share * (1 - share))


def test_a_new_number_keeps_the_arm(ledger):
    held, free = ledger.phone_that_is(held_out=True), ledger.phone_that_is(held_out=False)
    assert ledger.decide({"held": held, "free": free}, 0.5) == {"held": True, "free": False}

    other_free, other_held = ledger.phone_that_is(held_out=False), ledger.phone_that_is(held_out=True)
    assert ledger.decide({"held": other_free, "free": other_held}, 0.5) == {"held": True, "free": False}
    assert ledger.rows == 4
    ledger.decide({"held": other_free, "free": other_held}, 0.5)
    assert ledger.rows == 4, "Who is known with a phone is not added again."


def test_who_meets_a_phone_that_is_held_out_is_held_out_and_nobody_is_let_go(ledger):
    held, free = ledger.phone_that_is(held_out=True), ledger.phone_that_is(held_out=False)
    ledger.decide({"held": held, "free": free}, 0.5)
    ledger.decide({"free": held, "new": held}, 0.5)
    assert ledger.arms == {"held": True, "free": True, "new": True}

    ledger.decide({"held": free, "later": free}, 0.5)
    assert ledger.arms["later"], "The phone has come to somebody who is held out."


def test_users_who_share_a_phone_are_decided_on_together(ledger):
    """Whether in one publish or one after the other."""
    free, other = ledger.phone_that_is(held_out=False), ledger.phone_that_is(held_out=True)
    ledger.decide({"free": free}, 0.5)

    assert ledger.decide({"free": other, "beside": other}, 0.5) == {"free": False, "beside": False}
    assert ledger.decide({"free": other, "beside": other, "late": other}, 0.5)["late"] is False


def test_a_share_that_grows_keeps_its_members_and_one_that_shrinks_lets_nobody_go(ledger):
    phones = everybody(600)
    small = ledger.decide(phones, 0.05)
    shrunk = ledger.decide(phones, 0.01)
    grown = ledger.decide(phones, 0.3)

    assert shrunk == small
    assert {user for user, held in small.items() if held} < {user for user, held in grown.items() if held}
    ledger.lose()
    assert ledger.decide(phones, 0.3) == grown
    assert ledger.decide(phones | {"sharer": phones["u0"]}, 0.3)["sharer"] == grown["u0"]


def test_the_audience_says_who_is_held_out_and_of_whom_it_is_decided(audience, monkeypatch):
    monkeypatch.setenv("REKINDLE_HOLDOUT_SHARE", "0.4")
    settings.cache_clear()
    users = [f"u{n}" for n in range(30)]
    phones = {user: f"+44770090{n:04}" for n, user in enumerate(users)}
    rows = [permission(user, phone=phones[user]) for user in users]
    audience.publish([*users, "nobody"], given(*rows))

    held = {user for user, code in audience.codes.items() if code == "holdout"}
    assert 3 < len(held) < 25
    by_user = audience.rows
    assert all(by_user[user]["eligible_before_holdout"] for user in users)
    assert {user for user in users if by_user[user]["holdout"]} == held
    assert by_user["nobody"]["holdout"] is None
    assert {by_user[user]["phone_e164"] for user in held} == {None}

    audience.database.execute("truncate rekindle.holdout")
    audience.publish([*users, "nobody"], given(*rows))
    assert audience.rows == by_user
