"""
Tiles and features against the reference, which shares no code with them.

Many small worlds, each full of what goes wrong, are one landing zone: one Spark plan computes them all, the reference
computes each apart.
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException

from rekindle import records
from rekindle.days import ONE_DAY, Days
from rekindle.progress import SILENT
from rekindle.settings import settings
from rekindle.warehouse import checks, lineage, migrate, tables
from rekindle.warehouse.builds import ALWAYS
from rekindle.workflow import due
from rekindle.workflow.backfill import rebuild_stale
from spark_jobs.features import day_before, user, user_day, user_item_day
from tests.bad_inputs import bad_input
from tests.reference import features
from tests.reference.ingestion import SOURCES, Row, World, counts
from tests.reference.worlds import ANCHORS, NOT_ACTIVITY, many_worlds, merge, prefixed, write_landing
from tests.spark_jobs.conftest import BUILT, Warehouse, empty, stale_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SEED = 20170601
WORLDS_PER_ANCHOR = 15
CONF = {"not_activity": NOT_ACTIVITY, "dedup_days": 90}

KEYS = {
    user_day.TABLE: ("day", "user_id", "activity_on"),
    user_item_day.TABLE: ("day", "user_id", "activity_on", "item_id"),
    user.TABLE: ("day", "user_id"),
}
RANGE_DAYS = 2
"""So many days are built as a range and one by one. How many times faster the range is is told, and nothing fails by it."""


STEPPED_DAYS = 2
"""So many days are made from the day before; sixty in turn are in test_day_before."""


@dataclass(frozen=True)
class Case:
    """Worlds that were drawn, where Spark loads and builds them, and counts that depend on the order of loading."""

    worlds: list[World]
    merged: World
    warehouse: Warehouse
    told_once: frozenset[str] = frozenset()

    @property
    def days(self) -> Days:
        return Days(tuple({day for source in SOURCES for day in self.merged.days(source)}))

    @property
    def scored(self) -> Days:
        return Days(tuple(self.merged.days_to_score))

    def build(self) -> None:
        for table in (user_day.TABLE, user_item_day.TABLE):
            self.warehouse.build(table, self.days)
        self.warehouse.build(user.TABLE, self.scored)

    def expected(self, compute: Callable[..., list[dict[str, Any]]], days: Iterable[date]) -> list[dict[str, Any]]:
        """What the reference says of each world by itself."""
        parts = [prefixed(one, number) for number, one in enumerate(self.worlds)]
        return [row for one in parts for day in days for row in compute(one, day, **CONF)]


def at_once(case: Case) -> None:
    """All deliveries as one range."""
    write_landing(case.merged, case.warehouse.landing)
    case.warehouse.ingest(case.days)
    case.build()


def in_any_order(case: Case) -> None:
    """Half of the deliveries, drawn by lot, as they were at first; then the others, and what was delivered again."""
    write_landing(case.merged, case.warehouse.landing, version=0)
    lot = random.Random(SEED)  # noqa: S311 - a lot, not a secret
    case.warehouse.ingest(Days(tuple(lot.sample(case.days.all, len(case.days) // 2))))
    case.build()
    write_landing(case.merged, case.warehouse.landing)
    case.warehouse.ingest(case.days)
    assert case.warehouse.rebuild_stale()


@pytest.fixture(scope="module", autouse=True)
def uneven_weeks() -> Iterator[None]:
    """Users of small worlds come and go as no shop's do: no row count is judged by the week before."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(checks.days, "MIN_HISTORY_DAYS", checks.days.HISTORY_DAYS + 1)
        yield


@pytest.fixture(scope="module", autouse=True)
def spoilt_deliveries() -> Iterator[None]:
    """Worlds are full of what goes wrong: no delivery is refused for the share of rows that cannot be used."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("REKINDLE_QUARANTINE_STOP_SHARE", "1")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="module", params=[at_once, in_any_order], ids=lambda way: way.__name__)
def case(request: pytest.FixtureRequest, warehouse: Warehouse) -> Case:
    """Worlds that came in one of two ways, and must come to the same."""
    empty(warehouse.spark)
    seed = SEED + 10 * request.param_index
    # In any order, everything is built twice: one anchor, so that it takes as long.
    anchors = ANCHORS[2:] if request.param is in_any_order else ANCHORS[:2]
    drawn = [many_worlds(seed + n, WORLDS_PER_ANCHOR, anchor) for n, anchor in enumerate(anchors)]
    worlds = list(chain.from_iterable(drawn))
    # Who was unknown is told as of the loading: an unknown user is a reason to load the users first.
    told_once = frozenset({"unknown_user_rows"} if request.param is in_any_order else ())
    drawn = Case(worlds, merge(worlds), warehouse, told_once)
    request.param(drawn)
    return drawn


def differences(
    found: Iterable[dict[str, Any]], expected: Iterable[dict[str, Any]], key: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """Rows and cells that differ: doubles by more than 1e-9 of their size, all else at all."""
    mine = {tuple(row[name] for name in key): row for row in found}
    theirs = {tuple(row[name] for name in key): row for row in expected}
    lonely = [(place, "is", "in", "one only") for place in sorted(set(mine) ^ set(theirs), key=str)]
    return lonely + [
        (place, column, mine[place][column], value)
        for place in sorted(set(mine) & set(theirs), key=str)
        for column, value in theirs[place].items()
        if not same(mine[place][column], value)
    ]


def same(found: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


def in_reach(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tiles that can enter a window: older ones are cut off where they look for what was there before them."""
    return [row for row in rows if (row["day"] - row["activity_on"]).days < user_day.LONGEST_WINDOW_DAYS]


def test_tiles_that_add_up_are_those_of_the_reference(case: Case):
    expected = in_reach(case.expected(features.user_day_tiles, case.days))

    assert len(expected) > 5 * len(case.worlds)
    assert differences(in_reach(case.warehouse.rows(user_day.TABLE)), expected, KEYS[user_day.TABLE]) == []


def test_tiles_of_items_are_those_of_the_reference(case: Case):
    expected = case.expected(features.user_item_day_tiles, case.days)

    assert len(expected) > 2 * len(case.worlds)
    assert differences(case.warehouse.rows(user_item_day.TABLE), expected, KEYS[user_item_day.TABLE]) == []


@bad_input("an event exactly at midnight after `day`", "29 February", "year end", gets="fine")
def test_features_are_those_of_the_reference(case: Case):
    """Integers, decimals and maps are equal, doubles to 1e-9, and there is no row more or less."""
    expected = case.expected(features.user_features, case.scored)
    found = case.warehouse.rows(user.TABLE)

    assert len(expected) > 2 * len(case.worlds)
    assert set(found[0]) == set(expected[0])
    assert differences(found, expected, KEYS[user.TABLE]) == []


@pytest.mark.parametrize("case", [at_once], indirect=True)
def test_a_day_from_the_day_before_is_the_defined_one_to_the_bit(
    case: Case, record_property: Callable[[str, object], None]
):
    """Of the last scored days whose day before is scored too; all of them were built by the definition, as one range."""
    in_turn = [day for day in case.scored if day - ONE_DAY in case.scored.all]
    spark, days = case.warehouse.spark, in_turn[-STEPPED_DAYS:]
    rows = 0
    for day in days:
        stepped = day_before.user(spark, day)
        assert stepped is not None, f"{day - ONE_DAY} does not stand"
        found = [row.asDict(recursive=True) for row in stepped.collect()]
        expected = case.warehouse.rows(user.TABLE, f"day = DATE'{day}'")
        assert unequal(found, expected) == []
        rows += len(found)

    assert rows > len(case.worlds)
    record_property("figure", f"{rows} rows of {len(days)} days are the same from the day before as by definition.")


def unequal(found: Iterable[dict[str, Any]], expected: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows and cells of features that are not the very same."""
    mine, theirs = ({row["user_id"]: row for row in rows} for rows in (found, expected))
    lonely = [(user_id, "is", "in", "one only") for user_id in sorted(set(mine) ^ set(theirs))]
    return lonely + [
        (user_id, name, mine[user_id][name], value)
        for user_id in set(mine) & set(theirs)
        for name, value in theirs[user_id].items()
        if mine[user_id][name] != value
    ]


def test_deliveries_are_counted_as_by_the_reference(case: Case):
    expected: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    for number, one in enumerate(case.worlds):
        for source, day in one.deliveries:
            expected[source, day].update(counts(prefixed(one, number), source, day, dedup_days=CONF["dedup_days"]))
    found = {(row["source"], row["day"]): row for row in case.warehouse.rows("raw.deliveries")}

    assert set(found) == set(expected)
    assert [
        (place, name, found[place][name], count)
        for place, told in expected.items()
        for name, count in told.items()
        if name not in case.told_once and found[place][name] != count
    ] == []


@pytest.mark.usefixtures("case")
def test_nothing_is_stale_when_it_was_rebuilt():
    assert stale_features() == {}


@pytest.mark.slow
@pytest.mark.parametrize("case", [at_once], indirect=True)
def test_a_range_is_its_days_one_by_one(case: Case, record_property: Callable[[str, object], None]):
    days = Days(case.days.all[-RANGE_DAYS:])
    in_range = tables.day_in(days)

    def built(table: str) -> list[dict[str, Any]]:
        return [row.asDict(recursive=True) for row in case.warehouse.spark.table(table).where(in_range).collect()]

    seconds = {}
    for table in BUILT:
        began = time.monotonic()
        case.warehouse.build(table, days)
        as_range, middle = built(table), time.monotonic()
        for day in days:
            case.warehouse.build(table, Days.one(day))
        one_by_one, ended = built(table), time.monotonic()
        seconds[table] = middle - began, ended - middle

        assert as_range
        assert differences(as_range, one_by_one, KEYS[table]) == []
    fast, slow = (sum(column) for column in zip(*seconds.values(), strict=True))
    record_property(
        "figure",
        f"A range of {RANGE_DAYS} days is built {slow / fast:.1f} times faster than its days one by one "
        f"({', '.join(f'{table} {one / whole:.1f}' for table, (whole, one) in seconds.items())}).",
    )


@pytest.mark.parametrize("case", [at_once], indirect=True)
def test_features_of_a_day_open_no_file_outside_their_windows(case: Case, tmp_path: Path):
    """All other files are out of reach while the features of a day are computed, those of events and orders as well."""
    day = ANCHORS[0]
    stored = {row["user_id"]: row for row in case.warehouse.rows(user.TABLE, f"day = DATE'{day}'")}
    needed = lineage.graph().windows(user.TABLE, day)
    warehouse = settings().home / "warehouse"
    outside = [
        (table, partition)
        for table in ("raw.users", "raw.events", "raw.orders", "raw.items", *BUILT)
        for partition in warehouse.joinpath(*table.split("."), "data").glob("day=*")
        for first, last in [needed.get(table, (date.max, date.max))]
        if not first <= date.fromisoformat(partition.name.removeprefix("day=")) <= last
    ]
    assert {table for table, _ in outside} > set(needed)
    moved = [(shutil.move(there, tmp_path / f"{table} {there.name}"), there) for table, there in outside]
    try:
        with pytest.raises(PySparkException, match="does not exist"):
            case.warehouse.rows(user_day.TABLE)
        plan = user.user(*user.inputs(case.warehouse.spark, Days.one(day)))
        computed = [row.asDict(recursive=True) for row in plan.collect()]
    finally:
        for here, there in moved:
            shutil.move(here, there)

    assert differences(computed, stored.values(), KEYS[user.TABLE]) == []


# Staleness, by hand


FIRST = date(2021, 3, 1)
NINTH = FIRST + 8 * ONE_DAY


def days_of(*numbers: int) -> list[date]:
    """The n-th days of the small shop, counted from 1."""
    return [FIRST + (n - 1) * ONE_DAY for n in numbers]


def sale(order_id: str, day: date, amount: str = "10.00") -> Row:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    line = {"order_id": order_id, "line_id": "0", "user_id": "ada", "occurred_at": at, "kind": "sale"}
    return Row(line | {"amount": Decimal(amount), "currency": "USD", "item_id": "tea"})


def small_shop() -> World:
    """Ada registers on the first day and buys on each of nine but the third; days 2, 4, 6 and 9 are scored."""
    at = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    ada = {"user_id": "ada", "registered_at": at, "country": None, "timezone": None, "channel": None}
    shop = World(days_to_score=days_of(2, 4, 6, 9))
    for day in Days.between(FIRST, NINTH):
        shop.deliveries["users", day] = [[("a", [Row(ada | {"attributes": None})])] if day == FIRST else []]
        shop.deliveries["orders", day] = [[("a", [sale(f"o{day}", day)])]]
    return shop


def test_what_a_delivery_changes_is_stale_until_it_is_rebuilt(warehouse: Warehouse):
    """
    The delivery of the fifth day comes again, and that of the third, which was absent, arrives.

    A delivery may hold the first minutes of the next day, so the tiles of a day look at the delivery before as well.
    """
    empty(warehouse.spark)
    shutil.rmtree(warehouse.landing)
    shop = small_shop()
    write_landing(shop, warehouse.landing)
    third, fifth = days_of(3, 5)
    (warehouse.landing / "orders" / f"day={third}" / "_SUCCESS").unlink()
    case = Case([shop], shop, warehouse)
    migrate.create_marts(warehouse.spark)
    warehouse.ingest(case.days, ("users", "orders"))
    case.build()
    assert stale_features() == {}

    shop.deliveries["orders", fifth].append([("a", [sale("other", fifth, "7.00")])])
    write_landing(shop, warehouse.landing)
    warehouse.ingest(Days.one(fifth), ("orders",))
    assert stale_features() == {
        user_day.TABLE: days_of(5, 6),
        user_item_day.TABLE: [fifth],
        user.TABLE: days_of(6, 9),
    }

    assert due.redelivered() == {"orders": [third]}
    before = {table: records.builds(table, *ALWAYS) for table in BUILT}
    told = rebuild_stale(lambda _line: None, SILENT)
    assert told.built == {
        "raw.orders": 1,
        user_day.TABLE: 4,
        user_item_day.TABLE: 2,
        user.TABLE: 3,
        "marts.training": 7,
        # What this history was built without.
        **dict.fromkeys(("campaigns.assignment", "permission.numbers", "permission.opt_outs", "marts.campaigns"), 7),
    }
    after = {table: records.builds(table, *ALWAYS) for table in BUILT}
    assert {t: [day for day in after[t] if after[t][day].run_id != before[t][day].run_id] for t in BUILT} == {
        user_day.TABLE: days_of(3, 4, 5, 6),
        user_item_day.TABLE: [third, fifth],
        user.TABLE: days_of(4, 6, 9),
    }
    assert due.stale_partitions() == {}
    assert due.redelivered() == {}
    expected = [row for day in shop.days_to_score for row in features.user_features(shop, day, **CONF)]
    assert expected[-1]["sale_amount_28d"] == Decimal("87.00")
    assert differences(warehouse.rows(user.TABLE), expected, KEYS[user.TABLE]) == []
