"""What files take away: leniently read, for what is overlooked is a message to somebody who said no."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from rekindle.landing.delivery import Part
from rekindle.landing.phones import phone_hmac
from rekindle.permission.withdrawals import Context, Withdrawal, read
from rekindle.settings import settings

NOW = datetime(2017, 6, 6, 10, tzinfo=UTC)
KEY = "a key of tests"
HMAC = phone_hmac("+447700900123", KEY)

CONSENT = {
    "consent_id": "c1",
    "user_id": "u1",
    "phone": None,
    "message_channel": "sms",
    "purpose": "marketing",
    "action": "withdraw",
    "at": "2017-06-06T08:00:00Z",
    "source": "page",
    "policy_version": "3",
}
REPLY = {"reply_id": "r1", "phone": "+44 7700 900123", "received_at": "2017-06-06T09:00:00+01:00", "text": "Stop!!"}


def reads(source, *rows, name="part.jsonl", content=None, key=KEY):
    part = Part(source, date(2017, 6, 6), 9, "…")
    said = settings().model_copy(update={"phone_key": SecretStr(key)})
    content = "\n".join(map(json.dumps, rows)).encode() if content is None else content
    return read(name, content, Context(said, NOW, part, "d" * 64))


def test_a_withdrawal_is_of_its_user_and_of_the_phone_that_it_names():
    (one,) = reads("consents", CONSENT | {"phone": "07700 900123"}).withdrawals

    at = datetime(2017, 6, 6, 8, tzinfo=UTC)
    assert one == Withdrawal("consent", "c1 2017-06-06", at, "u1", phone_hmac("07700900123", KEY))


def test_a_stop_is_of_a_phone():
    (one,) = reads("replies", REPLY).withdrawals

    assert one == Withdrawal("stop", "r1 2017-06-06", datetime(2017, 6, 6, 8, tzinfo=UTC), phone_hmac=HMAC)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"action": "grant"}, False),
        ({"action": " Grant "}, False),
        ({"action": "WITHDRAW"}, True),
        ({"action": "revoked"}, True),
        ({"action": None}, True),
        ({"message_channel": None, "purpose": ""}, True),
        ({"message_channel": "ALL"}, True),
        ({"message_channel": " SMS "}, True),
        ({"message_channel": "email"}, False),
        ({"purpose": "order updates"}, False),
    ],
)
def test_whatever_may_be_a_withdrawal_of_ours_is_one(change, counts):
    assert len(reads("consents", CONSENT | change).withdrawals) == counts


@pytest.mark.parametrize(
    "at", [None, "", "yesterday", "2017-06-06 08:00:00", "2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]
)
def test_of_a_time_that_nobody_knows_it_is_now(at):
    assert [one.at for one in reads("consents", CONSENT | {"at": at}).withdrawals] == [NOW]


def test_replies_that_say_nothing_of_it_take_nothing_away():
    assert reads("replies", REPLY | {"text": "thanks"}).withdrawals == ()
    assert len(reads("replies", REPLY | {"text": None}).withdrawals) == 1


def test_who_asks_to_be_erased_is_named_by_the_file_alone():
    (one,) = reads("erasures", {"user_id": "u1"}).withdrawals

    assert (one.kind, one.user_id, one.at) == ("erasure", "u1", NOW)
    assert "u1" not in one.source_id


def test_blanks_that_nobody_sees_keep_nobody_subscribed():
    """Ingestion takes a byte order mark and a space without width off an id: the hour must find the same user."""
    (one,) = reads("erasures", {"user_id": "\ufeffu1\u200b "}).withdrawals

    assert one.user_id == "u1"


def test_the_hour_and_the_day_that_repeats_it_say_the_same():
    hourly = reads("replies", REPLY, name="hour.jsonl")
    daily = reads(
        "replies", REPLY, content=f"{','.join(REPLY)}\n{','.join(map(str, REPLY.values()))}\n".encode(), name="day.csv"
    )

    assert hourly == daily


def test_all_forms_are_read_alike():
    table = pa.Table.from_pylist([CONSENT])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)

    assert reads("consents", name="a.parquet", content=sink.getvalue().to_pybytes()) == reads("consents", CONSENT)


@pytest.mark.parametrize(
    ("source", "rows", "why"),
    [
        ("consents", [CONSENT | {"user_id": "null"}], "missing_user_id 1"),
        ("replies", [REPLY | {"phone": "?"}, REPLY | {"phone": ""}], "no_number 2"),
        ("erasures", [{"user_id": " "}], "missing_user_id 1"),
    ],
)
def test_a_row_that_is_nobodys_is_told_and_the_others_count(source, rows, why):
    good = {"consents": CONSENT, "replies": REPLY, "erasures": {"user_id": "u1"}}[source]
    told = reads(source, *rows, good)

    assert (told.why_unusable, len(told.withdrawals)) == (why, 1)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"", "empty_file 1"),
        ("a.parquet", b"PAR1 and no more", "truncated_parquet 1"),
        ("a.xlsx", b"x", "unknown_format 1"),
        ("a.csv", b"phone,txt\n1,stop\n", "missing_column text 1"),
        ("a.csv", b'phone,text\n+447700900123,stop\n"open', "open_quote 1"),
        ("a.jsonl", b"{]\n", "bad_json 1"),
    ],
)
def test_a_broken_file_is_told_by_its_reason(name, content, why):
    assert reads("replies", name=name, content=content).why_unusable == why


def test_without_a_key_no_phone_is_told_and_users_are():
    assert reads("replies", REPLY, key="").why_unusable == "no_phone_key 1"
    assert len(reads("consents", CONSENT | {"phone": "+447700900123"}, key="").withdrawals) == 1


@given(st.binary(max_size=200), st.sampled_from(["consents", "replies", "erasures"]), st.sampled_from(["csv", "jsonl"]))
def test_no_bytes_end_the_reading(content, source, form):
    reads(source, name=f"a.{form}", content=content)
