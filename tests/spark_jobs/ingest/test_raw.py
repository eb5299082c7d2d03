"""
The law of ingestion, and what each kind of bad input gets.

All that goes on after bad rows or files is one landing zone: each case is a delivery of its own day, and each source is
loaded once. Rows are counted here from the files. What stops a run has a landing zone of its own.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from rekindle.days import ONE_DAY, Days
from rekindle.errors import InputError
from rekindle.settings import settings
from rekindle.warehouse import contracts, tables
from tests.bad_inputs import BY_INPUT, bad_input, marks

if TYPE_CHECKING:
    from pathlib import Path

    from spark_jobs.ingest import raw
    from tests.spark_jobs.conftest import Warehouse

RIGHT_TO_LEFT = "\u05e2\u05d1\u05e8\u05d9\u05ea \u200f \u0627\u0644\u0639\u0631\u0628\u064a\u0629"

Content = bytes | str
Values = dict[str, Any]

FIRST = date(2024, 4, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
TYPES = {"occurred_at": pa.timestamp("us", "UTC"), "amount": pa.decimal128(18, 2)}
"""Of Parquet columns; all others are strings."""


def order(**changes: object) -> Values:
    line = {"order_id": "o", "line_id": "0", "user_id": "ada", "occurred_at": "$dayT12:00:00Z", "kind": "sale"}
    return line | {"amount": 10.5, "currency": "USD", "item_id": "tea"} | changes


def event(**changes: object) -> Values:
    return {"event_id": "e", "user_id": "ada", "occurred_at": "$dayT12:00:00Z", "type": "visit"} | changes


def user(**changes: object) -> Values:
    return {"user_id": "ada", "registered_at": "2024-01-01T00:00:00Z", "country": "GB"} | changes


def item(**changes: object) -> Values:
    return {"item_id": "tea", "category": "drinks"} | changes


def orders(*ids: str, **changes: object) -> list[Values]:
    return [order(order_id=one, **changes) for one in ids]


def as_csv(*rows: Values) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_jsonl(*rows: Values) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_parquet(columns: Values, *rows: Values, **types: pa.DataType) -> bytes:
    """Values as they are; `$day` in texts is not replaced. Pages have checksums."""
    schema = pa.schema([(name, (TYPES | types).get(name, pa.string())) for name in columns])
    table, sink = pa.Table.from_pylist(list(rows), schema), io.BytesIO()
    parquet.write_table(table, sink, compression="NONE", write_page_checksum=True, use_dictionary=False)
    return sink.getvalue()


def in_parquet(*rows: Values, **types: pa.DataType) -> bytes:
    return as_parquet(rows[0], *rows, **types)


def column_twice(name: str) -> bytes:
    """An order in Parquet, in which a second column has the name."""
    table = parquet.read_table(io.BytesIO(in_parquet(order(occurred_at=NOON, amount=None))))
    sink = io.BytesIO()
    parquet.write_table(table.append_column(name, table["item_id"]), sink)
    return sink.getvalue()


def flipped(content: bytes) -> bytes:
    """One byte of the first page's data is another."""
    at = content.index(b"\x00flip me") + 1  # behind its length: elsewhere it is a statistic
    return content[:at] + b"F" + content[at + 1 :]


def noon(number: int) -> datetime:
    return datetime(2024, 3, 1, 12, tzinfo=UTC) + timedelta(number)


def rest_of_order() -> str:
    """An order without its id, as the end of a line of JSON."""
    return as_jsonl(order(occurred_at="2024-03-01T12:00:00Z")).partition(", ")[2].rstrip()


@dataclass(frozen=True)
class Case:
    """
    Files of one delivery and what they get.

    `loaded` are values of the source's first key column, `quarantined` are (file, row, reason), `unreadable` the files
    that count as one thing, `unseen` those that are no part of the delivery.
    """

    source: str
    files: dict[str, Content]
    loaded: list[str] = field(default_factory=list)
    duplicates: int = 0
    quarantined: list[tuple[str, int, str]] = field(default_factory=list)
    unreadable: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    warnings: dict[str, int] = field(default_factory=dict)

    @property
    def gets(self) -> str:
        """What this shows, as tests/bad_inputs.py names it."""
        return "Q" if self.quarantined else "W" if self.warnings else "fine"


def cell(name: str, value: object, reason: str, source: str = "orders") -> Case:
    """A row with a bad cell beside a good row."""
    make, key = {"orders": (order, "order_id"), "events": (event, "event_id"), "users": (user, "user_id")}[source]
    rows = [make(**{key: "good"}), make(**{key: "bad"} | {name: value})]
    return Case(source, {"rows.jsonl": as_jsonl(*rows)}, ["good"], quarantined=[("rows.jsonl", 2, reason)])


MISSING_MARKERS = next(name for name in BY_INPUT if name.startswith("null markers") and name.endswith("must be"))

D = Decimal
CENTS = {"amount": pa.decimal128(18, 4)}
EXACT = (
    "1.23",
    "1.230",
    "1.2e1",
    "1200e-3",
    "0.000",
    "0e-9",
    "100",
    "1.50e+1",
    ".5",
    "5.",
    "12300E-4",
    "-0.00",
    "5.001e1",
)
TOO_PRECISE = (
    "1.234",
    "19.995",
    "0.004",
    "1.2300000000000000000000001",
    "1234e-3",
    "1e-3",
    "1e-99999999999",
    "1e-2147483648",
    "5.0001e1",
)
MARKERS = ("\\N", "<NA>", "#N/A", "NaT", "undefined", "(not set)", "null", "NULL", "NaN")
ID_MARKERS = (*MARKERS, "NA", "-", "(none)", "<nil>", "-nan", "Not Set")
OPTIONAL_MARKERS = ("\\N", "<NA>", "#N/A", "NaT", "undefined", "(not set)", "null", "NULL", "None")
MAP = '{"plan": "gold", "n": 1.50, "big": 12345678901234567890, "is": true, "none": null, "in": {"a": [1.0, "é"]}}'
MAP_TEXTS = {"plan": "gold", "n": "1.50", "big": "12345678901234567890", "is": "true", "none": None} | {
    "in": '{"a": [1.0, "é"]}'
}
UUID_ID = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
PLAIN_TEXTS = {
    "uuid": (pa.uuid(), UUID_ID.bytes, str(UUID_ID)),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), "tea", "tea"),
    "dictionary of large strings": (pa.dictionary(pa.int8(), pa.large_string()), "tea", "tea"),
    "large string": (pa.large_string(), "tea", "tea"),
    "view": (pa.string_view(), "tea", "tea"),
    "binary": (pa.binary(), "té".encode(), "té"),
    "large binary": (pa.large_binary(), b"tea", "tea"),
    "fixed binary": (pa.binary(3), b"tea", "tea"),
    "decimal": (pa.decimal128(38, 10), D("1.5"), "1.5000000000"),
    "large decimal": (pa.decimal256(70, 0), D(10**60), "1" + "0" * 60),
    "small decimal": (pa.decimal128(38, 30), D("0.5").scaleb(-8), "0.000000005" + "0" * 21),
    "time": (pa.time64("us"), time(12, 30), "12:30:00.000000"),
    "short time": (pa.time32("ms"), time(12, 30), "12:30:00.000"),
    "date": (pa.date32(), date(2024, 3, 1), "2024-03-01"),
    "unsigned": (pa.uint64(), 2**64 - 1, "18446744073709551615"),
    "half float": (pa.float16(), 1.5, "1.5"),
    "boolean": (pa.bool_(), True, "true"),
    "nothing": (pa.null(), None, None),
}
"""Parquet types, a value of each and its text."""

FLIPPED = flipped(in_parquet(*[order(order_id=f"flip me {n}", occurred_at=noon(n), amount=None) for n in range(3)]))
LATE = {"rows.csv": as_csv(order(order_id="late", occurred_at="2024-03-31T09:00:00Z"))}
PAID_AGAIN = {"rows.csv": as_csv(order(order_id="late", occurred_at="2024-03-31T09:00:00Z", amount="99.00"))}

CASES = {
    "three formats": Case(
        "orders",
        {
            "a.csv": as_csv(*orders("c1", "c2")),
            "b.jsonl": as_jsonl(*orders("j1")),
            "c.parquet": in_parquet(order(order_id="p1", occurred_at=noon(1), amount=Decimal("10.50"))),
        },
        ["c1", "c2", "j1", "p1"],
    ),
    "files that cannot be read": Case(
        "orders",
        {
            "good.csv": as_csv(*orders("good")),
            "empty.csv": b"",
            "truncated.parquet": in_parquet(order(occurred_at=noon(1), amount=None))[:-20],
            "renamed.parquet": as_csv(*orders("x")),
            "flipped.parquet": FLIPPED,
            "wide.csv": as_csv(*orders("x")).encode("utf-16"),
            "notes.txt": "see you",
            "unclosed.csv": as_csv(*orders("x")) + 'y,"a quote that is never closed\n' + "z,0\n" * 3,
        },
        ["good"],
        quarantined=[
            ("empty.csv", 0, "empty_file"),
            ("truncated.parquet", 0, "truncated_parquet"),
            ("renamed.parquet", 0, "not_parquet"),
            ("flipped.parquet", 0, "undecodable_parquet"),
            ("wide.csv", 0, "not_utf8"),
            ("notes.txt", 0, "unknown_format"),
            ("unclosed.csv", 0, "open_quote"),
        ],
        unreadable=(
            *("empty.csv", "truncated.parquet", "renamed.parquet", "flipped.parquet"),
            *("wide.csv", "notes.txt", "unclosed.csv"),
        ),
    ),
    "header only": Case("orders", {"rows.csv": as_csv(order()).splitlines()[0]}, warnings={"no_rows": 1}),
    "parquet without rows": Case("events", {"rows.parquet": as_parquet(event())}, warnings={"no_rows": 1}),
    "declared empty": Case("orders", {}, warnings={"no_rows": 1}),
    "a file twice": Case("orders", {name: as_csv(*orders("t1", "t2")) for name in ("a.csv", "b.csv")}, ["t1", "t2"], 2),
    "a row twice": Case("events", {"rows.jsonl": as_jsonl(event(event_id="d"), event(event_id="d"))}, ["d"], 1),
    "a fact in conflict": Case(
        "orders",
        {"b.csv": as_csv(order(amount="3.00")), "a.csv": as_csv(order(amount="1.00"), order(amount="2.00"))},
        ["o"],
        quarantined=[("a.csv", 2, "conflicting_duplicate"), ("b.csv", 1, "conflicting_duplicate")],
        warnings={"conflicting_duplicate": 2},
    ),
    "a state in conflict": Case(
        "users",
        {"a.csv": as_csv(user(country="DE")), "b.csv": as_csv(user(country="US"), user(country="FR"))},
        ["ada"],
        quarantined=[("a.csv", 1, "conflicting_duplicate"), ("b.csv", 1, "conflicting_duplicate")],
        warnings={"conflicting_duplicate": 2},
    ),
    "delivered first": Case("orders", LATE, ["late"]),
    "delivered again": Case("orders", LATE, ["late"]),
    "delivered again otherwise": Case("orders", PAID_AGAIN, ["late"]),
    "columns of its own": Case(
        "orders",
        {"rows.csv": as_csv(dict(reversed(order(order_id="turned", note="gift").items())))},
        ["turned"],
        warnings={"extra_column": 1},
    ),
    "a number as text": Case(
        "events", {"rows.jsonl": as_jsonl(event(value="12"))}, ["e"], warnings={"number_as_text": 1}
    ),
    "a number and a letter": cell("value", "12a", "not_a_number", "events"),
    "a number of Java": cell("value", "12d", "not_a_number", "events"),
    "a decimal comma": cell("value", "1,5", "not_a_number", "events"),
    "not a number": cell("value", float("nan"), "not_a_number", "events"),
    "infinite": cell("value", float("-inf"), "not_a_number", "events"),
    "1e308": cell("value", 1e308, "out_of_range", "events"),
    "a price with a letter": cell("amount", "12a", "not_a_number"),
    "a price with a comma": cell("amount", "12,50", "not_a_number"),
    "a price that is not a number": cell("amount", float("nan"), "not_a_number"),
    "an infinite price": cell("amount", float("inf"), "not_a_number"),
    "a price of 1e308": cell("amount", 1e308, "not_a_number"),
    "a price of all nines": cell("amount", "9999999999999999.99", "out_of_range"),
    "a negative price": cell("amount", "-0.01", "out_of_range"),
    "an unknown currency": cell("currency", "EUR", "not_in_list"),
    "no currency": cell("currency", None, "missing"),
    "a kind of its own": cell("kind", "gift", "not_in_list"),
    "milliseconds for microseconds": Case(
        "events",
        {
            "rows.parquet": in_parquet(
                event(event_id="good", occurred_at=noon(1)),
                event(event_id="bad", occurred_at=datetime.fromtimestamp(1_711_972_800_000 / 1e6, UTC)),
            )
        },
        ["good"],
        quarantined=[("rows.parquet", 2, "time_out_of_range")],
    ),
    "1970": cell("occurred_at", "1970-01-01T00:00:00Z", "time_out_of_range"),
    "0001": cell("registered_at", "0001-01-01T00:00:00Z", "time_out_of_range", "users"),
    "9999": cell("occurred_at", "9999-12-31T23:59:59Z", "in_the_future"),
    "more than five minutes in the future": cell("occurred_at", "$nextT00:05:00.000001Z", "in_the_future"),
    "no such date": cell("occurred_at", "2024-02-30T12:00:00Z", "bad_time"),
    "a time in words": cell("occurred_at", "yesterday", "bad_time"),
    "no time": cell("occurred_at", None, "missing"),
    "no user": cell("user_id", None, "missing"),
    "an empty user": cell("user_id", "", "missing"),
    "a blank user": cell("user_id", " ", "missing"),
    "a user null": cell("user_id", "null", "missing"),
    "a user nan": cell("user_id", "NaN", "missing"),
    "a user of 10 kB": cell("user_id", "x" * 10_000, "too_long"),
    "a user with NUL": cell("user_id", "a\0b", "control_character"),
    "a user with a newline": cell("user_id", "a\nb", "control_character"),
    "a newline in csv": Case(
        "orders",
        {"rows.csv": as_csv(order(order_id="bad", user_id="a\nb"), order(order_id="good"))},
        ["good"],
        quarantined=[("rows.csv", 1, "control_character")],
    ),
    "ids that look dangerous": Case(
        "orders",
        {"rows.csv": as_csv(*orders("Robert'); DROP TABLE scores;--", "../../etc/passwd", "$(rm -rf .)"))},
        ["Robert'); DROP TABLE scores;--", "../../etc/passwd", "$(rm -rf .)"],
    ),
    "bytes that are no UTF-8": Case(
        "orders",
        {"rows.csv": as_csv(*orders("good", "b\xe4d")).encode("latin-1")},
        ["good"],
        quarantined=[("rows.csv", 2, "not_utf8")],
    ),
    "a BOM": Case("orders", {"rows.csv": as_csv(*orders("good")).encode("utf-8-sig")}, ["good"]),
    "texts of all kinds": Case(
        "items",
        {
            "rows.jsonl": as_jsonl(
                item(item_id="script", category="<script>alert(1)</script>"),
                item(item_id="emoji", category="🧸 🇩🇪"),
                item(item_id="right to left", category=RIGHT_TO_LEFT),
            )
        },
        ["script", "emoji", "right to left"],
    ),
    "times at edges": Case(
        "events",
        {
            "rows.csv": as_csv(
                event(event_id="midnight", occurred_at="$nextT00:00:00Z"),
                event(event_id="five past", occurred_at="$nextT00:05:00Z"),
                event(event_id="leap day", occurred_at="2024-02-29T23:59:59.999999Z"),
                event(event_id="DST gap", occurred_at="2024-03-31T02:30:00+01:00"),
                event(event_id="year end", occurred_at="2023-12-31T23:30:00-05:00"),
                event(event_id="no seconds", occurred_at="2024-03-05 23:30+0530"),
                event(event_id="small letters", occurred_at="2024-03-05t00:30:00.5-01"),
            )
        },
        ["midnight", "five past", "leap day", "DST gap", "year end", "no seconds", "small letters"],
    ),
    "one user and many categories": Case(
        "events",
        {
            "rows.csv": as_csv(
                *[
                    event(event_id=f"e{n}", user_id="robot" if n % 5 < 2 else f"u{n}", type=f"kind {n}")
                    for n in range(2000)
                ]
            )
        },
        [f"e{n}" for n in range(2000)],
        warnings={"dominant_user": 800},
    ),
    "a type for each row": Case(
        "events",
        {"rows.csv": as_csv(*[event(event_id=f"e{n}", type=f"https://shop/{n}") for n in range(12_500)])},
        [f"e{n}" for n in range(12_500)],
        warnings={"dominant_user": 12_500, "many_values": 10_000},
    ),
    "a refund before its sale": Case(
        "orders",
        {"rows.csv": as_csv(order(kind="refund", line_id="r1", occurred_at="2024-03-30T12:00:00Z"), order())},
        ["o", "o"],
    ),
    "no line number": Case("orders", {"rows.jsonl": as_jsonl(order(line_id=None), order(line_id="0"))}, ["o"], 1),
    "broken lines": Case(
        "events",
        {"rows.jsonl": as_jsonl(event()) + '{"event_id": \n["e2"]\n\n' + as_jsonl(event(event_id="e3"))},
        ["e", "e3"],
        quarantined=[("rows.jsonl", 2, "bad_json"), ("rows.jsonl", 3, "bad_json")],
    ),
    "a comma too many": Case(
        "orders",
        {"rows.csv": as_csv(*orders("good", "bad")).rstrip("\n") + ",\n\n"},
        ["good"],
        quarantined=[("rows.csv", 2, "wrong_cell_count")],
    ),
    "a line of a hundred thousand brackets": Case(
        "events",
        {"rows.jsonl": as_jsonl(event()) + "[" * 100_000 + "\n"},
        ["e"],
        quarantined=[("rows.jsonl", 2, "bad_json")],
    ),
    "a quote within quotes that is not doubled": Case(
        "items", {"rows.csv": 'item_id,title\nscreen,"a 5" screen"\ntea,"Earl Grey" \n'}, ["screen", "tea"]
    ),
    "a cell of 200 kB": Case("items", {"rows.csv": as_csv(item(title="x" * 200_000))}, ["tea"]),
    "before its user has registered": Case(
        "events",
        {"rows.csv": as_csv(event(occurred_at="2023-12-30T12:00:00Z"))},
        ["e"],
        warnings={"before_registration": 1},
    ),
    "a map that is none": cell("properties", "page=1", "bad_map", "events"),
    "more digits than cents": Case(
        "orders",
        {
            "a.csv": as_csv(
                *(order(order_id=f"fine {n}", amount=a) for n, a in enumerate(EXACT)),
                *(order(order_id=f"cut {n}", amount=a) for n, a in enumerate(TOO_PRECISE)),
            ),
            "b.jsonl": as_jsonl(order(order_id="text", amount="1.234"), order(order_id="number", amount=19.995)),
            "c.parquet": in_parquet(order(order_id="decimal", occurred_at=noon(1), amount=D("0.004")), **CENTS),
            "d.parquet": in_parquet(
                *(order(order_id=f"double {a}", occurred_at=noon(1), amount=a) for a in (1.234, 19.99, 100.0)),
                amount=pa.float64(),
            ),
            "e.parquet": in_parquet(
                *(order(order_id=f"float {a}", occurred_at=noon(1), amount=a) for a in (0.004, 19.99)),
                amount=pa.float32(),
            ),
            "f.parquet": in_parquet(order(order_id="exact", occurred_at=noon(1), amount=D("1.2300")), **CENTS),
        },
        [*(f"fine {n}" for n in range(len(EXACT))), "double 19.99", "double 100.0", "float 19.99", "exact"],
        quarantined=[
            *(("a.csv", len(EXACT) + 1 + n, "too_precise") for n in range(len(TOO_PRECISE))),
            ("b.jsonl", 1, "too_precise"),
            ("b.jsonl", 2, "too_precise"),
            ("c.parquet", 1, "too_precise"),
            ("d.parquet", 1, "too_precise"),
            ("e.parquet", 1, "too_precise"),
        ],
    ),
    "null markers for an id": Case(
        "orders",
        {"a.csv": as_csv(order(order_id="good"), *(order(order_id="bad", user_id=text) for text in ID_MARKERS))},
        ["good"],
        quarantined=[("a.csv", n, "missing") for n in range(2, len(ID_MARKERS) + 2)],
    ),
    "null markers where nothing may stand": Case(
        "events",
        {
            "a.csv": as_csv(
                *(
                    event(event_id=f"e{n}", value=text, properties=text, item_id=text, session_id=text)
                    for n, text in enumerate(OPTIONAL_MARKERS)
                )
            )
        },
        [f"e{n}" for n in range(len(OPTIONAL_MARKERS))],
    ),
    "null markers for what must be there": Case(
        "orders",
        {
            "a.csv": as_csv(
                order(order_id="good"),
                order(order_id="bad", amount="\\N"),
                order(order_id="bad", occurred_at="NaT"),
                order(order_id="bad", currency="undefined"),
            )
        },
        ["good"],
        quarantined=[("a.csv", n, "missing") for n in (2, 3, 4)],
    ),
    "null markers in texts": Case(
        "users",
        {"a.csv": as_csv(*(user(user_id=f"u{n}", country=text) for n, text in enumerate((*MARKERS, "Nil", "NA"))))},
        [f"u{n}" for n in range(len(MARKERS) + 2)],
    ),
    "blanks around ids": Case(
        "orders",
        {
            "a.csv": as_csv(order(), order(user_id="ada "), order(user_id="\u00a0ada\t", order_id=" o")),
            "b.jsonl": as_jsonl(order(order_id=" p ", item_id="\ufefftea"), order(order_id="q", line_id=" ")),
        },
        ["o", "p", "q"],
        2,
        warnings={"trimmed_id": 1},
    ),
    "one id as a number and as text": Case(
        "orders",
        {
            "a.jsonl": '{"order_id": 123, '
            + rest_of_order()
            + '\n{"order_id": 123.0, '
            + rest_of_order()
            + '\n{"order_id": "123", '
            + rest_of_order()
            + '\n{"order_id": "123.0", '
            + rest_of_order(),
            "b.parquet": in_parquet(order(order_id=123, occurred_at=NOON, amount=D("10.50")), order_id=pa.int64()),
            "c.parquet": in_parquet(order(order_id=123.0, occurred_at=NOON, amount=D("10.50")), order_id=pa.float64()),
            "d.parquet": in_parquet(
                order(order_id=D("123.00"), occurred_at=NOON, amount=D("10.50")), order_id=pa.decimal128(10, 2)
            ),
            "e.csv": as_csv(
                *(order(order_id=one, occurred_at="2024-03-01T12:00:00Z") for one in ("123", "123.0", "1.41556E+10"))
            ),
            "f.parquet": in_parquet(
                order(order_id=12345678901234567890.0, occurred_at=NOON, amount=D("10.50")), order_id=pa.float64()
            ),
        },
        ["123"],
        6,
        quarantined=[
            ("a.jsonl", 4, "decimal_id"),
            ("e.csv", 2, "decimal_id"),
            ("e.csv", 3, "decimal_id"),
            ("f.parquet", 1, "decimal_id"),
        ],
    ),
    "an empty map of PHP": Case(
        "events",
        {
            "a.csv": as_csv(event(event_id="c", properties="[]")),
            "b.jsonl": as_jsonl(event(event_id="j", properties=[]), event(event_id="bad", properties=[1])),
        },
        ["c", "j"],
        quarantined=[("b.jsonl", 2, "bad_map")],
    ),
    "maps from all forms": Case(
        "events",
        {
            "a.csv": as_csv(event(event_id="c", properties=MAP)),
            "b.jsonl": as_jsonl(event(event_id="j")).rstrip("}\n") + f', "properties": {MAP}}}\n',
            "c.parquet": in_parquet(
                event(event_id="p", occurred_at=noon(1), properties=list(MAP_TEXTS.items())),
                properties=pa.map_(pa.string(), pa.string()),
            ),
            "d.csv": as_csv(event(event_id="n", properties='{"n": 1.50}')),
            "e.parquet": in_parquet(
                event(event_id="m", occurred_at=noon(1), properties=[("n", D("1.50"))]),
                properties=pa.map_(pa.string(), pa.decimal128(5, 2)),
            ),
        },
        ["c", "j", "p", "n", "m"],
    ),
    "files in subfolders": Case(
        "orders",
        {
            "a.csv": as_csv(*orders("top")),
            "hour=00/b.csv": as_csv(*orders("below")),
            "hour=01/part/c.jsonl": as_jsonl(*orders("deeper", "deeper")),
            "hour=01/readme.txt": "see you",
            "hour=01/_SUCCESS": "",
            "hour=01/.c.jsonl.crc": "crc",
            "_temporary/d.csv": as_csv(*orders("unfinished")),
            ".spark/e.csv": as_csv(*orders("unfinished")),
        },
        ["top", "below", "deeper"],
        1,
        quarantined=[("hour=01/readme.txt", 0, "unknown_format")],
        unreadable=("hour=01/readme.txt",),
        unseen=("hour=01/_SUCCESS", "hour=01/.c.jsonl.crc", "_temporary/d.csv", ".spark/e.csv"),
    ),
    "only files in subfolders": Case("orders", {"hour=00/b.csv": as_csv(*orders("below"))}, ["below"]),
    "parquet of many types": Case(
        "events",
        {
            f"{name}.parquet": in_parquet(event(event_id=name, occurred_at=noon(1), item_id=value), item_id=kind)
            for name, (kind, value, _) in PLAIN_TEXTS.items()
        },
        list(PLAIN_TEXTS),
    ),
    "parquet of bytes that are no text": Case(
        "events",
        {
            "a.parquet": in_parquet(
                event(event_id="good", occurred_at=noon(1), item_id=b"tea"),
                event(event_id="bad", occurred_at=noon(1), item_id=b"t\xe9"),
                item_id=pa.binary(),
            )
        },
        ["good"],
        quarantined=[("a.parquet", 2, "not_utf8")],
    ),
    "decimals of other sizes": Case(
        "orders",
        {
            "a.parquet": in_parquet(
                order(order_id="large", occurred_at=noon(1), amount=D("1200.00")), amount=pa.decimal256(60, 20)
            ),
            "b.parquet": in_parquet(
                order(order_id="short", occurred_at=noon(1), amount=D("12.00")), amount=pa.decimal128(9, 2)
            ),
        },
        ["large", "short"],
    ),
    "a map in which nothing is a pair": cell("properties", [["a", 1]], "bad_map", "events"),
    "half of the rows cannot be used": Case(
        "orders",
        {"a.csv": as_csv(*orders(*(f"g{n}" for n in range(10))), *(order(kind="gift") for _ in range(10)))},
        [f"g{n}" for n in range(10)],
        quarantined=[("a.csv", n, "not_in_list") for n in range(11, 21)],
    ),
    "few rows of which most cannot be used": Case(
        "orders",
        {"a.csv": as_csv(*orders("good"), *(order(kind="gift") for _ in range(18)))},
        ["good"],
        quarantined=[("a.csv", n, "not_in_list") for n in range(2, 20)],
    ),
    "a log of changes": Case(
        "users",
        {"a.csv": as_csv(*(user(country=f"C{n}") for n in range(30)))},
        ["ada"],
        quarantined=[("a.csv", n, "conflicting_duplicate") for n in range(1, 30)],
        warnings={"conflicting_duplicate": 29},
    ),
    "items of which none can be used": Case(
        "items",
        {"a.csv": as_csv(*(item(item_id="") for _ in range(30)))},
        quarantined=[("a.csv", n, "missing") for n in range(1, 31)],
    ),
}

DAYS = {name: FIRST + n * ONE_DAY for n, name in enumerate(CASES)}
NAMED = {"orders": "order_id", "events": "event_id", "users": "user_id", "items": "item_id"}


def deliver(landing: Path, source: str, day: date, files: dict[str, Content]) -> None:
    """Write a delivery, complete, over what is there; `$day` and `$next` become dates."""
    folder = landing / source / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.rglob("*"):
        if old.is_file():
            old.unlink()
    for name, content in files.items():
        dated = content if isinstance(content, bytes) else content.encode()
        dated = dated.replace(b"$day", str(day).encode()).replace(b"$next", str(day + ONE_DAY).encode())
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(dated)
    (folder / "_SUCCESS").touch()


@dataclass(frozen=True)
class Loaded:
    """What stands in the tables when all cases were loaded."""

    done: dict[str, raw.Ingested]
    rows: dict[str, list[Values]]
    quarantine: list[Values]
    ledger: dict[tuple[str, date], Values]

    def of(self, name: str) -> list[Values]:
        """Rows of a case, in the order of the ids that it expects."""
        case, day = CASES[name], DAYS[name]
        rows = [row for row in self.rows[case.source] if row["day"] == day]
        places = {one: place for place, one in enumerate(case.loaded)}
        return sorted(rows, key=lambda row: places[row[NAMED[case.source]]])


@pytest.fixture(scope="module")
def loaded(warehouse: Warehouse) -> Loaded:
    for name, case in CASES.items():
        deliver(warehouse.landing, case.source, DAYS[name], case.files)
    done = warehouse.ingest(Days(tuple(DAYS.values())))
    ledger = {(row["source"], row["day"]): row for row in warehouse.rows("raw.deliveries")}
    rows = {source: warehouse.rows(f"raw.{source}") for source in NAMED}
    return Loaded(done, rows, warehouse.rows("raw.quarantine"), ledger)


def rows_in(name: str, content: Content) -> int:
    """Rows of a readable file, counted without any of our code."""
    if name.endswith(".parquet"):
        return parquet.ParquetFile(io.BytesIO(content)).metadata.num_rows
    text = content if isinstance(content, str) else content.decode("utf-8-sig", errors="replace")
    if name.endswith(".jsonl"):
        return sum(1 for line in text.split("\n") if line)
    return sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1


# What goes on


SHOWS = {
    "files that cannot be read": (
        *("a file of 0 bytes", "a truncated Parquet file", "a CSV file renamed to .parquet"),
        *("a flipped byte in a page that has a checksum", "UTF-16", "a quote that is never closed"),
    ),
    "header only": ("a header-only file",),
    "parquet without rows": ("a Parquet file of 0 rows",),
    "declared empty": ("a day declared empty",),
    "a file twice": ("the same file twice under two names",),
    "a row twice": ("exact duplicate rows",),
    "a fact in conflict": ("the same id, other payload within a delivery",),
    "a state in conflict": ("the same state twice within a delivery, otherwise",),
    "delivered again": ("the same id and date again on a later day, same payload",),
    "delivered again otherwise": ("the same id and date again on a later day, other payload",),
    "columns of its own": ("an extra column",),
    "a number as text": ('a number as text, "12"',),
    "a number and a letter": ('a number with a letter, "12a"',),
    "a price with a letter": ('a number with a letter, "12a"',),
    "a decimal comma": ("a decimal comma",),
    "a price with a comma": ("a decimal comma",),
    "not a number": ("NaN",),
    "a price that is not a number": ("NaN",),
    "infinite": ("inf",),
    "an infinite price": ("inf",),
    "1e308": ("1e308",),
    "a price of 1e308": ("1e308",),
    "a negative price": ("a negative amount on a sale",),
    "an unknown currency": ("an unknown currency",),
    "no currency": ("a missing currency",),
    "milliseconds for microseconds": ("a time in ms for µs",),
    "1970": ("the year 1970",),
    "0001": ("the year 0001",),
    "9999": ("the year 9999",),
    "more than five minutes in the future": ("more than 5 minutes in the future",),
    "no user": ("user_id null",),
    "an empty user": ("user_id ''",),
    "a blank user": ("user_id ' '",),
    "a user null": ("user_id 'null'",),
    "a user nan": ("user_id 'nan'",),
    "a user of 10 kB": ("user_id of 10 kB",),
    "a user with NUL": ("user_id with NUL",),
    "a user with a newline": ("user_id with a newline",),
    "a newline in csv": ("user_id with a newline",),
    "ids that look dangerous": ("user_id `Robert'); DROP TABLE scores;--`", "user_id `../../etc/passwd`"),
    "bytes that are no UTF-8": ("invalid UTF-8",),
    "a BOM": ("a BOM",),
    "one user and many categories": ("one user with 40 % of all rows",),
    "a type for each row": ("1e5 categories",),
    "a refund before its sale": ("a refund before its sale",),
    "more digits than cents": ("more digits than cents (1.234)",),
    "null markers for an id": (MISSING_MARKERS,),
    "null markers for what must be there": (MISSING_MARKERS,),
    "null markers where nothing may stand": ("null markers of exporters where nothing may stand",),
    "blanks around ids": ("blanks around an id",),
    "one id as a number and as text": ('123, 123.0 and "123" as an id',),
    "only files in subfolders": ("a file in a subfolder of a delivery",),
    "parquet of many types": ("Parquet types with a plain text (UUID, dictionary, time)",),
}
"""Which of the bad inputs some cases show."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=marks(SHOWS.get(name, ()), gets=case.gets)) for name, case in CASES.items()],
)
def test_a_delivery_gets_what_it_should(name: str, loaded: Loaded):
    """Good rows are loaded, bad rows and files are in quarantine with their reason, and warnings are counted."""
    case, day = CASES[name], DAYS[name]
    rejected = [row for row in loaded.quarantine if (row["source"], row["day"]) == (case.source, day)]

    assert sorted(row[NAMED[case.source]] for row in loaded.of(name)) == sorted(case.loaded)
    assert sorted((row["file"], row["row"], row["reason"]) for row in rejected) == sorted(case.quarantined)
    assert loaded.ledger[case.source, day]["warnings"] == case.warnings


@pytest.mark.parametrize("name", CASES)
def test_delivered_is_loaded_and_duplicates_and_quarantined(name: str, loaded: Loaded):
    case, entry = CASES[name], loaded.ledger[CASES[name].source, DAYS[name]]
    seen = {file: content for file, content in case.files.items() if file not in case.unseen}
    delivered = sum(1 if file in case.unreadable else rows_in(file, content) for file, content in seen.items())

    assert [entry[f"{fate}_rows"] for fate in ("delivered", "loaded", "duplicate", "quarantined")] == [
        delivered,
        len(case.loaded),
        case.duplicates,
        len(case.quarantined),
    ]
    assert delivered == len(case.loaded) + case.duplicates + len(case.quarantined)


def test_an_ingestion_tells_the_sums_of_its_days(loaded: Loaded):
    of_orders = [case for case in CASES.values() if case.source == "orders"]
    told = loaded.done["orders"].told

    assert told["loaded"] == sum(len(case.loaded) for case in of_orders)
    assert told["quarantined"] == sum(len(case.quarantined) for case in of_orders)
    assert (told["absent_days"], told["unchanged_days"]) == (len(CASES) - len(of_orders), 0)


def test_all_formats_say_the_same(loaded: Loaded):
    def said(row: Values) -> Values:
        return {name: value for name, value in row.items() if name not in {"order_id", "occurred_at", "occurred_on"}}

    rows = loaded.of("three formats")

    assert [said(row) for row in rows] == [said(rows[0])] * 4
    assert (rows[0]["amount"], rows[0]["currency"], rows[0]["kind"]) == (Decimal("10.50"), "USD", "sale")
    assert [row["occurred_at"].hour for row in rows] == [12] * 4


def test_a_parquet_value_is_its_plain_text(loaded: Loaded):
    """And no damage: UUIDs, dictionaries, decimals of any size, times."""
    found = {row["event_id"]: row["item_id"] for row in loaded.of("parquet of many types")}

    assert found == {name: text for name, (_, _, text) in PLAIN_TEXTS.items()}


def test_a_map_says_the_same_in_all_forms(loaded: Loaded):
    """A number in it keeps its digits, what is nested is JSON."""
    found = {row["event_id"]: row["properties"] for row in loaded.of("maps from all forms")}

    assert found == {"c": MAP_TEXTS, "j": MAP_TEXTS, "p": MAP_TEXTS, "n": {"n": "1.50"}, "m": {"n": "1.50"}}
    assert [row["properties"] for row in loaded.of("an empty map of PHP")] == [{}, {}]


def test_a_null_marker_says_that_nothing_is_there(loaded: Loaded):
    """In a column that may be empty; a word like Nil, or Namibia's code, is a text."""
    events = loaded.of("null markers where nothing may stand")
    names = ("value", "properties", "item_id", "session_id")

    assert {row[name] for row in events for name in names if not isinstance(row[name], dict)} == {None}
    assert {row["properties"] for row in events if not row["properties"]} == {None}
    assert [row["country"] for row in loaded.of("null markers in texts")] == [None] * len(MARKERS) + ["Nil", "NA"]


def test_ids_are_read_without_the_blanks_around_them(loaded: Loaded):
    rows = loaded.of("blanks around ids")

    assert [(row["user_id"], row["order_id"], row["line_id"], row["item_id"]) for row in rows] == [
        ("ada", "o", "0", "tea"),
        ("ada", "p", "0", "tea"),
        ("ada", "q", "0", "tea"),
    ]


@bad_input("another order of columns", gets="fine")
def test_the_order_of_columns_means_nothing(loaded: Loaded):
    (row,) = loaded.of("columns of its own")

    assert (row["user_id"], row["amount"], row["item_id"]) == ("ada", Decimal("10.50"), "tea")


@bad_input("the same id, other payload within a delivery", gets="Q")
def test_of_facts_in_conflict_the_first_of_the_first_file_wins(loaded: Loaded):
    (row,) = loaded.of("a fact in conflict")

    assert row["amount"] == Decimal("1.00")


@bad_input("the same state twice within a delivery, otherwise", gets="Q")
def test_of_states_in_conflict_the_last_of_the_last_file_wins(loaded: Loaded):
    (row,) = loaded.of("a state in conflict")

    assert row["country"] == "FR"


def test_quarantine_keeps_what_was_delivered(loaded: Loaded):
    def kept(name: str) -> list[str | None]:
        rows = [row for row in loaded.quarantine if row["day"] == DAYS[name]]
        return [row["raw_text"] for row in sorted(rows, key=lambda row: (row["file"], row["row"]))]

    assert [json.loads(text)["amount"] for text in kept("a fact in conflict")] == [2.0, 3.0]
    assert json.loads(kept("a price with a letter")[0])["amount"] == "12a"
    assert kept("broken lines") == ['{"event_id": ', '["e2"]']
    assert json.loads(kept("a comma too many")[0])[0] == "bad"
    assert set(kept("files that cannot be read")) == {None}


def test_quarantine_names_the_column(loaded: Loaded):
    named = {row["day"]: row["column"] for row in loaded.quarantine}

    assert named[DAYS["a negative price"]] == "amount"
    assert named[DAYS["a user nan"]] == "user_id"
    assert named[DAYS["a comma too many"]] is None


@bad_input(
    "the same id and date again on a later day, same payload",
    "the same id and date again on a later day, other payload",
    gets="fine",
)
def test_a_later_delivery_of_a_fact_is_loaded_and_counted_as_a_repeat(loaded: Loaded):
    names = ("delivered first", "delivered again", "delivered again otherwise")

    assert [loaded.ledger["orders", DAYS[name]]["repeated_rows"] for name in names] == [0, 1, 1]
    assert [loaded.ledger["orders", DAYS[name]]["late_rows"] for name in names] == [1, 1, 1]
    assert [loaded.of(name)[0]["amount"] for name in names] == [Decimal("10.50"), Decimal("10.50"), Decimal("99.00")]


@bad_input("an event exactly at midnight after `day`", "29 February", "a DST gap", "year end", gets="fine")
def test_times_at_edges_fall_on_their_utc_date(loaded: Loaded):
    midnight = DAYS["times at edges"] + ONE_DAY

    assert [row["occurred_on"] for row in loaded.of("times at edges")] == [
        midnight,
        midnight,
        date(2024, 2, 29),
        date(2024, 3, 31),
        date(2024, 1, 1),
        date(2024, 3, 5),
        date(2024, 3, 5),
    ]


@bad_input("`<script>` in a category", "emoji and right-to-left text", gets="fine")
def test_texts_of_all_kinds_stay_as_they_are(loaded: Loaded):
    assert [row["category"] for row in loaded.of("texts of all kinds")] == [
        "<script>alert(1)</script>",
        "🧸 🇩🇪",
        RIGHT_TO_LEFT,
    ]


def test_rows_of_users_whom_no_delivery_has_named_are_loaded_and_counted(loaded: Loaded):
    """Ada is known from the delivery of the state in conflict on."""
    known_on = DAYS["a state in conflict"]
    unknown = {day: entry["unknown_user_rows"] for (source, day), entry in loaded.ledger.items() if source == "orders"}

    assert unknown[DAYS["three formats"]] == 4
    assert {count for day, count in unknown.items() if day > known_on} == {0}


def test_what_has_not_changed_is_left_as_it_is(warehouse: Warehouse, loaded: Loaded):
    before = tables.snapshot_id(warehouse.spark, "raw.events")
    again = warehouse.ingest(Days(tuple(DAYS.values())), ("events",))["events"]

    assert tables.snapshot_id(warehouse.spark, "raw.events") == before
    assert again.told == loaded.done["events"].told | {"unchanged_days": len(CASES) - again.told["absent_days"]}


def test_a_delivery_that_comes_again_replaces_all_it_had_brought(warehouse: Warehouse, loaded: Loaded):
    """Its bad rows as well, and nothing of another day or source."""
    day = DAYS["a negative price"]
    deliver(warehouse.landing, "orders", day, {"rows.csv": as_csv(*orders("good", "no longer bad"))})
    warehouse.ingest(Days.one(day), ("orders",))
    rows = warehouse.rows("raw.orders", f"day = DATE'{day}'")
    (entry,) = warehouse.rows("raw.deliveries", f"source = 'orders' AND day = DATE'{day}'")
    quarantine = warehouse.rows("raw.quarantine")

    assert {row["order_id"] for row in rows} == {"good", "no longer bad"}
    assert (entry["version"], entry["quarantined_rows"]) == (2, 0)
    assert len(quarantine) == len(loaded.quarantine) - 1
    assert len(warehouse.rows("raw.deliveries")) == len(loaded.ledger)


# What stops a run


STOPS = {
    "a required column is missing": ({"a.csv": "order_id,user_id\no,ada\n"}, "has no column 'occurred_at'"),
    "a required column has another name": (
        {"a.csv": as_csv(order()).replace("user_id", "userId")},
        r"a\.csv has no column 'user_id', which is required\. Did you mean 'userId'\?",
    ),
    "a column of jsonl is missing": (
        {"good.csv": as_csv(order()), "rows.jsonl": '{"order_id": "o"}\n'},
        r"rows\.jsonl has no column 'user_id'",
    ),
    "the only file is unreadable": ({"a.parquet": b"PAR1"}, r"a\.parquet is unreadable \(truncated_parquet\)"),
    "the only file has a damaged page": (
        {"a.parquet": FLIPPED},
        r"a\.parquet is unreadable \(undecodable_parquet\), and no other file",
    ),
    "all files are unreadable, each in its way": (
        {"a.parquet": b"PAR1", "b.parquet": FLIPPED, "c.csv": b""},
        "is unreadable",
    ),
    "a csv of times without zone": (
        {"a.csv": as_csv(order(order_id="fine"), order(occurred_at="$day 12:00:00"))},
        r"a\.csv, row 2, column 'occurred_at': the time has no zone",
    ),
    "parquet of times without zone": (
        {"a.parquet": in_parquet(order(occurred_at=datetime(2024, 3, 1), amount=None), occurred_at=pa.timestamp("us"))},  # noqa: DTZ001 - this is the mistake
        r"a\.parquet, column 'occurred_at': the time has no zone",
    ),
    "a csv with a column twice": (
        {"good.csv": as_csv(order()), "b.csv": as_csv(order()).replace("item_id", "user_id")},
        r"duplicate_column: .*b\.csv has the column 'user_id' twice",
    ),
    "parquet with a column twice": (
        {"a.parquet": column_twice("user_id")},
        r"duplicate_column: .*a\.parquet has the column 'user_id' twice",
    ),
    "a json object with a key twice": (
        {"a.jsonl": as_jsonl(order()).replace("{", '{"user_id": "eve", ')},
        r"duplicate_column: .*a\.jsonl has the column 'user_id' twice",
    ),
    "a json object far below with a key twice": (
        {"a.jsonl": as_jsonl(*orders(*map(str, range(1500)))) + '{"amount": 1, "amount": 2}\n'},
        r"duplicate_column: .*a\.jsonl, row 1501 has the column 'amount' twice",
    ),
    "a header that is not UTF-8": (
        {"a.csv": as_csv(order()).replace("item_id", "größe").encode("cp1252")},
        r"not_utf8: .*a\.csv: the names of its columns are not UTF-8",
    ),
    "parquet of spans of time": (
        {
            "a.parquet": in_parquet(
                order(occurred_at=NOON, amount=None, item_id=timedelta(1)), item_id=pa.duration("us")
            )
        },
        r"unsupported_type: .*a\.parquet, column 'item_id' is of the type duration\[us\]",
    ),
    "parquet of lists": (
        {"a.parquet": in_parquet(order(occurred_at=NOON, amount=None, user_id=["a"]), user_id=pa.list_(pa.string()))},
        r"unsupported_type: .*column 'user_id' is of the type list",
    ),
    "no time can be read": (
        {
            "a.csv": as_csv(
                order(order_id="1", occurred_at="$day 10:00:00 UTC"),
                order(order_id="2", occurred_at="$day 10:00 -0500"),
            )
        },
        r"no_usable_row: .* of 2 rows 2 cannot be used\. Most often it is bad_time in column 'occurred_at', first in a\.csv",
    ),
    "all currencies are of small letters": (
        {"a.csv": as_csv(order(currency="usd")), "b.csv": as_csv(order(currency="usd"))},
        "no_usable_row: .*not_in_list in column 'currency'",
    ),
    "nothing but a header can be read": ({"a.csv": as_csv(order()).splitlines()[0], "b.csv": b""}, "no_usable_row"),
    "more than half of twenty rows cannot be used": (
        {"a.csv": as_csv(*orders(*(f"g{n}" for n in range(9))), *(order(kind="gift") for _ in range(11)))},
        "mostly_unusable: .* of 20 rows 11 cannot be used",
    ),
    "parquet of dates": (
        {"a.parquet": in_parquet(order(occurred_at=date(2024, 3, 1), amount=None), occurred_at=pa.date32())},
        "the time has no zone",
    ),
}


STOPS_SHOW = {
    "a required column is missing": ("a required column missing",),
    "a required column has another name": ("a required column renamed (`userId`)",),
    "the only file is unreadable": ("each of these as the day's only file",),
    "the only file has a damaged page": ("each of these as the day's only file",),
    "all files are unreadable, each in its way": ("each of these as the day's only file",),
    "a csv of times without zone": ("no time zone declared",),
    "parquet of times without zone": ("no time zone declared",),
    "a csv with a column twice": ("a column name twice, in csv",),
    "parquet with a column twice": ("a column name twice, in Parquet",),
    "a json object with a key twice": ("a key twice, in jsonl",),
    "a json object far below with a key twice": ("a key twice, in jsonl",),
    "parquet of spans of time": ("Parquet types without a plain text (spans of time, lists)",),
    "parquet of lists": ("Parquet types without a plain text (spans of time, lists)",),
    "no time can be read": ("no usable row in a delivery of a required source",),
    "all currencies are of small letters": ("no usable row in a delivery of a required source",),
    "more than half of twenty rows cannot be used": ("more than half of at least 20 rows unusable",),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=marks(STOPS_SHOW.get(name, ()), gets="E")) for name in STOPS],
)
def test_unusable_files_stop_the_run_before_anything_is_written(
    name: str, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files, message = STOPS[name]
    day = FIRST - ONE_DAY
    deliver(tmp_path, "orders", day, files)
    monkeypatch.setenv("REKINDLE_LANDING", str(tmp_path))
    settings.cache_clear()
    written = [table for table in contracts.tables() if table.startswith("raw.")]
    before = {table: tables.snapshot_id(warehouse.spark, table) for table in written}
    try:
        with pytest.raises(InputError, match=message) as stopped:
            warehouse.ingest(Days.one(day), ("orders",))
    finally:
        monkeypatch.undo()
        settings.cache_clear()

    assert stopped.value.exit_code == 2
    assert f"orders/day={day}" in str(stopped.value)
    assert {table: tables.snapshot_id(warehouse.spark, table) for table in written} == before


def test_a_delivery_without_success_is_not_looked_at(warehouse: Warehouse):
    day = FIRST - ONE_DAY
    deliver(warehouse.landing, "orders", day, {"half.csv": "order_id"})
    (warehouse.landing / "orders" / f"day={day}" / "_SUCCESS").unlink()

    assert warehouse.ingest(Days.one(day), ("orders",))["orders"].told["absent_days"] == 1
