"""
Small worlds, drawn by hypothesis, full of what goes wrong: late and early rows, repeats, conflicts, re-deliveries.

Many worlds become one by a prefix to their ids: one Spark plan computes them all, the reference computes each apart.
"""

import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import chain
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from tests.reference.ingestion import ONE_DAY, SOURCES, TOLERANCE, Files, Row, Values, World, start_of

NOT_ACTIVITY = ("message_delivery", "link_preview_click", "impression")
ANCHORS = (date(2016, 3, 1), date(2017, 1, 2), date(2017, 3, 1))
"""Last days to score: the day after a leap day, just after a year's end, and a year and a day after a leap day."""
DAYS_BACK = (-1, 0, 1, 2, 3, 6, 7, 8, 27, 28, 29, 55, 56, 57, 89, 90, 91, 92, 363, 364, 365, 366, 456)
"""Days before the anchor on which something happens: both sides of each window's edge and of 90 `dedup_days`."""
TIMES = (
    time(0),
    time(0, 0, 0, 1),
    time(0, 3),
    time(0, 5),  # the last moment that the delivery of the day before may hold
    time(0, 5, 0, 1),
    time(6),
    time(12, 30, 15, 500),
    time(23, 59, 59, 999999),
)
USERS = ("u1", "u2", "u3")
GHOST = "ghost"
"""A user of whom no delivery ever tells more than what they did."""
ITEMS = ("i1", "i2", "i3")
EVENT_TYPES = ("visit", "click", *NOT_ACTIVITY)
ATTRIBUTES = (None, {"tier": "gold"}, {"tier": "silver", "städte": 'Köln, "Bonn"'})
LINES = (("0", "sale"), (None, "sale"), ("1", "sale"), ("1", "refund"), ("r1", "refund"))
FILE_NAMES = ("part-2", "part-10")  # by name, part-10 is the first
PREFIXED = ("user_id", "item_id", "event_id", "order_id")

PRICE = Decimal("19.99")
"""Of each line of most orders: two sales of one amount are two, which a sum over distinct amounts would not know."""
amounts = st.integers(0, 100_000).map(lambda cents: Decimal(cents).scaleb(-2))


def moments(days: Sequence[date]) -> st.SearchStrategy[datetime]:
    return st.builds(datetime.combine, st.sampled_from(days), st.sampled_from(TIMES), st.just(UTC))


@st.composite
def fact_rows(
    draw: st.DrawFn, days: Sequence[date], first: Values, changes: Sequence[Values]
) -> list[tuple[date, Row]]:
    """
    Deliver a fact once or several times, mostly on its day, each time as it was at first or changed.

    A delivery before the fact makes an invalid row, unless it is early by no more than the tolerance.
    """
    rows = []
    for change in draw(st.lists(st.sampled_from([{}, {}, *changes]), min_size=1, max_size=3)):
        values = first | change
        on = values["occurred_at"].date()
        deliverable = [day for day in days if day >= on - ONE_DAY]
        day = draw(st.just(on) | st.sampled_from(deliverable))
        rows.append((day, Row(values, is_valid=values["occurred_at"] <= start_of(day + ONE_DAY) + TOLERANCE)))
    return rows


@st.composite
def event_rows(draw: st.DrawFn, days: Sequence[date]) -> list[tuple[date, Row]]:
    """Deliver one event."""
    at = draw(moments(days))
    event = {
        "event_id": draw(st.sampled_from([f"e{n}" for n in range(20)])),
        "user_id": draw(st.sampled_from([*USERS, GHOST])),
        "occurred_at": at,
        "type": draw(st.sampled_from(["visit", *EVENT_TYPES])),
        "item_id": draw(st.sampled_from([None, *ITEMS])),
        "session_id": draw(st.sampled_from([None, "s1", "s2"])),
        "value": draw(st.sampled_from([None, 0.5])),
        "properties": draw(st.sampled_from([None, {"page": "a,b"}])),
    }
    changes = [
        {"user_id": USERS[0]},
        {"type": EVENT_TYPES[-1]},
        {"value": 2.25},
        {"occurred_at": at.replace(hour=12)},
        {"occurred_at": draw(moments(days))},
    ]
    return draw(fact_rows(days, event, changes))


@st.composite
def order_rows(draw: st.DrawFn, days: Sequence[date], order_id: str) -> list[tuple[date, Row]]:
    """Deliver the sale lines and partial refunds of one order; most share user and moment, each comes when it likes."""
    user_id, at = draw(st.sampled_from([*USERS, GHOST])), draw(moments(days))
    price, rows = draw(st.sampled_from([PRICE, PRICE, None])), []
    for line_id, kind in draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=4, unique=True)):
        line = {
            "order_id": order_id,
            "line_id": line_id,
            "user_id": user_id,
            "occurred_at": draw(st.just(at) | moments(days)),
            "kind": kind,
            "amount": price or draw(amounts),
            "currency": "USD",
            "item_id": draw(st.sampled_from([None, *ITEMS])),
        }
        changes = [{"amount": draw(amounts)}, {"user_id": USERS[0]}, {"occurred_at": draw(moments(days))}]
        rows += draw(fact_rows(days, line, changes))
    return rows


def user_states(days: Sequence[date], least: int) -> st.SearchStrategy[list[tuple[date, Row]]]:
    """Deliver states of users, some of them several times with other registration, country or attributes."""
    states = st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(USERS),
            "registered_at": moments(days[:1]) | moments(days),
            "country": st.sampled_from([None, "DE", "US"]),
            "timezone": st.sampled_from([None, "Europe/Berlin"]),
            "channel": st.sampled_from([None, "shop", 'web "new", de']),
            "attributes": st.sampled_from(ATTRIBUTES),
        }
    )

    def delivered(values: Values) -> st.SearchStrategy[tuple[date, Row]]:
        last_start = values["registered_at"] - TOLERANCE - ONE_DAY
        deliverable = [day for day in days if start_of(day) >= last_start]
        return st.tuples(st.just(deliverable[0]) | st.sampled_from(deliverable), st.just(Row(values)))

    return st.lists(states.flatmap(delivered), min_size=least, max_size=8)


def item_states(days: Sequence[date], least: int) -> st.SearchStrategy[list[tuple[date, Row]]]:
    """Deliver states of items, some of them several times with another category."""
    states = st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(ITEMS),
            "category": st.sampled_from([None, "food", 'toys, "small" 🧸']),
            "title": st.sampled_from([None, "A title"]),
            "attributes": st.sampled_from(ATTRIBUTES),
        }
    )
    return st.lists(st.tuples(st.sampled_from(days), states.map(Row)), min_size=least, max_size=6)


SPOILT: dict[str, list[Values]] = {
    "users": [{"user_id": None}],
    "items": [{"item_id": "nan"}],
    "events": [{"user_id": " "}, {"event_id": None}, {"type": None}],
    "orders": [
        {"amount": Decimal("-0.01")},
        {"currency": "EUR"},
        {"currency": None},
        {"kind": "gift"},
        {"user_id": ""},
    ],
}
"""Per source what makes a row invalid."""


@st.composite
def world(draw: st.DrawFn, anchor: date = ANCHORS[0]) -> World:
    """Draw a world that is scored up to the anchor."""
    every_day = [anchor - back * ONE_DAY for back in DAYS_BACK]
    days = sorted(draw(st.sets(st.sampled_from(every_day), min_size=3, max_size=9)) | {anchor})
    least = draw(st.sampled_from([0, 3]))  # left to itself, hypothesis draws worlds in which little happens
    placed: dict[str, list[tuple[date, Row]]] = {
        "users": draw(user_states(days, least)),
        "items": draw(item_states(days, least)),
        "events": list(chain.from_iterable(draw(st.lists(event_rows(days), min_size=2 * least, max_size=14)))),
        "orders": [row for n in range(draw(st.integers(least, 4))) for row in draw(order_rows(days, f"o{n}"))],
    }
    scored = draw(st.sets(st.sampled_from(days[-4:]), max_size=2)) | {anchor}
    result = World(days_to_score=sorted(day for day in scored if day <= anchor))
    for source in SOURCES:
        for day in days:
            rows = [row for on, row in placed[source] if on == day]
            if rows and draw(st.integers(0, 9)) == 0:
                rows.append(Row(rows[0].values | draw(st.sampled_from(SPOILT[source])), is_valid=False))
            result.deliveries[source, day] = draw(versions(rows))
    return result


@st.composite
def versions(draw: st.DrawFn, rows: list[Row]) -> list[Files]:
    """Put the rows into up to two files, and sometimes deliver again with some rows fewer or more."""
    order = draw(st.permutations(rows)) if len(rows) > 1 else rows
    cut = draw(st.integers(0, len(order)))
    files = [(name, part) for name, part in zip(FILE_NAMES, (order[:cut], order[cut:]), strict=True) if part]
    if not rows or draw(st.integers(0, 4)):
        return [files]
    kept = draw(st.sets(st.integers(0, len(rows) - 1), max_size=len(rows) - 1))
    fewer = [(FILE_NAMES[0], [rows[n] for n in sorted(kept)])] if kept else []
    return draw(st.permutations([files, fewer]))


def many_worlds(seed: int, count: int, anchor: date = ANCHORS[0]) -> list[World]:
    """Draw that many worlds, the same ones for the same seed."""
    drawn: list[World] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(world(anchor))
    def draw(one: World) -> None:
        drawn.append(one)

    draw()
    return drawn[:count]


def prefixed(one: World, number: int) -> World:
    """Rename the users, items, events and orders of a world so that it can be merged with others."""

    def renamed(row: Row) -> Row:
        ids = {column: f"w{number}-{row.values[column]}" for column in PREFIXED if row.values.get(column)}
        return Row(row.values | ids) if row.is_valid else row

    return World(
        {
            key: [[(name, [renamed(row) for row in rows]) for name, rows in files] for files in contents]
            for key, contents in one.deliveries.items()
        },
        one.days_to_score,
    )


def merge(worlds: Sequence[World]) -> World:
    """
    Make many worlds one, the n-th as `prefixed(world, n)`: what holds in each world holds in the whole.

    Each source delivers on each day. The last versions are merged into the last, earlier ones into earlier ones.
    """
    parts = [prefixed(one, number) for number, one in enumerate(worlds)]
    days = sorted(
        {day for part in parts for _, day in part.deliveries} | {d for part in parts for d in part.days_to_score}
    )
    merged = World(days_to_score=sorted({day for part in parts for day in part.days_to_score}))
    for source in SOURCES:
        for day in days:
            delivered = [part.deliveries.get((source, day), [[]]) for part in parts]
            merged.deliveries[source, day] = [
                concatenated([contents[max(len(contents) - back, 0)] for contents in delivered])
                for back in range(max((len(contents) for contents in delivered), default=1), 0, -1)
            ]
    return merged


def concatenated(contents: Sequence[Files]) -> Files:
    """Append files of one name to each other."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for name, more in (file for files in contents for file in files):
        rows[name] += more
    return sorted(rows.items())


REQUIRED = {"user_id", "registered_at", "event_id", "occurred_at", "type", "order_id", "kind", "amount", "currency"}
"""Columns that each file of their source has. The others are left out of a file in which nothing stands in them."""
MUMBAI = timezone(timedelta(hours=5, minutes=30))
"""Times in text have any zone: on every other day this one."""


def write_landing(world: World, folder: Path, version: int | None = None) -> None:
    """
    Write each delivery in its last version, or in the n-th (from 0) where it has had so many, over what is there.

    A delivery is csv, jsonl or parquet, by turns; one without rows is an empty folder. Same world, same bytes.
    """
    for (source, day), contents in world.deliveries.items():
        target = folder / source / f"day={day}"
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        form, write = FORMATS[(day.toordinal() + SOURCES.index(source)) % len(FORMATS)]
        for name, rows in contents[-1 if version is None else min(version, len(contents) - 1)]:
            empty = {column for column in rows[0].values if all(row.values[column] is None for row in rows)}
            key = "item_id" if source == "items" else ""
            kept = [column for column in rows[0].values if column not in empty - REQUIRED - {key}]
            write(target / f"{name}.{form}", [{column: row.values[column] for column in kept} for row in rows])
        (target / "_SUCCESS").touch()


def as_text(moment: datetime) -> str:
    """ISO 8601 with zone."""
    return moment.astimezone(MUMBAI if moment.day % 2 else UTC).isoformat().replace("+00:00", "Z")


def write_csv(path: Path, rows: list[Values]) -> None:
    def cell(value: object) -> object:
        if isinstance(value, datetime):
            return as_text(value)
        return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: cell(value) for column, value in row.items()} for row in rows)


def write_jsonl(path: Path, rows: list[Values]) -> None:
    def as_json(value: datetime | Decimal) -> str | float:
        return as_text(value) if isinstance(value, datetime) else float(value)

    path.write_text("".join(json.dumps(row, default=as_json, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_parquet(path: Path, rows: list[Values]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = defaultdict(
        pa.string,
        registered_at=pa.timestamp("us", tz="UTC"),
        occurred_at=pa.timestamp("us", tz="UTC"),
        amount=pa.decimal128(18, 2),
        value=pa.float64(),
        attributes=pa.map_(pa.string(), pa.string()),
        properties=pa.map_(pa.string(), pa.string()),
    )
    parquet.write_table(pa.Table.from_pylist(rows, pa.schema([(column, types[column]) for column in rows[0]])), path)


FORMATS = (("csv", write_csv), ("jsonl", write_jsonl), ("parquet", write_parquet))
