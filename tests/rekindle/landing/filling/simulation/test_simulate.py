"""The landing zone that a simulation leaves: the same every time, under the law, and never mixed with anything else."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.simulation import simulate as running
from rekindle.landing.filling.simulation.chance import Chance
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.simulate import days_of, simulate
from rekindle.landing.formats import Columns, parquet_texts
from rekindle.warehouse.contracts import landing_contract
from tests.reference import ingestion as reference

FIRST = date(2024, 1, 1)
DAYS = Days.between(FIRST, FIRST + timedelta(days=13))
USERS = 400
COMMITTED = {
    "users": "b82f6235202f1466",
    "items": "b0d751f9f3301efd",
    "events": "e1e1e1179753a428",
    "orders": "271db1efac54be3f",
}
"""Digests of what these users do, from before there were others."""


def test_the_seed_is_drawn_and_not_chosen():
    conf = parameters()

    assert conf.seed == int(hashlib.sha256(conf.seed_sentence.encode()).hexdigest()[:16], 16)


def test_further_sources_leave_the_first_ones_as_they_were_committed():
    """Whoever changes one of these prints each published figure before and after: see conf/simulation.yml."""
    digests = {source: hashlib.sha256() for source in COMMITTED}
    for passed in days_of(USERS, DAYS):
        for source, digest in digests.items():
            digest.update(str(passed.delivered[source].rows.to_pylist()).encode())

    assert {source: digest.hexdigest()[:16] for source, digest in digests.items()} == COMMITTED


def test_the_same_command_writes_the_same_bytes(rekindle, zone, files, tmp_path):
    """Also into another landing zone; and a second time nothing is written."""
    told = rekindle("simulate", "--users", USERS, "--days", len(DAYS), "--first", FIRST, "--truth", tmp_path / "truth")
    before, truth = files(zone), files(tmp_path / "truth")
    again = simulate(USERS, DAYS, tmp_path / "truth")
    first = zone.rename(tmp_path / "first")
    simulate(USERS, DAYS, tmp_path / "second truth")

    assert told["simulated"] is True and "Simulated" in told["notes"][0]
    assert {written.unchanged for written in again.written} == {len(DAYS)}
    assert files(zone) == files(first) == before
    assert files(tmp_path / "second truth") == files(tmp_path / "truth") == truth
    assert sorted(truth) == ["day=2024-01-07.parquet", "day=2024-01-14.parquet", "ledger.parquet", "reach.parquet"]
    assert (zone / "SAMPLE").read_text(encoding="utf-8").startswith("Simulated")


def test_more_users_change_nothing_about_the_others():
    def rows_of_the_first(users):
        found = {}
        for passed in days_of(users, DAYS):
            for source in ("users", "events", "orders"):
                rows = passed.delivered[source].rows
                numbers = pc.utf8_slice_codeunits(rows["user_id"], 1).cast("int64")
                rows = rows.filter(pc.less(numbers, USERS)).to_pylist()
                found[passed.day, source] = sorted(map(str, rows))
            if passed.truth is not None:
                found[passed.day, "truth"] = list(map(str, passed.truth.slice(0, 200).to_pylist()))
        return found

    few = rows_of_the_first(USERS)
    assert rows_of_the_first(3 * USERS) == few
    assert sum(map(len, few.values())) > 2000


def test_streams_and_lots_of_other_names_have_nothing_in_common():
    chance = Chance(parameters().seed)
    keys = np.arange(10_000, dtype="uint64")
    lots = {name: chance.lots(keys, name) for name in ("late", "repeated")}
    draws = {name: chance.stream(name, FIRST).random(10_000) for name in ("orders", "events")}

    for one, other in (lots.values(), draws.values()):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.05
        assert np.histogram(one, 10, (0, 1))[0] == pytest.approx(np.full(10, 1000), abs=130)
    assert (chance.lots(keys[::-1], "late")[::-1] == lots["late"]).all()
    assert (chance.stream("orders", FIRST).random(50) == draws["orders"][:50]).all()


def test_ingestion_finds_what_the_ledger_says(zone, tmp_path, monkeypatch):
    """Each row is read as the reference reads texts: all are valid but those that were spoilt, and facts never differ."""
    monkeypatch.setattr(running, "parameters", lambda: worse(parameters()))
    done = simulate(USERS, DAYS, tmp_path / "truth")
    for source in ("events", "orders"):
        columns = Columns.of({c.name: c.type for c in landing_contract(source).delivered})
        kept, duplicates, reasons = {}, 0, []
        for day in DAYS:
            path = zone / source / f"day={day}" / f"{source}.parquet"
            read, seen = parquet_texts(path.read_bytes(), columns), set()
            assert not read.broken
            for cells in read.texts.to_pylist():
                values, reason = reference.read_row(source, cells, day)
                if reason:
                    reasons.append(reason)
                    continue
                identity = reference.identity(source, values)
                assert kept.setdefault(identity, values) == values
                duplicates += identity in seen
                seen.add(identity)
        figures = done.ledger[source]

        assert duplicates == figures["duplicate_rows"] > 0
        assert len(reasons) == figures["unusable_rows"] > 0
        assert len(set(reasons)) > 1


def worse(conf):
    """More of what goes wrong, so that few users show all of it."""
    delivery = conf.delivery.model_copy(update={"repeated_share": 0.05, "invalid_share": 0.05})
    return conf.model_copy(update={"delivery": delivery})


def test_where_nothing_is_late_each_fact_is_delivered_on_its_day(zone, tmp_path):
    conf = parameters()
    punctual = conf.delivery.model_copy(update={"late_share": 0.0, "repeated_share": 0.0, "invalid_share": 0.0})
    simulate(USERS, DAYS, tmp_path / "truth", conf=conf.model_copy(update={"delivery": punctual}))
    for day in DAYS:
        events = pq.read_table(zone / "events" / f"day={day}" / "events.parquet", partitioning=None)

        assert pc.unique(events["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32())).to_pylist() == [day]


def test_states_keep_their_contracts(zone, tmp_path):
    simulate(USERS, DAYS, tmp_path / "truth")
    users, items = (
        pq.read_table([zone / source / f"day={day}" / f"{source}.parquet" for day in days], partitioning=None)
        for source, days in (("users", DAYS), ("items", [FIRST]))
    )

    assert pc.count_distinct(users["user_id"]).as_py() == len(users) == USERS
    assert users["registered_at"].null_count == users["country"].null_count == 0
    assert set(users["country"].to_pylist()) <= set(parameters().population.countries)
    assert {key for row in users["attributes"].to_pylist() for key, _ in row} == {"age", "device", "interest", "plan"}
    assert pc.count_distinct(items["item_id"]).as_py() == len(items) > 1000


def test_refuses_a_landing_zone_that_has_anything_else(rekindle, history, zone, files):
    rekindle("import", "orders", history("orders.csv", HEADER, "a,u1,2024-01-01T10:00:00Z,sale,1,USD"))
    before = files(zone)

    with pytest.raises(InputError, match="not simulated") as refused:
        rekindle("simulate", "--users", 50, "--days", 3)
    assert refused.value.code == "already_delivered"
    assert files(zone) == before


HEADER = "order_id,user_id,occurred_at,kind,amount,currency"


def test_refuses_other_contents_and_leaves_both_zone_and_truth(zone, files, tmp_path):
    truth = tmp_path / "truth"
    simulate(USERS, DAYS, truth)
    before = files(zone), files(truth)

    with pytest.raises(InputError, match="other contents"):
        simulate(USERS + 1, DAYS, truth)
    with pytest.raises(InputError, match="another simulation"):
        simulate(USERS, Days.between(FIRST, FIRST + timedelta(days=2)), truth)
    assert (files(zone), files(truth)) == before
    assert not list(truth.glob(".*"))
    simulate(USERS + 1, DAYS, truth, replace=True)
    assert files(truth) != before[1]


def test_refuses_to_tell_the_truth_where_jobs_read(zone):
    with pytest.raises(InputError, match="where jobs read"):
        simulate(10, DAYS, zone / "truth")


@pytest.mark.parametrize("users", [0, -3, 100_000_001])
@pytest.mark.usefixtures("zone")
def test_refuses_a_number_of_users_that_cannot_be(users):
    with pytest.raises(InputError, match="cannot be simulated"):
        simulate(users, DAYS)


@pytest.mark.parametrize("first", [date(1990, 1, 1), date(2190, 12, 25)])
@pytest.mark.usefixtures("zone")
def test_refuses_days_whose_times_ingestion_takes_for_mistakes(first):
    with pytest.raises(InputError, match="cannot be simulated"):
        simulate(USERS, Days.between(first, first + timedelta(days=13)))


def test_a_second_simulation_does_not_disturb_one_that_is_under_way(zone, tmp_path, monkeypatch):
    truth, under_way = tmp_path / "truth", running.days_of

    def disturbed(*arguments):
        for passed in under_way(*arguments):
            if passed.day == DAYS.last:
                with pytest.raises(InputError, match="Another process"):
                    simulate(USERS, DAYS, truth)
            yield passed

    monkeypatch.setattr(running, "days_of", disturbed)
    simulate(USERS, DAYS, truth)

    assert len(list(truth.glob("*.parquet"))) == 4
    assert len(list(zone.glob("orders/day=*/_SUCCESS"))) == len(DAYS)
