"""
Files as exporters write them, well and badly, drawn by hypothesis: csv, jsonl and Parquet, quoted and encoded in many ways.

A file is drawn without dates: its rows happen on the first, second or third day from whatever day it is written for.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = (
    "a",
    "b",
    "a ",
    "\u00a0b",
    "7",
    "7.0",
    "",
    "\\N",
    "null",
    "ü",
    'a "b"',
    "a\r\nb",
    "a\rb",
    "a,b",
    "x" * 300,
    "a\0b",
)
TEXTS = ("", "tea", "a,b", 'a 5" screen', "\r", "a\r\nb", "(not set)", "NaN", "🧸", " ")
AMOUNTS = ("1.00", "1.00", "12.5", "1.234", "1.230", "1e1", "12a", "1,5", "NaN", "", "-1", "1e308", "\\N")
CLOCKS = ("T10:00:00Z", " 12:30Z", "t23:59:59.999999999z", "T00:00:00+00:00", "T23:30:00-0030")
"""Times of day, all within the same UTC date but for the last, which is of the next."""
NO_TIMES = ("", "yesterday", "NaT", "$0T10:00:00", "$0", "2024-02-30T10:00:00Z", "$0T10:00:00 UTC")
MAPS = ("", "{}", "[]", '{"a": 1.50}', '{"a": {"b": [1.0, null]}}', "page=1", '{"a": "ü"}', "[1]", '{"a": 1, "a": 2}')
CELLS: dict[str, dict[str, tuple[str, ...]]] = {
    "orders": {
        "order_id": IDS,
        "line_id": ("0", "1"),
        "user_id": IDS,
        "kind": ("sale", "sale", "refund", "gift", ""),
        "amount": AMOUNTS,
        "currency": ("USD", "USD", "USD", "usd", ""),
        "item_id": TEXTS,
    },
    "events": {
        "event_id": IDS,
        "user_id": IDS,
        "type": ("visit", "visit", " visit", ""),
        "item_id": TEXTS,
        "value": AMOUNTS,
        "properties": MAPS,
    },
}


@dataclass(frozen=True)
class DrawnFile:
    """A file of a source, of which `write` makes the bytes for a first day."""

    source: str
    form: str
    write: Callable[[date], bytes]


def dated(text: str, first: date) -> str:
    for number in range(3):
        text = text.replace(f"${number}", str(first + timedelta(number)))
    return text


@st.composite
def files(draw: st.DrawFn) -> DrawnFile:
    source = draw(st.sampled_from(sorted(CELLS)))
    form = draw(st.sampled_from(["csv", "csv", "jsonl", "parquet"]))
    return DrawnFile(
        source, form, draw({"csv": csv_files, "jsonl": jsonl_files, "parquet": parquet_files}[form](source))
    )


@st.composite
def rows_of(draw: st.DrawFn, source: str) -> list[dict[str, str]]:
    """Rows as texts; mostly good ones, so that files with a bad time or two stay few."""
    has_bad_time = draw(st.integers(0, 9)) == 0
    has_day = draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        good = {name: cells[0] for name, cells in CELLS[source].items()}
        spoilt = draw(st.sets(st.sampled_from(sorted(good)), max_size=3))
        row = good | {name: draw(st.sampled_from(CELLS[source][name])) for name in sorted(spoilt)}
        number = draw(st.integers(0, 1))
        clock = draw(st.sampled_from(CLOCKS))
        row["occurred_at"] = f"${number}{clock}"
        if has_bad_time and draw(st.booleans()):
            row["occurred_at"] = draw(st.sampled_from(NO_TIMES))
        if has_day:
            row["day"] = f"${number + (clock == CLOCKS[-1])}"
        rows.append(row)
    return rows


def quoted(cell: str, how: int) -> str:
    """A cell of csv: quoted where it must be, always, or not at all."""
    must = any(sign in cell for sign in '",\r\n')
    return '"' + cell.replace('"', '""') + '"' if how == 1 or (must and how != 2) else cell


@st.composite
def csv_files(draw: st.DrawFn, source: str) -> Callable[[date], bytes]:
    rows = draw(rows_of(source))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    hows = st.sampled_from([0, 0, 0, 1] + [2] * draw(st.booleans()))
    lines = [",".join(rows[0])]
    for row in rows:
        cells = [quoted(cell, draw(hows)) for cell in row.values()]
        if draw(st.integers(0, 20)) == 0:
            cells += ['"never closed', "one too many"][draw(st.integers(0, 1)) :][:1]
        lines.append(",".join(cells))
        if draw(st.integers(0, 9)) == 0:
            lines.append("")
    text = draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "cp1252", "utf-16"]))
    return lambda first: dated(text, first).encode(encoding, "replace")


@st.composite
def jsonl_files(draw: st.DrawFn, source: str) -> Callable[[date], bytes]:
    """Numbers and maps are written as such where they are some."""
    lines = []
    is_escaped, gap = draw(st.booleans()), draw(st.sampled_from(["", " "]))
    for row in draw(rows_of(source)):
        members = []
        for name, cell in row.items():
            text = json.dumps(cell, ensure_ascii=is_escaped)
            is_bare = name != "occurred_at" and draw(st.booleans())
            if cell == "" and draw(st.booleans()):
                text = "null"
            elif is_bare and (is_json(cell) or cell == "NaN"):
                text = cell
            members.append(f'"{name}":{gap}{text}')
        if draw(st.integers(0, 40)) == 0:
            members.append(members[0])
        lines.append("{" + gap + f",{gap}".join(members) + "}" + draw(st.sampled_from(["", " ", "\r"])))
        if draw(st.integers(0, 20)) == 0:
            lines.append(draw(st.sampled_from(["", "\u00a0", "[1]", "{"])))
    text = draw(st.sampled_from(["", "\ufeff"])) + "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "cp1252"]))
    return lambda first: dated(text, first).encode(encoding, "replace")


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@st.composite
def parquet_files(draw: st.DrawFn, source: str) -> Callable[[date], bytes]:
    rows = draw(rows_of(source))
    kinds = {name: draw(parquet_kind(name)) for name in rows[0]}

    def written(first: date) -> bytes:
        columns = {
            name: pa.array([value_of(dated(row[name], first), kind) for row in rows], kind)
            for name, kind in kinds.items()
        }
        sink = io.BytesIO()
        parquet.write_table(pa.table(columns), sink)
        return sink.getvalue()

    return written


def parquet_kind(name: str) -> st.SearchStrategy[pa.DataType]:
    plain = [pa.string(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()]
    typed = {
        "occurred_at": [pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in ("UTC", "Europe/Berlin")],
        "day": [pa.date32(), pa.string()],
        "amount": [pa.decimal128(18, 2), pa.decimal128(38, 6), pa.decimal256(60, 3), pa.float64(), pa.float32()],
        "value": [pa.float64(), pa.float32(), pa.decimal128(20, 4), pa.int64()],
        "properties": [pa.map_(pa.string(), pa.string())],
        "item_id": [pa.float64(), pa.time64("us"), pa.duration("s"), pa.binary(3)],
    }
    ids = [pa.int64(), pa.float64(), pa.decimal128(20, 2)]
    return st.sampled_from(plain + typed.get(name, ids if name.endswith("_id") else []) * 2)


def value_of(text: str, kind: pa.DataType) -> Any:
    """A value of a type that has to do with the text; null where the text is no such value."""
    made = next((make for is_such, make in VALUES if is_such(kind)), None)
    if made:
        return made(text)
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    if not number.is_finite() or abs(number) > 10**9:
        return None
    if pa.types.is_integer(kind):
        return int(number)
    return round(number, kind.scale) if pa.types.is_decimal(kind) else float(number)


def moment(text: str) -> datetime | None:
    is_dated = text[:4].isdigit() and text[:10] != "2024-02-30"
    next_day = timedelta(text.endswith(CLOCKS[-1]))
    return datetime.fromisoformat(f"{text[:10]}T23:59:59+00:00") + next_day if is_dated else None


VALUES: list[tuple[Callable[[pa.DataType], bool], Callable[[str], Any]]] = [
    (pa.types.is_timestamp, moment),
    (pa.types.is_date32, date.fromisoformat),
    (pa.types.is_map, lambda text: [("a", text), ("b", None)] if text else None),
    (pa.types.is_time, lambda _: time(12)),
    (pa.types.is_duration, lambda _: timedelta(1)),
    (pa.types.is_fixed_size_binary, lambda _: b"abc"),
    (pa.types.is_binary, lambda text: text.encode("cp1252" if "ü" in text else "utf-8")),
    (pa.types.is_string, lambda text: text or None),
    (pa.types.is_large_string, lambda text: text or None),
    (pa.types.is_dictionary, lambda text: text or None),
]
