"""Exports of tools become deliveries, with the ledger of assignments on a real Postgres."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from rekindle import postgres
from rekindle.errors import InputError
from rekindle.landing.filling.messages import import_messages
from rekindle.landing.phones import phone_hmac
from rekindle.settings import settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PHONES = {user: f"+1415555010{number}" for number, user in enumerate(("u1", "u2", "held out", "nobody"))}


@pytest.fixture
def zone(database, monkeypatch, tmp_path):
    """A landing zone, and a campaign that texts u1 and u2 and holds one back."""
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("REKINDLE_PHONE_KEY", "a key")
    settings.cache_clear()
    postgres.disconnect()
    database.execute(
        "insert into rekindle.campaign values ('spring', '2026-02-28', %s, '{}', '{}', '')", NOON - timedelta(hours=1)
    )
    for rank, user in enumerate(("u1", "u2", "held out"), 1):
        is_control = user == "held out"
        database.execute(
            "insert into rekindle.assignment"
            " (campaign_id, user_id, phone_hmac, assigned_at, arm, is_control, probability, rank, return_probability)"
            " values ('spring', %s, %s, %s, %s, %s, .5, %s, .1)",
            user,
            phone_hmac(PHONES[user], "a key"),
            NOON - timedelta(hours=1),
            "control" if is_control else "sms",
            is_control,
            rank,
        )
    yield tmp_path / "landing"
    postgres.disconnect()


def twilio_file(path, *rows):
    base = {"from": "+14155550199", "date_sent": NOON.isoformat(), "direction": "outbound-api", "status": "delivered"}
    path.write_text("".join(json.dumps(base | {"sid": f"SM{number}"} | row) + "\n" for number, row in enumerate(rows)))
    return path


def delivered(zone, source, day="2026-03-01"):
    folder = zone / source / f"day={day}"
    assert (folder / "_SUCCESS").exists()
    return [row for file in folder.glob("*.parquet") for row in pq.read_table(file).to_pylist()]


def test_a_message_is_whose_its_number_was_when_it_was_assigned(zone, tmp_path):
    later = (NOON + timedelta(days=2)).isoformat()
    path = twilio_file(
        tmp_path / "log.jsonl",
        {"to": PHONES["u1"], "price": "-0.0075"},
        {"to": PHONES["nobody"]},
        {"to": PHONES["u2"], "status": "failed", "error_code": 21610},
        {"to": PHONES["u1"], "date_sent": (NOON - timedelta(hours=2)).isoformat()},
        {"direction": "inbound", "from": PHONES["u1"], "body": "Stop it", "date_sent": later},
    )
    filled = import_messages("twilio", path)

    assert {row["message_id"]: (row["user_id"], row["status"]) for row in delivered(zone, "messages")} == {
        "SM0": ("u1", "delivered"),
        "SM2": ("u2", "failed"),
    }
    first = next(row for row in delivered(zone, "messages") if row["message_id"] == "SM0")
    assert first == {
        "message_id": "SM0",
        "campaign_id": "spring",
        "user_id": "u1",
        "message_channel": "sms",
        "sent_at": NOON,
        "arm": "treatment",
        "status": "delivered",
        "cost": Decimal("0.007500"),
    }
    assert [(row["phone"], row["text"]) for row in delivered(zone, "replies")] == [(PHONES["u2"], "STOP")]
    assert [(row["phone"], row["text"]) for row in delivered(zone, "replies", "2026-03-03")] == [
        (PHONES["u1"], "Stop it")
    ]
    assert delivered(zone, "messages", "2026-03-02") == []
    said = " ".join(filled.notes)
    assert "2 messages are left out" in said
    assert "1 messages failed because" in said
    assert not any(word in said for word in (*PHONES.values(), "u1", "u2", "SM1"))


def test_what_is_there_is_not_replaced_unasked_and_more_days_are_added(zone, tmp_path):
    import_messages("twilio", twilio_file(tmp_path / "a.jsonl", {"to": PHONES["u1"]}))
    more = twilio_file(tmp_path / "b.jsonl", {"to": PHONES["u1"]}, {"to": PHONES["u2"]})
    next_day = twilio_file(
        tmp_path / "c.jsonl", {"to": PHONES["u2"], "date_sent": (NOON + timedelta(days=1)).isoformat()}
    )

    assert import_messages("twilio", next_day, last=date(2026, 3, 4)).days.last == date(2026, 3, 4)
    with pytest.raises(InputError, match="already_delivered"):
        import_messages("twilio", more)
    assert len(delivered(zone, "messages")) == 1
    import_messages("twilio", more, replace=True)
    assert len(delivered(zone, "messages")) == 2
    assert len(delivered(zone, "messages", "2026-03-02")) == 1


def test_braze_tells_the_user_and_a_message_to_a_control_is_said(zone, tmp_path):
    base = {"event_type": "users.messages.sms.Send", "time": int(NOON.timestamp()), "campaign_name": "spring"}
    rows = [base | {"id": f"e{n}", "external_user_id": user} for n, user in enumerate(("u1", "held out", "new here"))]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    filled = import_messages("braze", path)

    assert {row["user_id"]: row["arm"] for row in delivered(zone, "messages")} == {
        "u1": "treatment",
        "held out": "control",
        "new here": "treatment",
    }
    assert any(note.startswith("1 messages went to controls") for note in filled.notes)


def test_nothing_told_is_an_error_without_numbers(zone, tmp_path):
    with pytest.raises(InputError, match="nothing_told") as refused:
        import_messages("twilio", twilio_file(tmp_path / "a.jsonl", {"to": PHONES["nobody"]}))

    assert PHONES["nobody"] not in str(refused.value)
    assert not (zone / "messages").exists()
