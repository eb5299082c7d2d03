"""The loop over 14 days: what is published is planned with, sent within windows, answered, and heard on the next day."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from psycopg.conninfo import make_conninfo

from loop.gateway import Gateway
from loop.sender import send
from rekindle.campaigns.plan import Asked, plan
from rekindle.days import Days
from rekindle.landing.phones import phone_hmac
from rekindle.landing.zone import LandingZone
from rekindle.permission import taking_away
from rekindle.settings import settings
from tests.rekindle.permission.conftest import Audience
from tests.rekindle.permission.rows import MONDAY, MORNING, given, hmac, permission

DAYS = [MONDAY + timedelta(days=number) for number in range(14)]
USERS = [f"u{number:03}" for number in range(80)]
PHONES = {user: f"+447700{900000 + number:06}" for number, user in enumerate(USERS)}
ZONES = ("Europe/London", "America/New_York", "Australia/Sydney")
KEY = "a key"
STOPS = ("STOP", "stop.", "Stop it please", "unsubscribe")
"""The third is a stop to Rekindle and none to the gateway: an ambiguous reply counts as one."""


@pytest.fixture
def lived(database, monkeypatch, tmp_path):
    """Live the days; returns the gateway, the landing zone and the database."""
    monkeypatch.setenv("REKINDLE_HOLDOUT_SHARE", "0.2")
    monkeypatch.setenv("REKINDLE_PHONE_KEY", KEY)
    settings.cache_clear()
    audience, zone = Audience(database), LandingZone(str(tmp_path))
    rows = {user: {"phone": PHONES[user], "zones": ZONES[n % len(ZONES)]} for n, user in enumerate(USERS)}
    known = {user: {**of, "phone_hmac": phone_hmac(of["phone"], KEY)} for user, of in rows.items()}

    def answers(phone, message_id):
        lot = int(hmac(message_id + phone)[:8], 16)
        return STOPS[lot % len(STOPS)] if lot % 7 == 0 else None

    reader = make_conninfo(database.url, options="-c role=sms_reader")
    with Gateway(MORNING) as gateway:
        for number, day in enumerate(DAYS):
            at = MORNING + timedelta(days=number)
            taking_away.main(audience.run_id, at=at, zone=zone)
            permitted = [permission(user, day=day, **of) for user, of in known.items()]
            audience.publish(USERS, given(*permitted), day=day, at=at)
            name = f"day-{number}"
            plan(Asked(name, day, budget=100.0, control_share=0.2, capacity=12), {}, at=at + timedelta(hours=1))
            gateway.at = max(gateway.at, at + timedelta(hours=1))
            send(gateway, reader, name, "Come back. Reply STOP to end", answers)
            gateway.deliver(tmp_path, Days.between(MONDAY, day + timedelta(days=1)))
        gateway.deliver(tmp_path, Days.between(MONDAY, gateway.at.date() + timedelta(days=1)))
        yield gateway, tmp_path, database
    settings.cache_clear()


def test_14_days_of_the_loop_hold_what_is_promised(lived):
    gateway, zone, database = lived
    sent = list(gateway.sent.values())
    held_out = {row["user_id"] for row in database.rows("select user_id from rekindle.holdout where is_held_out")}
    controls = {
        (row["campaign_id"], row["user_id"])
        for row in database.rows("select campaign_id, user_id from rekindle.assignment where is_control")
    }
    users = {phone: user for user, phone in PHONES.items()}
    stopped = {reply["phone"]: reply["received_at"] for reply in reversed(gateway.replies)}
    heard = {
        row["phone_hmac"] for row in database.rows("select phone_hmac from rekindle.withdrawal where kind = 'stop'")
    }

    assert len(sent) > 100 and len(stopped) > 5 and held_out and controls
    assert len(heard) > 5
    assert heard <= {phone_hmac(phone, KEY) for phone in stopped}
    assert gateway.refused.get("outside_of_window", 0) == 0
    assert not any(row["user_id"] in held_out for row in sent)
    assert not any((row["campaign_id"], row["user_id"]) in controls for row in sent)
    for phone, at in stopped.items():
        assert not [row for row in sent if row["user_id"] == users[phone] and row["sent_at"] > at]
    local_hours = {row["sent_at"].astimezone(_zone_of(row["user_id"])).hour for row in sent}
    assert min(local_hours) >= settings().send_from_hour
    assert max(local_hours) < settings().send_until_hour
    assert not [row for row in sent if row["sent_at"].astimezone(_zone_of(row["user_id"])).weekday() == 6]
    delivered = [row for file in zone.glob("messages/*/*.parquet") for row in pq.read_table(file).to_pylist()]
    replies = [row for file in zone.glob("replies/*/*.parquet") for row in pq.read_table(file).to_pylist()]
    assert {row["message_id"] for row in delivered} == gateway.sent.keys()
    assert {row["phone"] for row in replies} == stopped.keys()
    assert _most_in_cool_down(sent) == 1


def _zone_of(user):
    from zoneinfo import ZoneInfo

    return ZoneInfo(ZONES[USERS.index(user) % len(ZONES)])


def _most_in_cool_down(sent):
    """The most messages that somebody got within the days of the cool-down."""
    times: dict[str, list[datetime]] = {}
    for row in sent:
        times.setdefault(row["user_id"], []).append(row["sent_at"])
    pause = timedelta(days=settings().cool_down_days)
    return max(sum(at <= other < at + pause for other in of) for of in times.values() for at in of)
