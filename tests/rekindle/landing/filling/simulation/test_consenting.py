"""Simulated consents for users of a public sample: who has one, has a phone that is nobody's."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.simulation.consenting import SIMULATED, add_consents
from rekindle.landing.filling.writer import History, deliver
from tests.reference.permission import Rules, World, code_by_user
from tests.reference.permission_worlds import as_deliveries

FIRST = date(2017, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=59))
USERS = 900
REGISTERED = time(23, 30, tzinfo=UTC)


@pytest.fixture
def with_users(zone):
    """Users who come over a month, as a sample delivers them."""
    days = np.array([np.datetime64(FIRST + timedelta(days=n % 31)) for n in range(USERS)])
    registered_at = [datetime.combine(day.item(), REGISTERED) for day in days]
    rows = pa.table(
        {
            "user_id": [f"household {n}" for n in range(USERS)],
            "registered_at": pa.array(registered_at, pa.timestamp("us", "UTC")),
        }
    )
    deliver(zone, [History("users", rows, days)], DAYS)
    return zone


def read(zone, source: str) -> World:
    return {
        day: pq.read_table(zone / source / f"day={day}" / f"{source}.parquet", partitioning=None).to_pylist()
        for day in DAYS
        if (zone / source / f"day={day}" / f"{source}.parquet").exists()
    }


def test_most_who_agree_may_be_texted_and_some_of_every_other_kind_may_not(with_users):
    """By the plain reading of the contract. All users begin on a day of theirs, and every source delivers on each day."""
    written = add_consents(with_users)
    rows = {source: as_deliveries(read(with_users, source)) for source in ("contacts", "consents", "replies")}
    world = World(**rows, messages={}, users={})
    codes = Counter(code_by_user(world, DAYS.last, Rules(frozenset({"ok", "thanks", "thank", "you", "yes"}))).values())

    assert {one.source: one.deliveries for one in written} == dict.fromkeys(
        ("contacts", "consents", "replies"), len(DAYS)
    )
    assert 0.4 * USERS < codes[None] < 0.6 * USERS
    assert {"no_consent", "consent_withdrawn", "consent_incomplete", "no_phone", "invalid_phone", "not_mobile"} <= {
        *codes
    }
    begun = {row["user_id"]: day for day in DAYS for row in read(with_users, "users").get(day, ())}
    on_the_day = [r["at"] for d, of in rows["consents"].items() for r in of if begun.get(r["user_id"]) == d and r["at"]]
    assert sum(at.time() >= REGISTERED.replace(tzinfo=None) for at in on_the_day) > 0.9 * len(on_the_day) > 0
    users = {row["user_id"] for of_day in rows["contacts"].values() for row in of_day}
    assert users <= {f"household {n}" for n in range(USERS)}
    assert "simulated" in SIMULATED and (with_users / "SAMPLE").read_text("utf-8").splitlines() == [SIMULATED]


def test_the_same_is_added_every_time(with_users, files):
    add_consents(with_users)
    before = files(with_users)

    assert {one.unchanged for one in add_consents(with_users)} == {len(DAYS)}
    assert files(with_users) == before


def test_the_command_adds_them_to_a_sample_and_says_so(rekindle, zone):
    """Also in reports, and when the sample is asked for again."""
    options = ("completejourney", "--from", "2017-01-01", "--to", "2017-01-20")
    told = rekindle("sample", *options, "--with-consents")
    rekindle("sample", *options)

    assert SIMULATED in told["notes"]
    assert (zone / "SAMPLE").read_text("utf-8").splitlines()[1:] == [SIMULATED]
    assert all(
        (zone / source / "day=2017-01-20" / "_SUCCESS").exists() for source in ("contacts", "consents", "replies")
    )


def test_refuses_a_landing_zone_without_users(zone):
    zone.mkdir(exist_ok=True)
    with pytest.raises(InputError, match="no users"):
        add_consents(zone)
