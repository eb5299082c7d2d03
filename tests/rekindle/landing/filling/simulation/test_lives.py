"""Messages change what follows of who is sent one, and nothing else; and the truth says by how much."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.simulation.business import Business
from rekindle.landing.filling.simulation.campaigns import really_sent
from rekindle.landing.filling.simulation.lives import Lives
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.simulate import Day, Sending, days_of, simulate

if TYPE_CHECKING:
    from rekindle.landing.filling.simulation.campaigns import Campaign

FIRST = date(2024, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=20))
SENT_ON = FIRST + timedelta(days=8)
USERS = 1500
SOURCES = ("users", "items", "events", "orders", "contacts", "consents")


def sent(*days: date, every: int = 3, users: int = USERS, within: Days = DAYS) -> pa.Table:
    """Messages to some of the users, to those who were there before the first day."""
    there = Business.of(parameters(), users, within).people.registered_on < FIRST.toordinal()
    chosen = [user for user in range(0, users, every) if there[user]]
    return pa.Table.from_pylist([{"user_id": f"u{user}", "day": day} for day in days for user in chosen])


def passed(campaign: Campaign | None = None, users: int = USERS, days: Days = DAYS) -> list[Day]:
    return list(days_of(users, days, campaign))


def rows_of(lived: list[Day], source: str, *, of_sent: bool, until: date = DAYS.last) -> list[str]:
    """Rows in the order of their delivery, of those who are sent a message or of all others."""
    found = []
    for day in lived:
        rows = day.delivered[source].rows
        if "user_id" in rows.column_names:
            rows = rows.filter(pc.is_valid(rows["user_id"]))
            number = pc.utf8_slice_codeunits(rows["user_id"], 1).cast(pa.int64()).to_numpy()
            rows = rows.filter(pa.array((number % 3 == 0) == of_sent))
        found += [str(row) for row in rows.to_pylist() if day.day <= until]
    return found


@pytest.fixture(scope="module")
def quiet() -> list[Day]:
    return passed()


@pytest.fixture(scope="module")
def messaged() -> list[Day]:
    """Every third user is sent a message on one day, and some days later another."""
    return passed(really_sent(sent(SENT_ON, SENT_ON + timedelta(days=4))))


@pytest.mark.parametrize("source", SOURCES)
def test_a_message_changes_nothing_about_others_and_nothing_before_it(
    source: str, quiet: list[Day], messaged: list[Day]
):
    """Refunds of what was bought before are of the past, too."""
    before = SENT_ON - timedelta(days=1)

    assert rows_of(messaged, source, of_sent=False) == rows_of(quiet, source, of_sent=False)
    for lived in (quiet, messaged):
        assert rows_of(lived, source, of_sent=True, until=before) == rows_of(quiet, source, of_sent=True, until=before)


def test_a_message_changes_what_follows(quiet: list[Day], messaged: list[Day]):
    assert rows_of(messaged, "events", of_sent=True) != rows_of(quiet, "events", of_sent=True)
    # States go on within one object, so each day is asked for while it passes.
    counts = {
        bool(campaign): [
            day.state.was_active[::3].sum() for day in days_of(USERS, DAYS, campaign) if day.day >= SENT_ON
        ]
        for campaign in (None, really_sent(sent(SENT_ON, SENT_ON + timedelta(days=4))))
    }
    assert sum(counts[True]) > 1.02 * sum(counts[False])


def test_facts_of_one_are_of_one_life(messaged: list[Day]):
    """No line is refunded that was not sold, and no click is on what was not shown."""
    orders = pa.concat_tables([day.delivered["orders"].rows for day in messaged])
    orders = orders.filter(pc.invert(pc.ends_with(orders["order_id"], "-x")))
    refunds, sales = (orders.filter(pc.equal(orders["kind"], kind)) for kind in ("refund", "sale"))
    sold = set(zip(sales["order_id"].to_pylist(), sales["line_id"].to_pylist(), strict=True))
    refunded = list(zip(refunds["order_id"].to_pylist(), refunds["line_id"].to_pylist(), strict=True))
    keys = list(zip(*(orders[name].to_pylist() for name in ("order_id", "line_id", "kind", "amount")), strict=True))

    assert refunded
    assert sum((order, line[1:]) in sold for order, line in refunded) > 0.9 * len(refunded)
    assert len(set(keys)) == len({key[:3] for key in keys}), "an id is never of two facts"


def test_the_truth_of_a_campaign_comes_about():
    """Half of the users of a big business are sent a message: as many more return as its truth says."""
    users, days = 20_000, Days.between(FIRST, FIRST + timedelta(days=7))
    half = sent(FIRST, every=2, users=users, within=days)
    returned, told = {}, None
    for name, campaign in {"sent": really_sent(half), "none": None}.items():
        seen = np.zeros(users, bool)
        for day in days_of(users, days, campaign):
            told = day.effects if day.effects is not None else told
            if day.day < FIRST + timedelta(days=7):
                seen |= day.state.was_active
        returned[name] = seen
    assert told is not None
    caused = returned["sent"].astype(int) - returned["none"]
    expected = pc.sum(told["uplift"]).as_py()

    assert not caused[1::2].any()
    assert expected > 40
    assert abs(caused.sum() - expected) < 4 * np.sqrt(np.abs(caused).sum())
    assert pc.sum(told["value_uplift"]).as_py() > 0
    assert np.allclose(
        told["uplift"], np.array(told["return_probability_if_messaged"]) - np.array(told["return_probability"])
    )


def test_standing_campaigns_randomise_lapsed_users_who_want_messages(tmp_path, zone):
    done = simulate(4000, DAYS, tmp_path / "truth", sending=Sending(campaigns=True))
    paths = sorted((zone / "messages").glob("day=*/*.parquet"))
    messages = pq.read_table(paths, partitioning=None)
    treated = pc.equal(messages["arm"], "treatment").to_numpy()
    told = pq.read_table(tmp_path / "truth" / "effects.parquet")
    hours = pc.hour(messages["sent_at"]).to_numpy()

    assert {path.parent.name[4:] for path in paths} == {str(day) for day in DAYS if day.weekday() in (1, 3)}
    assert len(messages) > 60 and abs(treated.mean() - 0.5) < 4 * np.sqrt(0.25 / len(messages))
    assert len(told) == len(messages) and told["probability"].unique().to_pylist() == [0.5]
    assert set(told["user_id"].to_pylist()) == set(messages["user_id"].to_pylist())
    assert ((hours >= 4) & (hours < 20)).all()
    assert pc.count_distinct(messages["message_id"]).as_py() == len(messages)
    assert done.ledger["messages"]["delivered_rows"] == len(messages)


def test_users_answer_messages():
    everybody = sent(SENT_ON, every=1)
    quiet, asked = (
        pa.concat_tables([day.delivered["replies"].rows for day in passed(campaign)])
        for campaign in (None, really_sent(everybody))
    )

    assert len(asked) > len(quiet)


def test_a_business_goes_on_day_by_day_with_what_was_sent(tmp_path, zone, files):
    """As if it had been written at once; days that are not asked for stay as they are."""
    truth, messages = tmp_path / "truth", sent(SENT_ON)
    until = SENT_ON - timedelta(days=1)
    simulate(USERS, DAYS, truth, only=Days.between(FIRST, until))
    before = files(zone)
    for only in (Days.one(SENT_ON), Days.between(SENT_ON + timedelta(days=1), DAYS.last)):
        simulate(USERS, DAYS, truth, sending=Sending(sent=messages), only=only, without=["replies"])
    piecewise = files(zone)
    zone.rename(tmp_path / "piecewise")
    simulate(USERS, DAYS, tmp_path / "other truth", sending=Sending(sent=messages))
    at_once = files(zone)

    assert before.items() <= piecewise.items()
    assert not any(name.startswith("messages/") for name in piecewise)
    assert {name for name in at_once if name not in piecewise} == {
        name for name in at_once if name.startswith("replies/") and name.split("day=")[1][:10] >= str(SENT_ON)
    }
    assert piecewise.items() <= at_once.items()


def test_messages_may_say_when_they_were_sent():
    at = datetime(2024, 1, 9, 15, 30, tzinfo=UTC)
    table = pa.Table.from_pylist([{"user_id": "u0", "day": SENT_ON, "sent_at": at}])
    business = Business.of(parameters(), 10, DAYS)
    assigned = really_sent(table)(business, SENT_ON, Lives.begin(business))

    assert assigned is not None
    assert assigned.us.tolist() == [int(timedelta(hours=15, minutes=30).total_seconds()) * 1_000_000]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"user_id": "u99999", "day": FIRST}], "does not have"),
        ([{"user_id": "somebody", "day": FIRST}], "does not have"),
        ([{"user_id": "u1"}], "has no day"),
    ],
)
@pytest.mark.usefixtures("zone")
def test_refuses_messages_to_strangers(tmp_path, rows, said: str):
    with pytest.raises(InputError, match=said):
        simulate(100, DAYS, tmp_path / "truth", sending=Sending(sent=pa.Table.from_pylist(rows)))


@pytest.mark.usefixtures("zone")
def test_refuses_days_that_the_business_does_not_have(tmp_path):
    with pytest.raises(InputError, match="not all among"):
        simulate(100, DAYS, tmp_path / "truth", only=Days.one(DAYS.last + timedelta(days=1)))


@pytest.mark.usefixtures("zone")
def test_the_command_takes_what_was_sent(rekindle, tmp_path):
    pq.write_table(sent(SENT_ON, every=500), tmp_path / "sent.parquet")
    told = rekindle(
        *("simulate", "--users", USERS, "--days", len(DAYS), "--first", FIRST, "--truth", tmp_path / "truth"),
        *("--sent", tmp_path / "sent.parquet", "--from", SENT_ON, "--to", SENT_ON, "--without", "replies"),
    )

    assert told["simulated"] is True
    assert pq.read_table(tmp_path / "truth" / "effects.parquet").num_rows == sent(SENT_ON, every=500).num_rows
