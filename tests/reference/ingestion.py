"""
How deliveries are read: what a row says, what is loaded, a duplicate or a conflict, and which delivery of a fact counts.

A world is all that was ever delivered. Each rule is brute force over its rows.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
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


class BadCellError(Exception):
    """A cell that cannot be used; `reason` is its code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


NULLS = ("\\N", "<NA>", "#N/A", "NaT", "null", "NULL", "None", "undefined", "(not set)", "(null)", "[null]", "<null>")
"""What exporters write for nothing, to the letter; of ids, which nobody calls so, in letters of any size."""
NO_IDS = {text.lower() for text in NULLS}
NO_IDS |= {
    "",
    "-",
    "na",
    "#na",
    "n/a",
    "#n/a n/a",
    "nan",
    "-nan",
    "nil",
    "<nil>",
    "not set",
    "(none)",
    "(empty)",
    "(blank)",
}


def bare(text: str) -> str:
    """Without what surrounds it unseen: blanks of all scripts, tabs, spaces without width, byte order marks."""
    unseen = [unicodedata.category(sign) == "Zs" or sign in "\t\u200b\ufeff" for sign in text]
    kept = [at for at, is_unseen in enumerate(unseen) if not is_unseen]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def an_id(cell: str, _day: date) -> str | None:
    text = bare(cell)
    if text.lower() in NO_IDS:
        return None
    if len(text) > 256:
        raise BadCellError("too_long")
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise BadCellError("control_character")
    if re.fullmatch(r"[+-]?([0-9]+[.]0+|[0-9][.][0-9]+[eE][+]?[0-9]+)", text):
        raise BadCellError("decimal_id")
    return text


def a_time(cell: str, day: date) -> datetime | None:
    if bare(cell) in ("", *NULLS):
        return None
    clock = r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2}([.][0-9]{1,9})?)?"
    if re.fullmatch(clock, cell):
        raise BadCellError("no_time_zone")
    parts = re.fullmatch(clock + r"([Zz]|([+-])([0-9]{2}):?([0-9]{2})?)", cell)
    if not parts:
        raise BadCellError("bad_time")
    try:
        on, minutes, seconds, _, _, sign, hours, rest = parts.groups()
        # Times have microseconds: what is finer is cut.
        at = datetime.fromisoformat(f"{on}T{minutes}{(seconds or ':00')[:10]}")
        ahead = timedelta(hours=int(hours or 0), minutes=int(rest or 0)) * (-1 if sign == "-" else 1)
        at = at.replace(tzinfo=timezone(ahead)).astimezone(UTC)
    except ValueError as error:
        raise BadCellError("bad_time") from error
    if at.year < 1990:
        raise BadCellError("time_out_of_range")
    if at > start_of(day + ONE_DAY) + TOLERANCE:
        raise BadCellError("in_the_future")
    return at


def a_number(cell: str) -> Decimal | None:
    if bare(cell) in ("", *NULLS):
        return None
    if not re.fullmatch(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?", cell.strip(" ")):
        raise BadCellError("not_a_number")
    return Decimal(cell.strip(" "))


def an_amount(cell: str, _day: date) -> Decimal | None:
    """Money, in cents: a third digit behind the point is no money, unless it is a zero."""
    number = a_number(cell)
    if number and number.normalize().as_tuple().exponent < -2:
        raise BadCellError("too_precise")
    if number and abs(number) >= 10**16:
        raise BadCellError("not_a_number")
    if number and not 0 <= number <= 10**11:
        raise BadCellError("out_of_range")
    return number


def a_measure(cell: str, _day: date) -> float | None:
    number = a_number(cell)
    if number and abs(number) > 10**15:
        raise BadCellError("out_of_range")
    return None if number is None else float(number)


def a_map(cell: str, _day: date) -> dict[str, Any] | None:
    if bare(cell) in ("", *NULLS):
        return None
    try:
        found = json.loads(cell)
    except ValueError as error:
        raise BadCellError("bad_map") from error
    if not isinstance(found, dict):
        raise BadCellError("bad_map")
    return found


def one_of(*words: str) -> Callable[[str, date], str | None]:
    def word(cell: str, _day: date) -> str | None:
        if bare(cell) in ("", "NaN", "nan", *NULLS):
            return None
        if cell not in words:
            raise BadCellError("not_in_list")
        return cell

    return word


READ: dict[str, dict[str, Callable[[str, date], Any]]] = {
    "orders": {
        "order_id": an_id,
        "line_id": an_id,
        "user_id": an_id,
        "occurred_at": a_time,
        "kind": one_of("sale", "refund"),
        "amount": an_amount,
        "currency": one_of("USD"),
        "item_id": an_id,
    },
    "events": {
        "event_id": an_id,
        "user_id": an_id,
        "occurred_at": a_time,
        "type": an_id,
        "item_id": an_id,
        "session_id": an_id,
        "value": a_measure,
        "properties": a_map,
    },
}
"""How each cell of a fact is read, in the order in which columns are looked at."""

NEED_NOT_BE_THERE = ("line_id", "item_id", "session_id", "value", "properties")


def read_row(source: str, cells: Mapping[str, str | None], day: date) -> tuple[Values, str | None]:
    """A delivered row of texts as values, or the reason why it cannot be used: the first that a column gives."""
    values: Values = {}
    for name, read in READ[source].items():
        cell = cells.get(name)
        try:
            values[name] = None if cell is None else read(cell, day)
        except BadCellError as error:
            return {}, error.reason
        if values[name] is None and name not in NEED_NOT_BE_THERE:
            return {}, "missing"
    return with_defaults(source, values), None


def refusal(source: str, fates: Sequence[str], *, share: float, least: int) -> str | None:
    """
    Why a delivery stops the run, by the fates of its rows: none can be used, or of `least` or more a larger share cannot.

    Items are news at best; all other sources say who was there. A state's row that a later one overrides is not unusable.
    """
    unusable = sum(fate == "invalid" or (fate == "conflict" and source in FACTS) for fate in fates)
    if source == "items" or not fates:
        return None
    if "loaded" not in fates:
        return "no_usable_row"
    return "mostly_unusable" if len(fates) >= least and unusable > share * len(fates) else None


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


def fates(source: str, rows: Sequence[Row]) -> list[str]:
    """
    Of each row of a delivery, by file name and then row: loaded, duplicate, conflict or invalid.

    Of the rows with one identity the first of a fact is loaded, the last of a state.
    """
    found = ["invalid"] * len(rows)
    kept: list[Values] = []
    numbered = [(at, with_defaults(source, row.values)) for at, row in enumerate(rows) if row.is_valid]
    for at, values in numbered if source in FACTS else reversed(numbered):
        same = [other for other in kept if identity(source, other) == identity(source, values)]
        found[at] = "loaded" if not same else "duplicate" if same == [values] else "conflict"
        kept += [] if same else [values]
    return found


def ingest(source: str, files: Files) -> Ingested:
    """What becomes of the rows of a delivery."""
    rows = [row for _, rows in sorted(files, key=lambda file: file[0]) for row in rows]
    result = Ingested([], [], [], [])
    lists = {"loaded": result.loaded, "duplicate": result.duplicates, "conflict": result.conflicts}
    told = list(zip(rows, fates(source, rows), strict=True))
    for row, fate in told if source in FACTS else reversed(told):
        if fate == "invalid":
            result.invalid.append(row.values)
        else:
            lists[fate].append(with_defaults(source, row.values))
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
