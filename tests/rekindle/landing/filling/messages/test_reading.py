"""What exports of Twilio and Braze tell, and what they do not."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from rekindle.errors import InputError
from rekindle.landing.filling.messages import braze, twilio
from rekindle.landing.filling.messages.assignments import Assignment, latest
from rekindle.landing.filling.messages.told import Reply, Sent, time_of
from tests.bad_inputs import bad_input

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OURS, THEIRS = "+14155550100", "+14155550123"

OUTBOUND = {
    "sid": "SM1",
    "from": OURS,
    "to": THEIRS,
    "body": "Come back",
    "status": "delivered",
    "date_sent": "2026-03-01T12:00:00Z",
    "direction": "outbound-api",
    "error_code": None,
    "price": "-0.00750",
    "num_segments": "1",
}
INBOUND = {
    "sid": "SM2",
    "from": THEIRS,
    "to": OURS,
    "body": "stop",
    "status": "received",
    "date_sent": "2026-03-01T12:00:00Z",
    "direction": "inbound",
}
CONSOLE = re.findall(
    r"\w+", "From,To,Body,Status,SentDate,ApiVersion,NumSegments,ErrorCode,AccountSid,Sid,Direction,Price,PriceUnit"
)
"""The head of what the console downloads."""


@pytest.fixture
def bulk(tmp_path):
    """A day of Twilio's bulk export."""

    def write(*rows):
        path = tmp_path / "2026-03-01.json.gz"
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
        return twilio.read(path, "USD")

    return write


@pytest.fixture
def currents(tmp_path):
    """Events of Braze's Currents, as over HTTP."""

    def write(*rows):
        path = tmp_path / "events.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return braze.read(path)

    return write


def event(kind, *, event_id="e1", user="u1", time=NOON, **properties):
    return {
        "event_type": f"users.messages.sms.{kind}",
        "id": event_id,
        "time": int(time.timestamp()),
        "user": {"user_id": "braze's own", "external_user_id": user},
        "properties": {"campaign_name": "spring", "dispatch_id": "d1", "to_phone_number": THEIRS, **properties},
    }


def test_a_message_of_twilio_is_known_by_its_number(bulk):
    told = bulk(OUTBOUND)

    assert list(told.sent.values()) == [Sent("SM1", NOON, "delivered", THEIRS, cost=Decimal("0.00750"))]
    assert not told.replies
    assert not told.unusable


def test_what_came_in_is_a_reply(bulk):
    assert list(bulk(INBOUND).replies.values()) == [Reply("SM2", THEIRS, NOON, "stop")]


@bad_input("emoji and right-to-left text", gets="fine")
def test_a_reply_whose_emoji_was_cut_in_two_is_heard(bulk):
    """JSON can hold half a character, and no file and no table can."""
    (reply,) = bulk({**INBOUND, "body": "stop \U0001f9f8 \ud83e"}).replies.values()

    assert reply.text == "stop \U0001f9f8 \ufffd"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.jsonl", b"[" * 100_000),
        ("log.jsonl", b'{"sid": ' + b"9" * 5000 + b"}"),
        ("log.jsonl", b'{"sid": '),
        ("log.jsonl", b'{"sid": "\xff"}'),
        ("log.jsonl.gz", gzip.compress(b"{}" * 999, mtime=0)[:-12]),
        ("log.jsonl.gz", gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20),
        ("log.jsonl.gz", b"{}"),
        ("log.csv", b'sid,body\n1,"'),
    ],
)
def test_an_export_that_cannot_be_read_is_told_by_its_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputError, match=rf"unreadable_export: {re.escape(name)} cannot be read as"):
        twilio.read(path, "USD")


def test_the_log_of_the_console_says_the_same(tmp_path):
    path = tmp_path / "log.csv"
    names = {short: name for name, short in twilio.CONSOLE.items()}
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        written = csv.DictWriter(file, CONSOLE)
        written.writeheader()
        written.writerows({names[k]: v for k, v in row.items() if k in names} for row in (OUTBOUND, INBOUND))
    told = twilio.read(path, "USD")

    assert list(told.sent.values()) == [Sent("SM1", NOON, "delivered", THEIRS, cost=Decimal("0.00750"))]
    assert list(told.replies.values()) == [Reply("SM2", THEIRS, NOON, "stop")]


@pytest.mark.parametrize("code", [21610, "21610"])
def test_error_21610_is_an_opt_out_also_where_the_message_never_left(bulk, code):
    told = bulk(
        {**OUTBOUND, "status": "failed", "error_code": code, "date_sent": None, "date_created": NOON.isoformat()}
    )

    assert list(told.replies.values()) == [Reply("SM1-21610", THEIRS, NOON, "STOP")]
    assert told.sent["SM1"].status == "failed"
    assert told.opt_out_count == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sid": None}, "rows that are no messages"),
        ({"to": "whatsapp:+14155550123"}, "rows of other channels"),
        ({"to": ""}, "rows without a number"),
        ({"date_sent": "2026-03-01T12:00:00"}, "rows without a time and its zone"),
        ({"date_sent": "yesterday"}, "rows without a time and its zone"),
    ],
)
def test_what_tells_nothing_is_counted_by_its_reason(bulk, change, reason):
    told = bulk({**OUTBOUND, **change})

    assert not told.sent
    assert told.unusable == {reason: 1}


@pytest.mark.parametrize("change", [{"price_unit": "EUR"}, {"price": "free"}, {"price": "NaN"}])
def test_a_price_that_is_not_in_our_currency_is_no_cost(bulk, change):
    told = bulk({**OUTBOUND, **change})

    assert told.sent["SM1"].cost is None
    assert sum(told.unusable.values()) == 1


def test_of_a_message_the_later_row_counts(bulk):
    assert bulk({**OUTBOUND, "status": "sent"}, OUTBOUND).sent["SM1"].status == "delivered"


def test_all_events_about_a_message_of_braze_are_one_message(currents):
    told = currents(
        event("Delivery", event_id="e2", time=NOON + timedelta(minutes=1)),
        event("Send"),
        event("Send", event_id="e3", user="u2"),
    )
    first, second = told.sent.values()

    assert (first.user_id, first.at, first.status, first.campaign_id) == ("u1", NOON, "Delivery", "spring")
    assert (second.user_id, second.status) == ("u2", "Send")
    assert "u1" not in first.message_id


def test_a_reply_that_braze_took_for_an_unsubscription_is_one(currents):
    """The sender's own keywords are known to Braze alone."""
    told = currents(
        event("InboundReceive", user_phone_number=THEIRS, message_body="BASTA", action="Unsubscribed"),
        event("InboundReceive", event_id="e2", user_phone_number=THEIRS, message_body="thanks"),
    )

    assert [reply.text for reply in told.replies.values()] == ["STOP", "thanks"]


def test_a_rejection_with_error_21610_is_an_opt_out(currents):
    told = currents(event("Rejection", provider_error_code="21610"))

    assert [(reply.phone, reply.text) for reply in told.replies.values()] == [(THEIRS, "STOP")]


def test_events_of_storage_are_flat_and_their_folder_names_them(tmp_path):
    folder = tmp_path / "event_type=users.messages.sms.Send"
    folder.mkdir()
    flat = {
        "id": "e1",
        "time": NOON.timestamp(),
        "user_id": "braze's own",
        "external_user_id": "u1",
        "dispatch_id": "d",
    }
    (folder / "part.jsonl").write_text(json.dumps(flat | {"campaign_name": "spring", "to_phone_number": THEIRS}))
    (sent,) = braze.read(tmp_path).sent.values()

    assert (sent.user_id, sent.campaign_id, sent.at) == ("u1", "spring", NOON)


def test_events_about_something_else_are_counted(currents):
    told = currents(event("ShortLinkClick"), {"event_type": "users.messages.email.Send"}, event("Send", user=None))

    assert told.unusable == {"events about something else": 2, "messages without an external user id": 1}
    assert not told.sent


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json.gz", b"no gzip"),
        ("a.csv", b'Sid\n"open'),
        ("a.json", b"\xff\xfe"),
        ("a.avro", b""),
        ("a.json.gz", gzip.compress(b"{}", mtime=0)[:-3]),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_without_its_content(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=name.partition(".")[0]):
        twilio.read(tmp_path / name, "USD")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T14:00:00+02:00", NOON),
        ("Sun, 01 Mar 2026 12:00:00 +0000", NOON),
        (NOON.timestamp(), NOON),
        ("2026-03-01T12:00:00", None),
        ("", None),
        (None, None),
        (True, None),
    ],
)
def test_a_time_has_a_zone(text, at):
    assert time_of(text) == at


def assignment(user, hours, campaign="spring", *, is_control=False):
    at = (NOON + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=2)))
    return Assignment(user, campaign, "h", at, is_control)


@pytest.mark.parametrize(
    ("assignments", "campaign", "user"),
    [
        ([], None, None),
        ([assignment("u1", -1)], None, "u1"),
        ([assignment("u1", 0)], None, "u1"),
        ([assignment("u1", 1)], None, None),
        ([assignment("u1", -2), assignment("u2", -1)], None, "u2"),
        ([assignment("u1", -1), assignment("u2", -1)], None, None),
        ([assignment("u1", -2, "autumn"), assignment("u1", -1)], "autumn", "u1"),
        ([assignment("u1", -1)], "autumn", None),
    ],
)
def test_a_message_is_of_the_latest_assignment_before_it_or_of_none(assignments, campaign, user):
    """A number that two users had at one time tells of neither."""
    found = latest(assignments, NOON, campaign)

    assert (found and found.user_id) == user
