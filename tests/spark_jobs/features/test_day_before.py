"""
A day from the day before: when it may be, what is read for it, and 60 days of it one by one.

That it comes to the same over drawn worlds is tested beside the definition, in test_features.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekindle import records
from rekindle.days import ONE_DAY, Days
from rekindle.landing.filling.simulation.parameters import parameters
from rekindle.landing.filling.simulation.simulate import simulate
from rekindle.records import Build
from rekindle.warehouse import builds, contracts, lineage
from spark_jobs.features import day_before, user, user_day, user_item_day

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spark_jobs.conftest import Warehouse

CONTRACT = contracts.load(user.TABLE)
DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 9, 12, tzinfo=UTC)


def is_within(activity_on: date, delivered_on: date, day: date, width: int | None, since: int) -> bool:
    """By the definition of a window, in days and not in columns."""
    first = date.min if width is None else day - timedelta(width + since)
    on = first < activity_on <= day - timedelta(since)
    return on and max(activity_on, delivered_on) <= day and (delivered_on - activity_on).days < user.YEAR


@given(st.integers(-1, 1200), st.integers(0, 1200), st.sampled_from(sorted(day_before.windows(CONTRACT), key=str)))
def test_a_tile_that_enters_or_leaves_is_of_the_day_or_at_an_edge(age: int, late: int, window: tuple[int | None, int]):
    """All other tiles are in a window on both days or on neither, and need not be read."""
    activity_on = DAY - timedelta(age)
    delivered_on = activity_on + timedelta(late - 1)
    is_moved = is_within(activity_on, delivered_on, DAY, *window) != is_within(
        activity_on, delivered_on, DAY - ONE_DAY, *window
    )
    edges = day_before.edges(CONTRACT, DAY)

    if is_moved and delivered_on <= DAY:
        assert delivered_on == DAY or activity_on in edges
        assert delivered_on >= day_before.read_from(CONTRACT, DAY)


def test_a_day_is_made_from_the_day_before_only_where_all_that_tiles_are_summed_up_to_adds_up():
    def without(name: str) -> contracts.Contract:
        columns = tuple(replace(c, adds_up=False) if c.name == name else c for c in CONTRACT.columns)
        return replace(CONTRACT, columns=columns)

    assert day_before.adds_up(CONTRACT)
    assert not day_before.adds_up(without("orders_28d"))
    assert not day_before.adds_up(without("event_counts_90d"))
    assert day_before.adds_up(without("tenure_days"))


def test_a_delivery_that_came_before_users_of_its_days_may_hold_whom_they_name(monkeypatch):
    """What was unknown was counted when it was loaded: users of the second day came last, and later days had known them."""
    days = [DAY + n * ONE_DAY for n in range(4)]
    at = {"raw.users": {0: 1, 2: 2, 1: 6}, "raw.events": {0: 3, 1: 4, 2: 5, 3: 7}, "raw.orders": {}}

    def builds(table: str, first: date, last: date) -> dict[date, Build]:
        built = {
            days[n]: Build(table, days[n], "", "", None, built_at=NOON + timedelta(hours=h))
            for n, h in at[table].items()
        }
        return {day: build for day, build in built.items() if first <= day <= last}

    monkeypatch.setattr(records, "builds", builds)

    assert day_before.loaded_before_users(days[-1]) == {days[1], days[2]}


def test_a_day_whose_rows_or_tiles_were_deleted_for_their_age_is_nothing_to_go_on_from(monkeypatch):
    """What it was built from stays recorded, and its snapshot may still be there: no rows would be taken for no users."""
    first_tiles = day_before.read_from(CONTRACT, DAY)
    kept_from: dict[str, date] = {}
    monkeypatch.setattr(records, "expiries", lambda: kept_from)
    monkeypatch.setattr(builds, "unchanged", lambda _graph, table, day: Build(table, day, "", "", 7))
    monkeypatch.setattr(day_before, "snapshot_says", lambda *_: day_before.definition())

    def stands_where(**kept: date) -> bool:
        kept_from.clear()
        kept_from.update({f"features.{name}": first for name, first in kept.items()})
        return day_before.stands(None, CONTRACT, DAY)

    assert stands_where()
    assert stands_where(user=DAY, user_day=first_tiles - ONE_DAY)
    assert not stands_where(user=DAY + ONE_DAY)
    assert not stands_where(user_day=first_tiles)


def test_a_tile_that_is_released_while_a_day_is_made_from_the_day_before_makes_it_stale(monkeypatch):
    """The day before stood when it was looked at, and what was made of it is not what the new tiles would make."""
    released: dict[tuple[str, date], Build] = {}

    def recorded(built: list[Build]) -> None:
        released.update({(b.table, b.day): b for b in built})

    def found(table: str, first: date, last: date) -> dict[date, Build]:
        return {day: b for (name, day), b in released.items() if name == table and first <= day <= last}

    def tile(build_id: str) -> None:
        recorded([Build("features.user_day", DAY - ONE_DAY, build_id, "", None)])

    def replaced(_spark, table, _rows, days, *, run_id, inputs, known, **_):
        known = known or builds.before(lineage.graph(), table, inputs)
        builds.record(known, table, days, inputs, run_id=run_id, snapshot=1)

    monkeypatch.setattr(records, "builds", found)
    monkeypatch.setattr(records, "record_builds", recorded)
    monkeypatch.setattr(records, "expiries", dict)
    monkeypatch.setattr(user, "replace_days", replaced)
    monkeypatch.setattr(day_before, "user", lambda *_: tile("released again") or "rows of what was before")
    tile("first")

    user.main(None, Days.one(DAY), "run")

    assert builds.state(lineage.graph()).stale[user.TABLE] == [DAY]


# One by one, on simulated days

USERS, HISTORY_DAYS, DAYS_IN_TURN = 80, 366, 60


@pytest.fixture(scope="module")
def business(warehouse: Warehouse) -> Days:
    """A small simulated business, loaded and tiled; the last day before the 60 has features."""
    first = parameters().first_day
    days = Days.between(first, first + timedelta(HISTORY_DAYS + DAYS_IN_TURN - 1))
    simulate(USERS, days)
    warehouse.ingest(days)
    for job in (user_day, user_item_day):
        warehouse.build(job.TABLE, days)
    warehouse.build(user.TABLE, Days.one(days.all[HISTORY_DAYS - 1]))
    return Days(days.all[HISTORY_DAYS:])


@pytest.mark.slow
def test_sixty_days_one_by_one_are_the_range_to_the_bit(
    business: Days, warehouse: Warehouse, record_property: Callable[[str, object], None]
):
    """Each is made from the one before: an error in any would be in all that follow."""
    made = [day_before.user(warehouse.spark, day) is not None for day in business.all[:1]]
    for day in business:
        warehouse.build(user.TABLE, Days.one(day))
        made.append(day_before.stands(warehouse.spark, CONTRACT, day))
    in_turn = warehouse.rows(user.TABLE, f"day >= DATE'{business.first}'")
    as_range = [row.asDict(recursive=True) for row in user.defined(warehouse.spark, business).collect()]

    def by_key(rows: list[dict[str, Any]]) -> dict[tuple[date, str], dict[str, Any]]:
        return {(row["day"], row["user_id"]): row for row in rows}

    assert all(made)
    assert by_key(in_turn) == {key: dict(row) for key, row in by_key(as_range).items()}
    record_property("figure", f"{len(in_turn):,} simulated rows of {len(business)} days one by one are the range's.")
