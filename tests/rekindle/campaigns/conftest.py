"""A made-up audience: what a publish would have left in sms.audience, of users who may all be texted."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from rekindle.settings import settings

DAY = date(2017, 6, 14)
AT = datetime(2017, 6, 15, 9, tzinfo=UTC)

BASE = {
    "in_population": True,
    "eligible": True,
    "eligible_before_holdout": True,
    "holdout": False,
    "suppression_reason": None,
    "valid_until": datetime(2017, 6, 16, 12, tzinfo=UTC),
    "phone_e164": "+15005550006",
    "consent_at": AT,
    "consent_source": "form",
    "policy_version": "1",
    "timezone": "Europe/Berlin",
    "send_window_start": AT,
    "send_window_end": datetime(2017, 6, 15, 18, tzinfo=UTC),
    "return_probability": 0.4,
    "lapsed_days": 20,
    "horizon_days": 7,
    "percentile": 50,
    "decile": 5,
    "other_contribution": 0,
    "model_name": "rekindle_recall",
    "model_version": "1",
    "model_digest": "0" * 64,
    "expected_gain": 1,
    "value_if_returns": 50,
    "value_if_returns_low": 40,
    "value_if_returns_high": 60,
    "country": "DE",
    "segment": "regular, just lapsed",
    "schema_version": 1,
    "day": DAY,
    "run_id": "run",
    "updated_at": AT,
}

PERMITTED = (
    *("valid_until", "phone_e164", "consent_at", "consent_source", "policy_version"),
    *("timezone", "send_window_start", "send_window_end"),
)
"""What is published only of who may be texted."""


@pytest.fixture
def audience(database, tmp_path, monkeypatch):
    """Publish a made-up audience; each row says only what the test is about."""
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path))
    monkeypatch.setenv("SPARK_REMOTE", "sc://nowhere")  # the command asks nothing of Spark
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://nowhere")
    settings.cache_clear()

    def publish(*rows, day=DAY):
        with database.connect() as connection:
            for row in rows:
                full = {**BASE, "day": day, **row}
                if not full["eligible"]:
                    full |= dict.fromkeys(PERMITTED)
                names = ", ".join(full)
                marks = ", ".join(["%s"] * len(full))
                connection.execute(f"insert into sms.audience ({names}) values ({marks})", list(full.values()))
            for table in ("audience", "recall_scores"):
                connection.execute(
                    "insert into rekindle.freshness (table_name, day, row_count, published_at, valid_until)"
                    " values (%s, %s, %s, %s, %s) on conflict (table_name) do update set day = excluded.day",
                    [table, day, len(rows), AT, AT],
                )

    return publish


@pytest.fixture
def many(audience):
    """Publish an audience of users with different chances and values."""

    def publish(size, seed=0):
        random = np.random.default_rng(seed)
        values = random.gamma(1.5, 25.0, size).round(2).tolist()
        chances = random.beta(1, 8, size).round(3).tolist()
        audience(
            *(
                {
                    "user_id": f"u{n:05}",
                    "return_probability": chances[n],
                    "value_if_returns": values[n],
                    "value_if_returns_low": round(values[n] * 0.7, 2),
                    "value_if_returns_high": round(values[n] * 1.4, 2),
                    "lapsed_days": int(random.integers(7, 365)),
                    "country": ("DE", "FR", "US")[n % 3],
                }
                for n in range(size)
            )
        )

    return publish
