"""Marts, built by dbt on a real Spark Connect server: arithmetic, ranges, and what readers see when a test fails."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest

from rekindle import dbt, records
from rekindle.days import Days
from rekindle.errors import CheckFailedError

pytestmark = [pytest.mark.platform, pytest.mark.usefixtures("world")]

FIRST, LAST = date(1999, 1, 1), date(1999, 2, 9)
"""Long before the days of any other test: states as of a day would see what another test has delivered before."""

LATENESS = 3
LABELS = [
    {"name": "active_1_7", "from_day": 1, "to_day": 7, "kind": "activity"},
    {"name": "net_revenue_1_10", "from_day": 1, "to_day": 10, "kind": "net_revenue"},
    {"name": "net_revenue_11_20", "from_day": 11, "to_day": 20, "kind": "net_revenue"},
]
WRITTEN = ("raw.users", "raw.deliveries", "features.user", "features.user_day")

TILE = {"is_first": True, "orders": 1, "sale_amount": Decimal("0.00"), "refund_amount": Decimal("0.00")}


def day(n):
    return FIRST + timedelta(days=n)


@pytest.fixture(scope="module")
def tiles():
    """Forty days of 12 users: late tiles, refunds on their own day, dates that two deliveries bring activity for."""
    dice = random.Random(7)  # noqa: S311 - a test's dice
    found = {}
    for delivered in range(40):
        for user in range(12):
            for _ in range(dice.choice([0, 0, 1, 1, 2])):
                happened = max(0, delivered - dice.choice([0, 0, 0, 1, 2, 3, 4, 9]))
                if (delivered, user, happened) in found:
                    continue
                found[delivered, user, happened] = TILE | {
                    "day": day(delivered),
                    "user_id": f"u{user}",
                    "activity_on": day(happened),
                    "is_first": (user, happened) not in {(u, h) for _, u, h in found},
                    "sale_amount": Decimal(dice.randrange(10_000)) / 100,
                    "refund_amount": Decimal(dice.choice([0, 0, 0, dice.randrange(12_000)])) / 100,
                }
    return list(found.values())


@pytest.fixture(scope="module")
def world(spark, tiles):
    """Features of each day for the users, of whom one registers on the tenth; marts that exist and are empty."""
    dbt.create_marts(spark)
    append(spark, "raw.deliveries", [{"day": day(n), "source": "orders"} for n in range(40)])
    append(spark, "features.user_day", tiles)
    append(
        spark,
        "raw.users",
        [
            {"day": FIRST, "user_id": f"u{user}", "registered_at": f"{day(10 if user == 0 else 0)} 10:00:00"}
            for user in range(12)
        ],
    )
    append(
        spark,
        "features.user",
        [
            {"day": day(n), "user_id": f"u{user}", "registered_on": day(0), "recency_days": (n + user) % 20}
            for n in range(40)
            for user in range(12)
            if user > 0 or n >= 10
        ],
    )
    yield
    for table in (*WRITTEN, *dbt.MARTS):
        spark.sql(f"DELETE FROM {table} WHERE day BETWEEN DATE'{FIRST}' AND DATE'{LAST}'")


@pytest.fixture(scope="module")
def history(spark, world):  # noqa: ARG001 - is what the history is built from
    """All forty days, built in one pass: the rows of each mart."""
    result = build(spark, 0, 39)
    assert set(result.released) == set(dbt.MARTS)
    return {mart: rows(spark, mart) for mart in dbt.MARTS}


def append(spark, table, rows):
    """Append rows that name only the columns a test is about; the others are null."""
    schema = spark.table(table).schema
    given = [field.name for field in schema if field.name in rows[0]]
    types = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in schema if field.name in given)
    types = types.replace("registered_at timestamp", "registered_at string")
    frame = spark.createDataFrame([tuple(row[name] for name in given) for row in rows], types)
    columns = [
        f"cast({field.name if field.name in given else 'null'} as {field.dataType.simpleString()}) as {field.name}"
        for field in schema
    ]
    frame.selectExpr(*columns).writeTo(table).append()


def build(spark, first, last):
    days = Days.between(day(first), day(last))
    return dbt.build(spark, days, records.start_run("backfill", days), LABELS)


def rows(spark, table, first=0, last=39):
    """A table's rows of some days, in an order, so that two states of it can be compared."""
    found = spark.sql(f"SELECT * FROM {table} WHERE day BETWEEN DATE'{day(first)}' AND DATE'{day(last)}'").collect()
    return sorted(found, key=str)


def branches(spark):
    return {row.name for mart in dbt.MARTS for row in spark.sql(f"SELECT name FROM lake.{mart}.refs").collect()}


def expected_labels(tiles, last):
    """Each label by its definition, tile by tile."""
    found = set()
    for label in LABELS:
        for user in range(12):
            for n in range(10 if user == 0 else 0, 40):
                known = n + label["to_day"] + LATENESS
                if known > last:
                    continue
                counted = [
                    tile
                    for tile in tiles
                    if tile["user_id"] == f"u{user}"
                    and day(n + label["from_day"]) <= tile["activity_on"] <= day(n + label["to_day"])
                    and tile["day"] <= day(known)
                ]
                if label["kind"] == "activity":
                    value = float(any(tile["is_first"] for tile in counted))
                else:
                    value = float(sum(tile["sale_amount"] - tile["refund_amount"] for tile in counted))
                found.add((day(known), day(n), f"u{user}", label["name"], value))
    return found


def test_units_of_all_models_pass():
    """The arithmetic of each model, beside the model."""
    invocation = dbt._invoke("unit_tests", "test", "--select", "test_type:unit")

    dbt._refuse(invocation)
    assert {unit.table for unit in invocation.nodes} >= {
        "marts.daily_activity",
        "marts.labels",
        "marts.recall_population",
        "marts.users",
        "staging.stg_events",
        "staging.stg_orders",
        "staging.stg_users",
    }


def test_a_range_equals_its_days_one_by_one(spark, history, tiles):
    """A history built in one pass is what the daily runs would have built; labels are what their definition says."""
    for n in (20, 21):
        build(spark, n, n)

    assert all(history.values())
    assert {tuple(row) for row in history["marts.labels"]} == expected_labels(tiles, last=39)
    assert {mart: rows(spark, mart, 0, 29) for mart in dbt.MARTS} == {
        mart: [row for row in found if row.day <= day(29)] for mart, found in history.items()
    }
    assert branches(spark) == {"main"}


@pytest.mark.usefixtures("history")
def test_a_mart_says_what_its_days_are_made_of():
    """A day of a mart is stale when one of these partitions changes; without a label nothing is read for labels."""
    inputs = {mart: records.builds(mart, day(25), day(25))[day(25)].inputs for mart in dbt.MARTS}

    assert {name: (used.from_day, used.to_day) for name, used in inputs["marts.labels"].items()} == {
        "features.user": (day(25 - 20 - LATENESS), day(25 - 7 - LATENESS)),
        "features.user_day": (day(25 - 10 - LATENESS), day(25)),
    }
    assert dbt.reads(day(25), [])["marts.labels"] == {}


@pytest.mark.usefixtures("history")
def test_a_failing_test_leaves_what_people_read(spark):
    """A user twice in the features of a day: the build names the test, and main shows the rows of before."""
    before = {mart: rows(spark, mart) for mart in dbt.MARTS}
    append(spark, "features.user", [{"day": day(30), "user_id": "u1", "registered_on": day(0), "recency_days": 9}])

    with pytest.raises(
        CheckFailedError, match=r"marts\.ltv_population failed its test \w+_once_a_day: 1 rows"
    ) as caught:
        build(spark, 30, 30)

    assert "dbt.log" in caught.value.todo
    assert {mart: rows(spark, mart) for mart in dbt.MARTS} == before
    assert branches(spark) == {"main"}
    failed = {check.rule for check in records.checks(day=day(30)) if check.outcome == "failed"}
    assert {"ltv_population_has_each_user_once_a_day", "recall_population_has_each_user_once_a_day"} <= failed


def test_a_day_without_rows_replaces_a_day_with_rows(spark, history):
    """The features of a day are taken back: what was built from them goes, other days stay."""
    spark.sql(f"DELETE FROM features.user WHERE day = DATE'{day(35)}'")
    build(spark, 35, 35)

    assert {row.day for row in history["marts.ltv_population"]} >= {day(34), day(35)}
    assert {row.day for row in rows(spark, "marts.ltv_population", 34, 36)} == {day(34), day(36)}
    assert {row.day for row in rows(spark, "marts.users", 34, 36)} == {day(34), day(36)}
    assert rows(spark, "marts.daily_activity", 35, 35)


def test_the_documentation_names_each_mart_and_what_its_columns_are():
    page = dbt.docs().read_text()

    assert [mart for mart in dbt.MARTS if mart.split(".")[1] not in page] == []
    assert "lapsed_days" in page
