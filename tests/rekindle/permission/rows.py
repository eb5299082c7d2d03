"""Permission as the warehouse gives it: a user whom nothing speaks against, and what a test is about."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from rekindle.permission import Given

MONDAY = date(2017, 6, 5)
DAYS = [MONDAY + timedelta(days=n) for n in range(7)]
MORNING = datetime(2017, 6, 6, 3, 0, tzinfo=UTC)
"""When Monday is published."""

TIME = pa.timestamp("us", tz="UTC")
SCHEMAS = {
    "permission": pa.schema(
        [
            *(("user_id", pa.string()), ("day", pa.date32()), ("code", pa.string()), ("phone_hmac", pa.string())),
            ("phone_hmacs", pa.list_(pa.string())),
            *(("phone_e164", pa.string()), ("consent_at", TIME), ("consent_source", pa.string())),
            *(("policy_version", pa.string()), ("zones", pa.string()), ("country", pa.string())),
        ]
    ),
    "profile": pa.schema(
        [
            *(("user_id", pa.string()), ("day", pa.date32()), ("country", pa.string()), ("channel", pa.string())),
            *(("segment", pa.string()), ("usual_hour", pa.int32())),
        ]
    ),
    "sent_elsewhere": pa.schema([("campaign_id", pa.string()), ("user_id", pa.string()), ("assigned_at", TIME)]),
}

GRANTED = datetime(2017, 1, 1, tzinfo=UTC)


def hmac(phone):
    return hashlib.sha256(phone.encode()).hexdigest()


def phone_of(user):
    """Return a number of a range for fiction, one of each user."""
    return f"+447700{900000 + int(hashlib.sha256(user.encode()).hexdigest(), 16) % 1000:06}"


def permission(user, *, day=MONDAY, phone=None, **changes):
    phone = phone or phone_of(user)
    base = {
        "user_id": user,
        "day": day,
        "phone_hmac": hmac(phone),
        "phone_hmacs": [hmac(phone), hmac(f"0{phone[3:]}")],
        "phone_e164": phone,
        "consent_at": GRANTED,
        "consent_source": "checkout",
        "policy_version": "3",
        "zones": "Europe/London",
        "country": "GB",
    }
    return base | changes


def suppressed(user, code, **changes):
    return permission(user, **({"code": code, "phone_e164": None} | changes))


def given(*rows, profile=(), sent_elsewhere=(), why_nothing_new=None):
    tables = {"permission": rows, "profile": profile, "sent_elsewhere": sent_elsewhere}
    return Given(
        **{name: pa.Table.from_pylist(list(one), SCHEMAS[name]) for name, one in tables.items()},
        why_nothing_new=why_nothing_new,
    )
