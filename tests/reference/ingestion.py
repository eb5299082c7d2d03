"""
How deliveries are read: what is loaded, what is a duplicate or a conflict, and which delivery of a fact counts.

A world is all that was ever delivered. Each rule is brute force over its rows.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

Values = dict[str, Any]
"""A row by column: text, `datetime` with zone, `Decimal`, `float`, `dict` for a map; None where nothing stands."""

ONE_DAY = timedelta(days=1)
TOLERANCE = timedelta(minutes=5)
"""A row may have occurred this long after the end of its delivery day: clocks differ."""

KEYS = {
    "users": ("user_id",),
    "items": ("item_id",),
    "events": ("event_id",),
    "orders": ("order_id", "line_id", "kind"),
}
STATES, FACTS = ("users", "items"), ("events", "orders")
SOURCES = STATES + FACTS


@dataclass(frozen=True)
class Row:
    """A delivered row. Whether a row is valid is decided where it is made: here nothing is parsed."""

    values: Values
    is_valid: bool = True


Files = list[tuple[str, list[Row]]]
"""The content of one delivery: its files with their rows, in the order of the rows within the file."""


@dataclass
class World:
    """All deliveries by source and day, each with the versions it has had, and the days whose features are wanted."""

    deliveries: dict[tuple[str, date], list[Files]] = field(default_factory=dict)
    days_to_score: list[date] = field(default_factory=list)

    def days(self, source: str) -> list[date]:
        """The days on which the source delivered, in order."""
        return sorted(day for name, day in self.deliveries if name == source)


@dataclass(frozen=True)
class Ingested:
    """What became of the rows of one delivery. Each row is in exactly one of these."""

    loaded: list[Values]
    duplicates: list[Values]
    conflicts: list[Values]
    """Quarantined as `conflicting_duplicate`."""
    invalid: list[Values]
    """Quarantined for another reason."""


def start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def occurred_on(values: Values) -> date:
    return values["occurred_at"].astimezone(UTC).date()


def identity(source: str, values: Values) -> tuple:
    """The key; for a fact together with the UTC date it occurred on."""
    key = tuple(values[column] for column in KEYS[source])
    return (*key, occurred_on(values)) if source in FACTS else key


def with_defaults(source: str, values: Values) -> Values:
    """A line without a number is line 0 of its order."""
    return values | {"line_id": values["line_id"] or "0"} if source == "orders" else values


def ingest(source: str, files: Files) -> Ingested:
    """Of the rows with one identity load the first of a fact, the last of a state, by file name and then row."""
    rows = [row for _, rows in sorted(files, key=lambda file: file[0]) for row in rows]
    result = Ingested([], [], [], invalid=[row.values for row in rows if not row.is_valid])
    valid = [with_defaults(source, row.values) for row in rows if row.is_valid]
    for values in valid if source in FACTS else reversed(valid):
        same = [other for other in result.loaded if identity(source, other) == identity(source, values)]
        if not same:
            result.loaded.append(values)
        elif same == [values]:
            result.duplicates.append(values)
        else:
            result.conflicts.append(values)
    return result


def loaded(world: World, source: str) -> dict[date, list[Values]]:
    """The rows of raw by delivery day. A re-delivery replaces a delivery whole: only the last version counts."""
    return {day: ingest(source, world.deliveries[source, day][-1]).loaded for day in world.days(source)}


def is_looked_up(values: Values, day: date) -> bool:
    """Can an earlier delivery hold the row? Only if it occurred before the day, or within the tolerance after that."""
    return values["occurred_at"] <= start_of(day) + TOLERANCE


def is_repeat(raw: dict[date, list[Values]], source: str, day: date, values: Values, dedup_days: int) -> bool:
    """Is the row of the delivery of `day` passed over? Rows that are passed over themselves count as delivered."""
    return is_looked_up(values, day) and any(
        identity(source, other) == identity(source, values)
        for earlier, rows in raw.items()
        if day - dedup_days * ONE_DAY <= earlier < day
        for other in rows
    )


def winning(world: World, source: str, *, dedup_days: int) -> list[tuple[date, Values]]:
    """The facts that count, each with its delivery day: of several deliveries of one fact the first."""
    raw = loaded(world, source)
    return [
        (day, values)
        for day, rows in raw.items()
        for values in rows
        if not is_repeat(raw, source, day, values, dedup_days)
    ]


def state(world: World, source: str, day: date) -> dict[str, Values]:
    """The state of each user or item as known on the day: of the rows delivered up to then, the latest."""
    (key,) = KEYS[source]
    return {values[key]: values for on, rows in loaded(world, source).items() if on <= day for values in rows}


def counts(world: World, source: str, day: date, *, dedup_days: int) -> dict[str, int]:
    """The row counts that raw.deliveries keeps of a delivery."""
    files = world.deliveries[source, day][-1]
    ingested, raw, users = ingest(source, files), loaded(world, source), state(world, "users", day)
    facts = ingested.loaded if source in FACTS else []
    return {
        "delivered_rows": sum(len(rows) for _, rows in files),
        "loaded_rows": len(ingested.loaded),
        "duplicate_rows": len(ingested.duplicates),
        "quarantined_rows": len(ingested.conflicts) + len(ingested.invalid),
        "repeated_rows": sum(is_repeat(raw, source, day, values, dedup_days) for values in facts),
        "late_rows": sum(values["occurred_at"] < start_of(day) for values in facts),
        "unknown_user_rows": sum(values["user_id"] not in users for values in facts),
    }
