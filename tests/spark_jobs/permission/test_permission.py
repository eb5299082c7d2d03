"""From delivered files to who may be texted: one day of contacts, consents, messages and replies, on real Spark and dbt."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.landing.phones import phone_hmac
from rekindle.permission.supply import why_no_new_permission
from rekindle.settings import settings
from rekindle.warehouse import marts
from spark_jobs.permission import numbers, opt_outs
from tests.spark_jobs.ingest.test_personal import consent, contact, deliver, message, reply
from tests.spark_jobs.ingest.test_raw import as_csv, as_jsonl

if TYPE_CHECKING:
    from tests.spark_jobs.conftest import Warehouse

DAY = date(2024, 5, 1)
PHONES = {
    "permitted": ("+61 491 570 156", None),
    "silent": ("0491 570 157", "AU"),
    "stopped": ("0491 570 158", "AU"),
    "shares": ("+61 491 570 158", "AU"),
    "short": ("12345", "US"),
    "no region": ("0491 570 159", None),
    "desk": ("+44 20 7946 0123", None),
    "rounded": ("1.41556E+10", "US"),
    "phoneless": (None, "US"),
    "extension": ("+61 491 570 156 ext. 5", "AU"),
}


@pytest.fixture(scope="module")
def permission(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Rows of marts.permission by user; the number that says stop says no country."""
    given = [consent(name, user_id=name, phone=None) for name in PHONES]
    users = [
        {"user_id": name, "registered_at": "2024-01-01T00:00:00Z", "timezone": "Australia/Sydney"} for name in PHONES
    ]
    sources = {
        "users": as_jsonl(*users),
        "contacts": as_jsonl(*(contact(user_id=n, phone=p, country=c) for n, (p, c) in PHONES.items())),
        "consents": as_jsonl(
            *given, consent("unheard", user_id="silent", phone=None, action="withdraw", at="some day")
        ),
        "messages": as_csv(message("m", user_id="permitted")),
        "replies": as_csv(reply("r", phone="0491570158", text="Stop, please"), reply("t", text="Thanks!")),
    }
    for source, content in sources.items():
        deliver(
            warehouse.landing, source, DAY, {f"a.{'csv' if source in {'messages', 'replies'} else 'jsonl'}": content}
        )
    days = Days.one(DAY)
    warehouse.ingest(days)
    run_id = records.start_run("test", days)
    for job in (numbers, opt_outs):
        job.main(warehouse.spark, days, run_id)
    marts.build(warehouse.spark, "permission", days, run_id, [])
    rows = warehouse.rows("marts.permission", f"day = date'{DAY}'")
    return {row["user_id"]: row for row in rows}


def test_each_user_with_a_consent_has_the_first_code_that_applies(permission: dict[str, dict[str, Any]]):
    assert {name: row["code"] for name, row in permission.items()} == {
        "permitted": None,
        "silent": "consent_withdrawn",
        "stopped": "consent_withdrawn",
        "shares": "consent_withdrawn",
        "short": "invalid_phone",
        "no region": "invalid_phone",
        "desk": "not_mobile",
        "rounded": "invalid_phone",
        "phoneless": "no_phone",
        "extension": "invalid_phone",
    }


def test_who_is_permitted_has_the_proof_and_the_zones(permission: dict[str, dict[str, Any]]):
    row = permission["permitted"]

    assert row["phone_hmac"] == phone_hmac("+61491570156", settings().phone_key.get_secret_value())
    assert row["consent_at"].replace(tzinfo=UTC) == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert (row["consent_source"], row["policy_version"], row["country"]) == ("web", "3", "AU")
    assert {"Australia/Perth", "Australia/Sydney"} <= set(row["zones"].split("|"))


def test_whoever_was_assigned_is_told(warehouse: Warehouse, permission: dict[str, dict[str, Any]]):  # noqa: ARG001 - is built with it
    (row,) = warehouse.rows("marts.recent_assignments", f"day = date'{DAY}'")

    assert (row["campaign_id"], row["user_id"]) == ("spring", "permitted")
    assert row["assigned_at"].replace(tzinfo=UTC) == datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.mark.usefixtures("permission")
def test_a_day_of_which_all_is_there_may_permit_anew():
    assert why_no_new_permission(DAY) is None
