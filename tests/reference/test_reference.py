"""The reference itself, by hand: each case is small enough to be checked in the head."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.bad_inputs import bad_input
from tests.reference import features
from tests.reference.ingestion import ONE_DAY, Files, Row, Values, World, counts, ingest, loaded
from tests.reference.worlds import NOT_ACTIVITY, many_worlds, merge, prefixed, world, write_landing
from tests.traps import trap

DAY = date(2017, 6, 10)
CONF = {"not_activity": NOT_ACTIVITY, "dedup_days": 90}
drawn = settings(max_examples=25, database=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(drawn, max_examples=8)


def at(day: date, clock: str = "12:00:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}+00:00")


def back(days: int) -> date:
    return DAY - days * ONE_DAY


def user(**changes: object) -> Values:
    ada = {"user_id": "ada", "registered_at": at(back(400)), "country": "GB", "timezone": None, "channel": "shop"}
    return ada | {"attributes": None} | changes


def visit(event_id: str, on: date = DAY, **changes: object) -> Values:
    event = {"event_id": event_id, "user_id": "ada", "occurred_at": at(on), "type": "visit", "item_id": None}
    return event | {"session_id": None, "value": None, "properties": None} | changes


def login(event_id: str, item_id: str) -> Values:
    return visit(event_id, type="login", item_id=item_id)


def sale(order_id: str, line_id: str | None = "0", on: date = DAY, **changes: object) -> Values:
    line = {"order_id": order_id, "line_id": line_id, "user_id": "ada", "occurred_at": at(on), "kind": "sale"}
    return line | {"amount": Decimal("10.00"), "currency": "USD", "item_id": None} | changes


def item(item_id: str, category: str | None) -> Values:
    return {"item_id": item_id, "category": category, "title": None, "attributes": None}


def of(source: str, deliveries: dict[date, list[Values]]) -> World:
    return World({(source, day): [[("a", [Row(row) for row in rows])]] for day, rows in deliveries.items()})


def together(*worlds: World) -> World:
    """One world of several sources, in which ada registered long ago."""
    known = of("users", {back(400): [user()]}).deliveries
    return World({key: contents for one in (World(known), *worlds) for key, contents in one.deliveries.items()})


def events(deliveries: dict[date, list[Values]]) -> World:
    return together(of("events", deliveries))


def orders(deliveries: dict[date, list[Values]]) -> World:
    return together(of("orders", deliveries))


def features_of_ada(one: World, day: date = DAY) -> dict:
    (row,) = features.user_features(one, day, **CONF)
    return row


def loaded_ids(source: str, *files: tuple[str, list[Values]]) -> tuple[list, int, int]:
    found = ingest(source, [(name, [Row(values) for values in rows]) for name, rows in files])
    return found.loaded, len(found.duplicates), len(found.conflicts)


# Within a delivery


def test_the_first_row_of_a_fact_is_loaded_by_file_name_and_then_row():
    first, other = visit("e", value=1.0), visit("e", value=2.0)

    assert loaded_ids("events", ("b", [other]), ("a", [first, first, other])) == ([first], 1, 2)


def test_the_last_row_of_a_state_is_loaded_by_file_name_and_then_row():
    german, british = user(country="DE"), user(country="GB")

    assert loaded_ids("users", ("b", [german, british, german]), ("a", [british])) == ([german], 1, 2)


def test_one_id_on_two_dates_is_two_facts():
    assert loaded_ids("events", ("a", [visit("e"), visit("e", back(1))]))[1:] == (0, 0)


def test_a_refund_is_no_duplicate_of_the_sale_of_the_same_line():
    assert loaded_ids("orders", ("a", [sale("o"), sale("o", kind="refund")]))[1:] == (0, 0)


def test_a_line_without_number_is_line_0():
    assert loaded_ids("orders", ("a", [sale("o", None), sale("o", "0")])) == ([sale("o", "0")], 1, 0)


def test_an_invalid_row_is_neither_loaded_nor_the_first():
    found = ingest("events", [("a", [Row(visit("e", type=None), is_valid=False), Row(visit("e"))])])

    assert (found.loaded, found.invalid, found.conflicts) == ([visit("e")], [visit("e", type=None)], [])


# Across deliveries


@pytest.mark.parametrize(("days_later", "visits"), [(1, 1), (90, 1), (91, 2)])
def test_a_repeat_is_recognised_up_to_dedup_days_later(days_later: int, visits: int):
    repeated = events({back(91): [visit("e", back(91))], back(91 - days_later): [visit("e", back(91))]})

    assert features_of_ada(repeated)["event_counts_365d"] == {"visit": visits}


def test_a_repeat_that_was_passed_over_still_counts_as_delivered():
    """The third delivery is 120 days after the first, but 60 after the second."""
    thrice = events({back(n): [visit("e", back(120))] for n in (120, 60, 0)})

    assert features_of_ada(thrice)["event_counts_365d"] == {"visit": 1}


@bad_input("the same id and date again on a later day, other payload", gets="fine")
def test_the_first_delivery_wins_with_its_payload():
    conflicting = orders({back(2): [sale("o", on=back(2))], DAY: [sale("o", on=back(2), amount=Decimal("99.00"))]})

    assert features_of_ada(conflicting)["sale_amount_7d"] == Decimal("10.00")
    assert features_of_ada(together(of("orders", {DAY: [sale("o", on=back(2))]})))["sale_amount_7d"] == Decimal("10.00")


@pytest.mark.parametrize("clock", ["00:00:00", "00:03:00", "00:05:00"])
def test_a_repeat_of_a_row_that_came_early_is_recognised(clock: str):
    early = visit("e", occurred_at=at(DAY, clock))

    assert features_of_ada(events({back(1): [early], DAY: [early]}))["event_counts_7d"] == {"visit": 1}


def test_a_redelivery_replaces_the_delivery_whole():
    replaced = events({back(1): [visit("kept elsewhere", back(1))], DAY: [visit("kept elsewhere", back(1))]})
    replaced.deliveries["events", back(1)].append([])

    assert [tile["day"] for day in (back(1), DAY) for tile in features.user_day_tiles(replaced, day, **CONF)] == [DAY]


def test_counts_are_those_of_the_delivery():
    delivered = [visit("e", back(1)), visit("e", back(1)), visit("e", back(1), value=1.0), visit("f", user_id="eve")]
    counted = events({back(1): [visit("e", back(1))], DAY: delivered})
    counted.deliveries["events", DAY][0].append(("b", [Row(visit("g", type=None), is_valid=False)]))

    assert counts(counted, "events", DAY, dedup_days=90) == {
        "delivered_rows": 5,
        "loaded_rows": 2,
        "duplicate_rows": 1,
        "quarantined_rows": 2,
        "repeated_rows": 1,
        "late_rows": 1,
        "unknown_user_rows": 1,
    }


# What is known, and when


def test_a_late_row_is_unknown_until_its_delivery():
    late = events({DAY: [visit("e", back(2))]})

    assert features_of_ada(late, back(1))["active_days_7d"] == 0
    assert features_of_ada(late)["recency_days"] == 2


def test_a_row_that_came_early_enters_on_its_own_day():
    early = events({back(1): [visit("e", occurred_at=at(DAY, "00:03:00"))]})

    assert features_of_ada(early, back(1))["recency_days"] is None
    assert features_of_ada(early)["active_days_1d"] == 1


@bad_input("an event exactly at midnight after `day`", gets="fine")
def test_midnight_belongs_to_the_day_that_begins():
    moments = [at(DAY, "00:00:00"), at(DAY, "00:00:00") - timedelta(microseconds=1)]
    midnight = events({DAY: [visit(f"e{n}", occurred_at=moment) for n, moment in enumerate(moments)]})

    assert [tile["activity_on"] for tile in features.user_day_tiles(midnight, DAY, **CONF)] == [back(1), DAY]


@pytest.mark.parametrize("days", features.WINDOWS)
def test_a_window_ends_on_the_day_and_has_as_many_dates_as_its_name_says(days: int):
    edges = orders({back(n): [sale(f"o{n}", on=back(n))] for n in (days - 1, days)})

    assert features_of_ada(edges)[f"sale_amount_{days}d"] == Decimal("10.00")


@bad_input("29 February", gets="fine")
def test_29_february_is_a_date_like_any_other():
    leap, scored = date(2016, 2, 29), date(2016, 3, 6)
    row = features_of_ada(
        together(of("users", {leap: [user(registered_at=at(leap))]}), events({leap: [visit("e", leap)]})), scored
    )

    assert (row["tenure_days"], row["recency_days"], row["active_days_7d"]) == (6, 6, 1)


def test_a_session_lasts_from_its_first_to_its_last_event_of_a_date_and_delivery():
    """One that lasts past midnight, or of which an event comes late, counts in both."""

    def clicked(event_id: str, on: date, clock: str, session_id: str | None = "s") -> Values:
        return visit(event_id, occurred_at=at(on, clock), session_id=session_id)

    before = [
        ("a", "10:00:00.9"),
        ("b", "10:01:30.1"),
        ("c", "23:59:00"),
        ("d", "10:00:00", "t"),
        ("e", "10:00:00", None),
    ]
    brought = {back(1): [clicked(name, back(1), *said) for name, *said in before]}
    visited = events(brought | {DAY: [clicked("f", DAY, "00:02:00"), clicked("g", back(1), "09:00:00")]})
    tiles = [tile for day in (back(1), DAY) for tile in features.user_day_tiles(visited, day, **CONF)]

    assert [(tile["sessions"], tile["stay_seconds"]) for tile in tiles] == [(2, 50_340), (1, 0), (1, 0)]
    assert (features_of_ada(visited)["sessions_28d"], features_of_ada(visited)["stay_seconds_90d"]) == (4, 50_340)


def test_what_was_done_is_counted_by_the_part_of_the_day_and_at_weekends():
    saturday = date(2017, 6, 3)
    moments = ["05:59:59.999999", "06:00:00", "12:00:00", "18:00:00"]
    done = together(
        of("events", {saturday: [visit(clock, occurred_at=at(saturday, clock)) for clock in moments]}),
        of("orders", {DAY - 3 * ONE_DAY: [sale("o", on=DAY - 3 * ONE_DAY), sale("o", "1", on=DAY - 3 * ONE_DAY)]}),
    )
    row = features_of_ada(done)

    assert [row[f"activities_{part}_90d"] for part in features.PARTS] == [1, 1, 3, 1]
    assert row["active_weekend_days_90d"] == 1


# Users


def test_a_user_appears_on_the_day_of_registration():
    early = of("users", {back(1): [user(registered_at=at(DAY, "00:03:00"))]})

    assert features.user_features(early, back(1), **CONF) == []
    assert features_of_ada(early)["tenure_days"] == 0


def test_the_state_of_a_user_is_the_latest_delivered_up_to_the_day():
    moved = of("users", {back(2): [user(attributes={"tier": "gold"})], DAY: [user(country="DE")]})

    assert [features_of_ada(moved, day)["country"] for day in (back(1), DAY)] == ["GB", "DE"]
    assert [features_of_ada(moved, day)["attributes"] for day in (back(1), DAY)] == [{"tier": "gold"}, {}]


def test_a_user_who_did_nothing_has_zeros_and_nulls():
    row = features_of_ada(together())

    assert (row["active_days_365d"], row["event_counts_365d"], row["sale_amount_365d"]) == (0, {}, Decimal("0.00"))
    assert [row[name] for name in ("recency_days", "gap_mean_days", "gap_spread_days", "current_gap_ratio")] == [
        None
    ] * 4


def test_a_user_of_whom_no_delivery_tells_has_tiles_and_no_features():
    ghost = events({DAY: [visit("e", user_id="eve")]})

    assert [tile["user_id"] for tile in features.user_day_tiles(ghost, DAY, **CONF)] == ["eve"]
    assert [row["user_id"] for row in features.user_features(ghost, DAY, **CONF)] == ["ada"]


# Activity, orders, items


def test_refunds_and_what_we_cause_are_not_activity():
    passive = together(
        of("events", {DAY: [visit("e", type="message_delivery", item_id="i")]}),
        of("orders", {DAY: [sale("o", "r", kind="refund", amount=Decimal("4.00"), item_id="i")]}),
    )
    (tile,) = features.user_day_tiles(passive, DAY, **CONF)

    assert tile == {
        "day": DAY,
        "user_id": "ada",
        "activity_on": DAY,
        "is_first": False,
        "event_counts": {"message_delivery": 1},
        "orders": 0,
        "sale_amount": Decimal("0.00"),
        "refund_amount": Decimal("4.00"),
        "sessions": 0,
        "stay_seconds": 0,
        **{f"activities_{part}": 0 for part in features.PARTS},
    }
    assert features.user_item_day_tiles(passive, DAY, **CONF) == []
    assert features_of_ada(passive)["active_days_365d"] == 0


@pytest.mark.parametrize(
    ("activity", "is_first", "concerned", "recency"),
    [
        ((), True, ["i", "j", "k"], 0),
        (("login",), True, ["j"], 0),
        (("sales",), True, ["k"], 0),
        (("tap",), False, [], 3),
    ],
)
def test_what_counts_as_activity_can_be_said_positively(activity, is_first, concerned, recency):
    """Orders count as orders whether or not sales are activity."""
    busy = together(
        of("events", {back(3): [visit("e0", back(3), type="tap")], DAY: [visit("e1", item_id="i"), login("e2", "j")]}),
        of("orders", {DAY: [sale("o", item_id="k")]}),
    )
    rules = CONF | {"activity": activity}
    (tile,) = features.user_day_tiles(busy, DAY, **rules)
    (ada,) = features.user_features(busy, DAY, **rules)

    assert (tile["is_first"], tile["orders"], tile["sale_amount"]) == (is_first, 1, Decimal("10.00"))
    assert [row["item_id"] for row in features.user_item_day_tiles(busy, DAY, **rules)] == concerned
    assert ada["recency_days"] == recency


def test_only_the_first_delivery_that_brings_activity_for_a_date_is_first():
    deliveries = {
        back(3): [visit("e0", back(3), type="message_delivery")],
        back(2): [visit("e1", back(3))],
        back(1): [visit("e2", back(3))],
    }
    tiles = [features.user_day_tiles(events(deliveries), day, **CONF) for day in deliveries]

    assert [tile["is_first"] for (tile,) in tiles] == [False, True, False]


def test_an_order_counts_where_its_first_sale_line_came():
    deliveries = {
        back(3): [sale("o", "r", back(3), kind="refund")],
        back(2): [sale("o", "1", back(3))],
        back(1): [sale("o", "2", back(3)), sale("p", "1", back(3)), sale("p", "2", back(3))],
    }
    tiles = [features.user_day_tiles(orders(deliveries), day, **CONF) for day in deliveries]

    assert [tile["orders"] for (tile,) in tiles] == [0, 1, 1]
    assert features_of_ada(orders(deliveries))["orders_7d"] == 2


def test_partial_refunds_add_up_on_their_own_date():
    refunds = [sale("o", f"r{n}", kind="refund", amount=Decimal("2.50")) for n in (1, 2)]
    row = features_of_ada(orders({back(1): [sale("o", on=back(1))], DAY: refunds}))

    assert (row["sale_amount_1d"], row["refund_amount_1d"], row["sale_amount_7d"]) == (0, Decimal("5.00"), 10)


def test_a_category_is_that_as_of_the_delivery():
    """One item in two categories, one in none, one that nobody described, and one that only a message concerned."""
    many = together(
        of("items", {back(2): [item("i", "food"), item("n", None)], DAY: [item("i", "toys")]}),
        of(
            "events",
            {
                back(3): [visit("e0", back(3), item_id="i")],
                back(1): [visit("e1", back(1), item_id="i"), visit("e2", back(1), item_id="n")],
                DAY: [
                    visit("e3", item_id="i"),
                    visit("e4", item_id="x"),
                    visit("e5", type=NOT_ACTIVITY[0], item_id="y"),
                ],
            },
        ),
    )
    tiles = [tile for n in (3, 1, 0) for tile in features.user_item_day_tiles(many, back(n), **CONF)]

    assert [(tile["item_id"], tile["category"]) for tile in tiles] == [
        ("i", None),
        ("i", "food"),
        ("n", None),
        ("i", "toys"),
        ("x", None),
    ]
    row = features_of_ada(many)
    assert (row["distinct_items_1d"], row["distinct_items_7d"]) == (2, 3)
    assert (row["distinct_categories_1d"], row["distinct_categories_7d"]) == (1, 2)


# Rhythm


def test_gaps_are_between_active_dates_within_365_days():
    """Active 364, 10, 6 and 4 days ago, twice on one of them; 365 days ago no longer counts. Gaps: 354, 4, 2."""
    rhythm = events({back(n): [visit(f"e{n}", back(n)), visit(f"f{n}", back(n))] for n in (365, 364, 10, 6, 4)})
    row = features_of_ada(rhythm)

    assert row["recency_days"] == 4
    assert row["gap_mean_days"] == 120.0
    assert row["gap_spread_days"] == pytest.approx(((234**2 + 116**2 + 118**2) / 3) ** 0.5)
    assert row["current_gap_ratio"] == pytest.approx(4 / 120)


def test_two_active_dates_have_one_gap_without_spread_and_one_has_none():
    both = events({back(n): [visit(f"e{n}", back(n))] for n in (8, 3)})

    assert [features_of_ada(both)[f"gap_{name}_days"] for name in ("mean", "spread")] == [5.0, 0.0]
    assert [features_of_ada(both, back(4))[f"gap_{name}_days"] for name in ("mean", "spread")] == [None, None]


def test_the_last_28_days_are_compared_with_the_28_before():
    dates = {27: "1.00", 28: "2.00", 55: "4.00", 56: "8.00"}
    row = features_of_ada(orders({back(n): [sale(f"o{n}", on=back(n), amount=Decimal(a))] for n, a in dates.items()}))

    assert (row["active_days_28d"], row["active_days_prior_28d"], row["active_days_change_28d"]) == (1, 2, -1)
    assert [row[f"sale_amount_{name}28d"] for name in ("", "prior_", "change_")] == [1, 6, -5]


# What must hold in any world


@drawn
@given(world())
def test_features_are_sums_over_the_tiles_of_deliveries_up_to_the_day(one: World):
    for day in one.days_to_score:
        known = [tile for on in one.days("events") if on <= day for tile in features.user_day_tiles(one, on, **CONF)]
        for row in features.user_features(one, day, **CONF):
            for days in features.WINDOWS:
                window = [
                    tile
                    for tile in known
                    if tile["user_id"] == row["user_id"] and 0 <= (day - tile["activity_on"]).days < days
                ]
                assert row[f"active_days_{days}d"] == sum(tile["is_first"] for tile in window)
                for name in ("orders", "sale_amount", "refund_amount"):
                    assert row[f"{name}_{days}d"] == sum(tile[name] for tile in window)
                assert row[f"event_counts_{days}d"] == sum(
                    (Counter(tile["event_counts"]) for tile in window), Counter()
                )


@drawn
@given(world())
def test_delivered_is_loaded_and_duplicates_and_quarantined(one: World):
    for source, day in one.deliveries:
        rows = counts(one, source, day, dedup_days=90)
        assert rows["delivered_rows"] == rows["loaded_rows"] + rows["duplicate_rows"] + rows["quarantined_rows"]


def changed(one: World, change: Callable[[Files], Files]) -> World:
    """The world of which each content of each delivery is changed."""
    contents = {key: [change(files) for files in versions] for key, versions in one.deliveries.items()}
    return World(contents, one.days_to_score)


def twice_under_two_names(files: Files) -> Files:
    return [(f"{name}{end}", rows) for name, rows in files for end in ("", " copy")]


def each_row_twice(files: Files) -> Files:
    return [(name, [row for row in rows for _ in range(2)]) for name, rows in files]


@bad_input("the same file twice under two names", "exact duplicate rows", gets="fine")
@pytest.mark.parametrize("change", [twice_under_two_names, each_row_twice])
@few
@given(one=world())
def test_what_comes_twice_changes_no_features(change: Callable[[Files], Files], one: World):
    """Scores are made of features alone."""
    doubled = changed(one, change)

    for day in one.days_to_score:
        assert features.user_features(doubled, day, **CONF) == features.user_features(one, day, **CONF)
    for source, day in one.deliveries:
        before, after = (counts(w, source, day, dedup_days=90) for w in (one, doubled))
        assert after["loaded_rows"] == before["loaded_rows"]
        assert after["duplicate_rows"] >= before["duplicate_rows"] + before["loaded_rows"]


@bad_input(
    "the same id and date again on a later day, same payload",
    "the same id and date again on a later day, other payload",
    gets="fine",
)
@pytest.mark.parametrize("payload", [{}, {"user_id": "u3", "value": 9.75, "amount": Decimal("987.65")}])
@few
@given(one=world())
def test_what_comes_again_on_a_later_day_changes_no_features(payload: Values, one: World):
    """Within `dedup_days`, which here are more than any world has."""
    conf = CONF | {"dedup_days": 10_000}
    again = World({key: list(contents) for key, contents in one.deliveries.items()}, one.days_to_score)
    for source, (first, then) in product(("events", "orders"), pairwise(sorted({day for _, day in one.deliveries}))):
        kept = loaded(one, source)[first]
        rows = [Row(values | {name: payload[name] for name in payload.keys() & values.keys()}) for values in kept]
        # Behind all others of its day: of two that differ within a delivery the first wins.
        contents = again.deliveries[source, then]
        contents[-1] = [*contents[-1], ("zz", rows)] if rows else contents[-1]

    for day in one.days_to_score:
        assert features.user_features(again, day, **conf) == features.user_features(one, day, **conf)


@bad_input("a refund before its sale", gets="fine")
@drawn
@given(st.permutations(range(4)), st.booleans())
def test_the_order_of_sales_and_refunds_means_nothing(order: list[int], is_late: bool):
    """In a file, and among deliveries."""
    lines = [
        sale("o", "0", amount=Decimal("30.00")),
        sale("o", "r1", on=back(3), kind="refund", amount=Decimal("4.50")),
        sale("p", "0", on=back(9), amount=Decimal("7.00")),
        sale("p", "r1", kind="refund", amount=Decimal("7.00")),
    ]
    shuffled = [lines[at] for at in order]
    days = {DAY: shuffled[:2], back(-1): shuffled[2:]} if is_late else {back(-1): shuffled}
    row, plain = (features_of_ada(orders(each), back(-1)) for each in (days, {back(-1): lines}))

    assert row == plain
    assert (row["sale_amount_28d"], row["refund_amount_28d"]) == (Decimal("37.00"), Decimal("11.50"))


def test_merged_worlds_stay_apart():
    worlds = many_worlds(seed=3, count=8)
    merged = merge(worlds)

    for compute in (features.user_features, features.user_day_tiles, features.user_item_day_tiles):
        for day in merged.days_to_score:
            apart = [row for number, one in enumerate(worlds) for row in compute(prefixed(one, number), day, **CONF)]
            assert compute(merged, day, **CONF) == apart
    for source, day in merged.deliveries:
        apart = [counts(one, source, day, dedup_days=90) for one in worlds if (source, day) in one.deliveries]
        total = sum((Counter(one) for one in apart), Counter())
        assert +Counter(counts(merged, source, day, dedup_days=90)) == total


@trap("a sum over distinct amounts")
def test_a_seed_draws_the_same_worlds_full_of_what_goes_wrong():
    """Also of sales of one amount by one user, which a sum over distinct amounts would count once in any window of both."""
    worlds = many_worlds(seed=1, count=25)
    found = Counter()
    for one in worlds:
        for source, day in one.deliveries:
            found.update(counts(one, source, day, dedup_days=90))
            found["versions"] += len(one.deliveries[source, day]) > 1
    sales = {
        (number, row["user_id"], row["amount"], row["order_id"], row["line_id"] or "0")
        for number, one in enumerate(worlds)
        for rows in loaded(one, "orders").values()
        for row in rows
        if row["kind"] == "sale" and row["amount"]
    }
    alike = Counter(sale[:3] for sale in sales)

    assert worlds == many_worlds(seed=1, count=25)
    assert len(worlds) == 25
    assert min(found.values()) > 20
    assert sum(count > 1 for count in alike.values()) > 5


@trap("a sum over distinct amounts")
def test_two_orders_of_one_amount_are_both_counted():
    same = orders({DAY: [sale("o"), sale("p")], back(1): [sale("q", on=back(1))]})

    assert (features_of_ada(same)["sale_amount_1d"], features_of_ada(same)["sale_amount_7d"]) == (20, 30)


READERS = {
    ".csv": lambda path: list(csv.DictReader(io.StringIO(path.read_text("utf-8")))),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]],
    ".parquet": lambda path: parquet.read_table(path, partitioning=None).to_pylist(),
}


@pytest.mark.parametrize("version", [0, None])
def test_what_is_written_is_each_row_in_its_order(tmp_path: Path, version: int | None):
    merged = merge(many_worlds(seed=2, count=20))
    write_landing(merged, tmp_path)
    write_landing(merged, tmp_path, version)

    assert {path.suffix for path in tmp_path.glob("*/*/part-*")} == set(READERS)
    for (source, day), contents in merged.deliveries.items():
        folder = tmp_path / source / f"day={day}"
        key = {"users": "user_id", "items": "item_id", "events": "event_id", "orders": "order_id"}[source]
        written = {path.stem: READERS[path.suffix](path) for path in sorted(folder.glob("part-*"))}
        assert (folder / "_SUCCESS").exists()
        assert {name: [row[key] or None for row in rows] for name, rows in written.items()} == {
            name: [row.values[key] for row in rows] for name, rows in contents[-1 if version is None else 0]
        }
