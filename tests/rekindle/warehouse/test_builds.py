"""What was built from what, and what follows: staleness and what is to be built, from records in a real Postgres."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError
from rekindle.records import Build
from rekindle.warehouse import builds
from rekindle.warehouse.lineage import Graph, Reach, Table

if TYPE_CHECKING:
    from collections.abc import Callable

MONDAY = date(2024, 6, 3)
DAYS = tuple(MONDAY + timedelta(n) for n in range(7))


def reads(**reach: str) -> dict[str, Reach]:
    return {name.replace("_of_", "."): Reach(text) for name, text in reach.items()}


GRAPH = Graph.of(
    [
        Table("raw.orders", "ingest", {}),
        Table("raw.deliveries", "ingest", reads(raw_of_orders="day"), is_by_product=True),
        Table("tiles", "build", reads(raw_of_orders="day")),
        Table("windows", "build", reads(tiles="always")),
        Table("running", "build", reads(raw_of_orders="day"), own=Reach("1 days")),
        # Named so that the alphabet is the wrong order.
        Table("marts.a_second", "marts", reads(marts_of_z_first="2 days"), group="training"),
        Table("marts.z_first", "marts", reads(windows="day"), group="training"),
        Table("scores.chances", "score", reads(marts_of_a_second="day")),
        Table("marts.audience", "marts", reads(scores_of_chances="day"), group="permission"),
        Table("marts.activity", "marts", reads(raw_of_deliveries="day"), group="training"),
    ]
)


@pytest.fixture
def build(database) -> Callable[..., None]:  # noqa: ARG001 - builds are recorded in a database of the test's own
    """Record that a day of a table was built from days of others, or, with a content, that it was delivered."""

    def recorded(table: str, day: date, content: str | None = None, **inputs: tuple[date, date]) -> None:
        if content:
            records.record_builds([Build(f"raw.{table}", day, content, "run", None)])
        else:
            named = {name.replace("_of_", "."): window for name, window in inputs.items()}
            known = builds.before(GRAPH, table, {day: named})
            builds.record(known, table, Days.one(day), {day: named}, run_id="run", snapshot=1)

    return recorded


@pytest.fixture
def built(build) -> None:
    """Deliveries of three days, a tile of each but the last, and a window over all; nothing came on the second day."""
    for day in (DAYS[0], DAYS[2]):
        build("orders", day, "first")
    for day in DAYS[:2]:
        build("tiles", day, raw_of_orders=(day, day))
    build("windows", DAYS[2], tiles=(DAYS[0], DAYS[2]))
    build("windows", DAYS[0], tiles=(DAYS[0], DAYS[0]))


def stale() -> dict[str, list[date]]:
    return dict(builds.state(GRAPH).stale)


@pytest.mark.usefixtures("built")
def test_what_changes_while_it_is_read_makes_what_is_built_from_it_stale(build):
    read = {DAYS[0]: {"raw.orders": (DAYS[0], DAYS[0])}}
    known = builds.before(GRAPH, "tiles", read)
    build("orders", DAYS[0], "delivered while the tile was built")
    builds.record(known, "tiles", Days.one(DAYS[0]), read, run_id="run", snapshot=1)

    assert stale()["tiles"] == [DAYS[0]]


@pytest.mark.usefixtures("built")
def test_what_was_built_from_what_is_there_is_not_stale():
    assert stale() == {}


@pytest.mark.usefixtures("built")
def test_a_delivery_that_comes_again_makes_stale_what_was_built_from_it(build):
    build("orders", DAYS[0], "second")

    assert stale() == {"tiles": [DAYS[0]], "windows": [DAYS[0], DAYS[2]]}


@pytest.mark.usefixtures("built")
def test_a_delivery_that_was_looked_for_and_arrives_makes_stale(build):
    build("orders", DAYS[1], "late")

    assert stale() == {"tiles": [DAYS[1]], "windows": [DAYS[2]]}


@pytest.mark.usefixtures("built")
def test_an_input_that_is_built_for_the_first_time_makes_stale(build):
    build("tiles", DAYS[2], raw_of_orders=(DAYS[2], DAYS[2]))

    assert stale() == {"windows": [DAYS[2]]}


@pytest.mark.usefixtures("built")
def test_what_was_built_from_what_has_expired_is_never_built_again(build):
    """From what is left it would become another. What reads a table from its beginning is given what is kept of it."""
    build("orders", DAYS[0], "corrected")
    records.record_expiry("raw.orders", DAYS[1])
    state = builds.state(GRAPH, {"tiles": Days(DAYS[:2]), "running": Days(DAYS[:2])})

    assert state.stale == {}
    assert state.inputs_expired == {"tiles": [DAYS[0]], "running": [DAYS[0]]}
    assert state.absent == {"running": [DAYS[1]]}
    assert state.todo("tiles") is None


@pytest.mark.usefixtures("built")
def test_what_reads_only_what_is_kept_is_stale_as_ever(build):
    build("orders", DAYS[1], "arrived")
    records.record_expiry("raw.orders", DAYS[1])

    assert stale() == {"tiles": [DAYS[1]], "windows": [DAYS[2]]}


def test_what_has_expired_stays_so(database):  # noqa: ARG001 - it is recorded there
    records.record_expiry("raw.orders", DAYS[3])
    records.record_expiry("raw.orders", DAYS[1])

    assert records.expiries() == {"raw.orders": DAYS[3]}


@pytest.mark.usefixtures("built")
def test_a_delivery_that_comes_again_as_it_was_makes_nothing_stale(build):
    build("orders", DAYS[0], "first")

    assert stale() == {}


@pytest.mark.usefixtures("built")
def test_what_was_rebuilt_is_no_longer_stale(build):
    build("orders", DAYS[0], "second")
    build("tiles", DAYS[0], raw_of_orders=(DAYS[0], DAYS[0]))
    assert stale() == {"windows": [DAYS[0], DAYS[2]]}

    build("windows", DAYS[0], tiles=(DAYS[0], DAYS[0]))
    build("windows", DAYS[2], tiles=(DAYS[0], DAYS[2]))
    assert stale() == {}


@pytest.mark.usefixtures("built")
def test_a_mart_on_a_mart_and_a_mart_on_scores_are_stale_with_what_they_read(build):
    build("marts.z_first", DAYS[2], windows=(DAYS[2], DAYS[2]))
    build("marts.a_second", DAYS[2], marts_of_z_first=(DAYS[0], DAYS[2]))
    build("scores.chances", DAYS[2], marts_of_a_second=(DAYS[2], DAYS[2]))
    build("marts.audience", DAYS[2], scores_of_chances=(DAYS[2], DAYS[2]))
    assert stale() == {}

    build("orders", DAYS[0], "second")

    found = stale()
    later = ("marts.z_first", "marts.a_second", "scores.chances", "marts.audience")
    assert tuple(found) == ("tiles", "windows", *later)
    assert {table: found[table] for table in later} == {table: [DAYS[2]] for table in later}


def test_a_table_that_reads_its_own_yesterday_is_stale_from_the_first_stale_day_on(build):
    for n, day in enumerate(DAYS[:4]):
        build("orders", day, "first")
        own = {} if n == 0 else {"running": (DAYS[n - 1], DAYS[n - 1])}
        build("running", day, raw_of_orders=(day, day), **own)
    assert stale() == {}

    build("orders", DAYS[1], "second")

    assert stale() == {"running": list(DAYS[1:4])}


def test_what_is_built_from_the_ledger_is_stale_when_any_source_comes_again(build):
    build("orders", DAYS[0], "first")
    build("marts.activity", DAYS[0], raw_of_deliveries=(DAYS[0], DAYS[0]))
    assert stale() == {}

    build("orders", DAYS[0], "second")

    assert stale() == {"marts.activity": [DAYS[0]]}


@pytest.mark.usefixtures("built")
def test_what_will_be_built_makes_stale_what_was_built_without_it():
    """The tile of the third day is wanted: the window of the third day, built without it, is due again."""
    wanted = {"tiles": Days(DAYS[:3]), "windows": Days(DAYS[:3])}
    found = builds.state(GRAPH, wanted)

    assert found.todo("tiles") == Days.one(DAYS[2])
    assert found.todo("windows") == Days((DAYS[1], DAYS[2]))
    assert found.todo("marts.z_first") is None


@pytest.mark.usefixtures("built")
def test_what_is_stale_and_not_wanted_is_told_and_not_due(build):
    build("orders", DAYS[0], "second")
    found = builds.state(GRAPH, {"windows": Days.one(DAYS[2])})

    assert found.stale == {"tiles": [DAYS[0]], "windows": [DAYS[0], DAYS[2]]}
    assert found.todo("tiles") is None
    assert found.todo("windows") == Days.one(DAYS[2])


@pytest.mark.usefixtures("built")
def test_a_build_from_what_is_not_declared_is_refused_and_not_recorded(build):
    with pytest.raises(CheckFailedError, match=r"undeclared_input: tiles of 2024-06-05 reads raw\.orders"):
        build("tiles", DAYS[2], raw_of_orders=(DAYS[0], DAYS[2]))

    assert set(records.builds("tiles", *builds.ALWAYS)) == set(DAYS[:2])


@pytest.mark.usefixtures("built")
def test_a_partition_is_unchanged_until_an_input_is_another_or_is_built_again(build):
    """Also from the same deliveries: settings may have changed since. What is built later than its days read is of no concern."""
    assert builds.unchanged(GRAPH, "windows", DAYS[1]) is None
    before = builds.unchanged(GRAPH, "windows", DAYS[0])
    assert before is not None
    build("tiles", DAYS[3], raw_of_orders=(DAYS[3], DAYS[3]))
    assert builds.unchanged(GRAPH, "windows", DAYS[0]) == before

    build("tiles", DAYS[0], raw_of_orders=(DAYS[0], DAYS[0]))
    assert builds.state(GRAPH).stale == {}
    assert builds.unchanged(GRAPH, "windows", DAYS[0]) is None


@pytest.mark.usefixtures("built")
def test_what_reads_a_by_product_of_ingestion_is_as_new_as_what_has_landed(build):
    build("marts.activity", DAYS[0], raw_of_deliveries=(DAYS[0], DAYS[0]))
    assert builds.unchanged(GRAPH, "marts.activity", DAYS[0]) is not None

    build("orders", DAYS[0], "second")
    assert builds.unchanged(GRAPH, "marts.activity", DAYS[0]) is None


@pytest.mark.usefixtures("built")
def test_a_partition_whose_input_came_again_is_not_unchanged(build):
    build("orders", DAYS[0], "second")

    assert builds.unchanged(GRAPH, "tiles", DAYS[0]) is None
    assert builds.unchanged(GRAPH, "tiles", DAYS[1]) is not None
