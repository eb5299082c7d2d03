"""The stand-in for an SMS gateway keeps windows and STOPs, and tells what it did."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from loop.gateway import MOST_BYTES, Gateway
from rekindle.days import Days

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PHONE = "+14155550123"
MESSAGE = {
    "message_id": "m1",
    "campaign_id": "spring",
    "user_id": "u1",
    "to": PHONE,
    "body": "Come back. Reply STOP to end",
    "send_window_start": NOON.isoformat(),
    "send_window_end": (NOON + timedelta(hours=1)).isoformat(),
}


@pytest.fixture
def gateway():
    with Gateway(NOON, most_messages=3) as gateway:
        yield gateway


def post(gateway, body, path="/messages"):
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
    response = connection.getresponse()
    told = json.loads(response.read())
    connection.close()
    return response.status, told["code"]


def test_it_listens_on_this_machine_only(gateway):
    assert gateway.url.startswith("http://127.0.0.1:")


def test_a_message_within_its_window_is_taken_once(gateway):
    assert post(gateway, MESSAGE) == (201, None)
    assert post(gateway, MESSAGE) == (409, "had_before")
    assert len(gateway.sent) == 1


@pytest.mark.parametrize(("minutes", "status"), [(-1, 422), (0, 201), (59, 201), (60, 422)])
def test_a_message_outside_of_its_window_is_refused(gateway, minutes, status):
    gateway.at = NOON + timedelta(minutes=minutes)

    assert post(gateway, MESSAGE)[0] == status


@pytest.mark.parametrize("text", ["STOP", "stop", " Stop. ", "StopAll", "opt out", "UNSUBSCRIBE"])
def test_who_says_stop_gets_error_21610_and_no_message(gateway, text):
    gateway.receive(PHONE, text, NOON)

    assert post(gateway, MESSAGE) == (400, 21610)
    assert gateway.sent["m1"]["status"] == "failed"


def test_a_reply_that_is_no_stop_stops_nothing(gateway):
    gateway.receive(PHONE, "Stop by tomorrow?", NOON)

    assert post(gateway, MESSAGE) == (201, None)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", {}, {**MESSAGE, "to": "0123"}, {**MESSAGE, "send_window_end": None}, {**MESSAGE, "to": 5}]
)
def test_what_is_no_message_is_refused(gateway, body):
    assert post(gateway, body) == (400, "not_a_message")


def test_a_window_without_a_zone_is_none(gateway):
    assert post(gateway, {**MESSAGE, "send_window_end": "2026-03-01T23:00:00"}) == (422, "outside_of_window")


def test_it_takes_so_many_messages_of_so_many_bytes_and_no_more(gateway):
    statuses = [post(gateway, {**MESSAGE, "message_id": f"m{n}"})[0] for n in range(4)]

    assert statuses == [201, 201, 201, 429]
    assert post(gateway, b"x" * (MOST_BYTES + 1))[0] == 413
    assert post(gateway, MESSAGE, "/calls") == (404, "not_found")


def test_it_delivers_what_was_sent_and_what_came_back_by_day(gateway, tmp_path):
    post(gateway, MESSAGE)
    gateway.receive(PHONE, "stop", NOON + timedelta(days=1))
    gateway.deliver(tmp_path, Days.between(NOON.date(), NOON.date() + timedelta(days=1)))

    def rows(source, day):
        folder = tmp_path / source / f"day={day}"
        assert (folder / "_SUCCESS").exists()
        return [row for file in folder.glob("*.parquet") for row in pq.read_table(file).to_pylist()]

    assert [(row["user_id"], row["arm"], row["status"]) for row in rows("messages", "2026-03-01")] == [
        ("u1", "treatment", "delivered")
    ]
    assert [(row["phone"], row["text"]) for row in rows("replies", "2026-03-02")] == [(PHONE, "stop")]
    assert rows("replies", "2026-03-01") == rows("messages", "2026-03-02") == []
