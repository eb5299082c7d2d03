"""
From delivered files to who may be texted, on real Spark and dbt: a few users by hand, and many, code by code, against the plain
reading of the contract.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.landing.phones import phone_hmac
from rekindle.permission.messaging import messaging
from rekindle.permission.supply import why_no_new_permission
from rekindle.settings import settings
from rekindle.warehouse import marts, migrate
from spark_jobs.permission import numbers, opt_outs
from tests.bad_inputs import bad_input
from tests.reference import permission_worlds as worlds
from tests.reference.permission import Rules, World, code_by_user
from tests.reference.permission_worlds import DAY
from tests.spark_jobs.ingest.test_personal import consent, contact, message, reply
from tests.spark_jobs.ingest.test_raw import as_csv, as_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.spark_jobs.conftest import Warehouse

FEW, ALL = (150, 20), (10_000, 1_000)
"""Users of all kinds, and users whose phones have all opted out."""
BUILT = ("permission.numbers", "permission.opt_outs", "marts.permission", "marts.recent_assignments", "marts.profile")
PHONES = {
    "permitted": ("+61 491 570 110", None),
    "silent": ("0491 570 157", "AU"),
    "stopped": ("0491 570 158", "AU"),
    "shares": ("+61 491 570 158", "AU"),
    "short": ("12345", "US"),
    "no region": ("0491 570 159", None),
    "desk": ("+44 20 7946 0123", None),
    "free of charge": ("+1 800 555 0199", None),
    "rounded": ("1.41556E+10", "US"),
    "phoneless": (None, "US"),
    "extension": ("+61 491 570 110 ext. 5", "AU"),
}
"""What is delivered of users by hand; the number that says stop says no country."""


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(scope="module")
def world(size: tuple[int, int]) -> World:
    return worlds.merged(worlds.world(size[0], seed=12), worlds.opted_out_world(size[1]))


@pytest.fixture(scope="module")
def permission(warehouse: Warehouse, world: World) -> Iterator[dict[str, dict[str, Any]]]:
    """Rows of marts.permission by user."""
    shutil.rmtree(warehouse.landing)
    days = Days(tuple(sorted({*worlds.write_landing(world, warehouse.landing), DAY})))
    write_by_hand(warehouse.landing)
    migrate.create_marts(warehouse.spark)
    warehouse.ingest(days)
    for job in (numbers, opt_outs):
        job.main(warehouse.spark, days, records.start_run("test", days))
    day = Days.one(DAY)
    marts.build(warehouse.spark, "permission", day, records.start_run("test", day), [])
    yield {row["user_id"]: row for row in warehouse.rows("marts.permission", f"day = date'{DAY}'")}
    for table in BUILT:
        warehouse.spark.sql(f"DELETE FROM {table}")


def write_by_hand(landing: Path) -> None:
    """Add files to the deliveries of the day, which there may be for that alone."""
    granted = [consent(name, user_id=name, phone=None, at=f"{DAY}T09:00:00Z") for name in PHONES]
    unheard = consent("unheard", user_id="silent", phone=None, action="withdraw", at="some day")
    user = {"registered_at": "2024-01-01T00:00:00Z", "timezone": "Australia/Sydney"}
    at = {"received_at": f"{DAY}T11:00:00Z"}
    files = {
        "users": as_jsonl(*({"user_id": name, **user} for name in PHONES)),
        "contacts": as_jsonl(*(contact(user_id=n, phone=p, country=c) for n, (p, c) in PHONES.items())),
        "consents": as_jsonl(*granted, unheard),
        "messages": as_csv(message("m", user_id="permitted", sent_at=f"{DAY}T10:00:00Z")),
        "replies": as_csv(reply("r", phone="0491570158", text="Stop, please", **at), reply("t", text="Thanks!", **at)),
    }
    for source, content in files.items():
        folder = landing / source / f"day={DAY}"
        folder.mkdir(parents=True, exist_ok=True)
        name = "by_hand.jsonl" if content.startswith("{") else "by_hand.csv"
        (folder / name).write_text(content, encoding="utf-8")
        (folder / "_SUCCESS").touch()


@bad_input("a toll-free number", "two users with one phone, one opted out", gets="not eligible")
@bad_input(
    "a phone without a region",
    "a landline",
    "a short code",
    "a phone with an extension",
    "`1.41556E+10` as a phone",
    gets="not eligible",
)
def test_each_user_with_a_consent_has_the_first_code_that_applies(permission: dict[str, dict[str, Any]]):
    assert {name: permission[name]["code"] for name in PHONES} == {
        "permitted": None,
        "silent": "consent_withdrawn",
        "stopped": "consent_withdrawn",
        "shares": "consent_withdrawn",
        "short": "invalid_phone",
        "no region": "invalid_phone",
        "desk": "not_mobile",
        "free of charge": "not_mobile",
        "rounded": "invalid_phone",
        "phoneless": "no_phone",
        "extension": "invalid_phone",
    }


def test_every_user_has_the_code_that_the_plain_reading_says(permission: dict[str, dict[str, Any]], world: World):
    """Whoever has no row has no consent on record."""
    rules = Rules(harmless=messaging().harmless_words)
    expected = {user: code for user, code in code_by_user(world, DAY, rules).items() if code != "no_consent"}
    found = {user: row["code"] for user, row in permission.items() if user not in PHONES}
    differing = {user: (code, found.get(user, "no row")) for user, code in expected.items() if found.get(user) != code}

    assert not differing, (len(differing), list(differing.items())[:5])
    assert found.keys() == expected.keys()
    assert len({*found.values()}) > 8


def test_no_phone_that_opted_out_may_be_texted(permission: dict[str, dict[str, Any]], size: tuple[int, int]):
    of_opted_out = [row["code"] for user, row in permission.items() if user.startswith(worlds.OPTED_OUT)]

    assert of_opted_out == ["consent_withdrawn"] * size[1]


def test_who_is_permitted_has_the_proof_and_the_zones(permission: dict[str, dict[str, Any]]):
    row = permission["permitted"]

    assert row["phone_hmac"] == phone_hmac("+61491570110", settings().phone_key.get_secret_value())
    assert row["consent_at"].replace(tzinfo=UTC) == datetime(2024, 6, 15, 9, tzinfo=UTC)
    assert (row["consent_source"], row["policy_version"], row["country"]) == ("web", "3", "AU")
    assert {"Australia/Perth", "Australia/Sydney"} <= set(row["zones"].split("|"))


@pytest.mark.usefixtures("permission")
def test_whoever_was_assigned_is_told(warehouse: Warehouse):
    (row,) = warehouse.rows("marts.recent_assignments", f"day = date'{DAY}' and user_id = 'permitted'")

    assert row["campaign_id"] == "spring"
    assert row["assigned_at"].replace(tzinfo=UTC) == datetime(2024, 6, 15, 10, tzinfo=UTC)


@pytest.mark.usefixtures("permission")
def test_a_day_of_which_all_is_there_may_permit_anew():
    assert why_no_new_permission(DAY) is None
