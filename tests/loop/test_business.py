"""The business of the loop lives on with the messages that the gateway has sent, day by day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

import loop.__main__ as running
from loop.gateway import Gateway
from rekindle.days import Days
from rekindle.settings import settings


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path / "landing"))
    monkeypatch.setattr(running, "HOME", tmp_path)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def delivered(home, source):
    return [
        row for file in sorted(home.glob(f"landing/{source}/*/*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def test_what_was_sent_is_delivered_and_changes_what_is_to_come(home):
    with Gateway(datetime(2024, 1, 1, tzinfo=UTC)) as gateway:
        business = running.Loop(120, 15, 3, gateway)
        business._simulate(business.history)
        first, second, _ = business.lived
        for number, user in enumerate(row["user_id"] for row in delivered(home, "users")[:20]):
            gateway.sent[f"m{number}"] = {
                "message_id": f"m{number}",
                "campaign_id": "spring",
                "user_id": user,
                "message_channel": "sms",
                "sent_at": datetime.combine(second, time(10), UTC),
                "arm": "treatment",
                "status": "delivered",
                "cost": Decimal("0.04"),
            }
        for day in (first, second):
            business._simulate(Days.one(day))
            gateway.deliver(home / "landing", Days.one(day))

    assert len(delivered(home, "messages")) == 20
    assert delivered(home, "replies") == []
    assert {path.name for path in home.glob("landing/replies/*")} == {f"day={first}", f"day={second}"}
    assert sum(running._effects().values()) != 0
    assert second - first == timedelta(days=1)


def test_the_planted_effect_of_a_campaign_is_that_of_its_own_messages():
    day = datetime(2024, 5, 1, 10, tzinfo=UTC)
    with Gateway(day) as gateway:
        for number, (user, campaign) in enumerate([("a", "spring"), ("b", "spring"), ("a", "summer")]):
            at = day + timedelta(days=7 * (campaign == "summer"))
            gateway.sent[f"m{number}"] = {"user_id": user, "campaign_id": campaign, "sent_at": at}
        effects = {("a", day.date()): 0.25, ("b", day.date()): -0.5, ("a", day.date() + timedelta(days=7)): 4.0}

        assert running.truly("spring", gateway, effects) == -0.25
        assert running.truly("summer", gateway, effects) == 4.0
