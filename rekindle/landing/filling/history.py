"""
Histories: one file with everything that happened, read as rows and the day on which each is delivered.

Files are read as ingestion reads them, and each row is passed on as it stands: the line of a csv or jsonl file, the values
of a Parquet file. So what ingestion says of a row is what it would have said of it in the file. Only what decides the
day is interpreted here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rekindle.errors import InputError
from rekindle.landing import formats
from rekindle.landing.filling.writer import LINE, History
from rekindle.landing.formats import NOTHING, TIME, ZONE, Columns, UnreadableFileError
from rekindle.landing.zone import duplicate_column, has_header, refuse_names, refuse_types
from rekindle.warehouse.contracts import landing_contract

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from rekindle.warehouse.contracts import Contract

DAY = "day"
"""A column of this name says on which day its row was delivered. It is not a landing column and is not passed on."""

FORMS = MappingProxyType({".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"})

HOW_TO_WRITE = MappingProxyType(
    {
        "csv": "Write it in UTF-8, with commas, and double a quote within quotes.",
        "jsonl": "Write one object a line, in UTF-8.",
        "parquet": "Write the file anew.",
    }
)
HOW_TO_WRITE_TIMES = "Write times as ISO 8601 with a zone, for example 2017-06-01T09:30:00Z."

WHY_UNREADABLE = MappingProxyType({"open_quote": ": a quote is never closed", "not_utf8": ": it is not UTF-8"})

MOST_DAYS = 30 * 366
"""A longer history is a wrong date in disguise, and would be as many folders."""


@dataclass(frozen=True)
class Read:
    """
    A file as it was read: its columns, the texts of those that were asked for, and its rows to be passed on.

    `broken` are rows (from 0) that have no cells, with what they are instead of rows. `head` stands before all rows.
    """

    columns: Sequence[str]
    types: Mapping[str, str]
    texts: Mapping[str, list[str | None]]
    rows: pa.Table
    broken: Mapping[int, str]
    head: bytes = b""


def read_history(source: str, path: Path, *, on: date | None = None, undated_on: date | None = None) -> History:
    """
    Read the history of a source from one csv, jsonl or parquet file.

    All rows are delivered on the day `on` where it is given; else each on the day in its column `day`; else on the UTC
    day on which it happened (users: registered); else, which leaves states without a time, on the day `undated_on`.
    Lines of one order, or of whatever else has lines, are numbered where they have no number.
    """
    contract = landing_contract(source)
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise InputError(
            f"{path.name} does not say by its name whether it is csv, jsonl or parquet.",
            todo="Give a file whose name ends in .csv, .jsonl or .parquet.",
        )
    if not path.is_file():
        raise InputError(f"There is no file {path}.", todo="Check the path.")
    content = path.read_bytes()
    time = contract.lands.time or DAY
    read = _read(contract, path, form, content, (time, DAY))
    days = _delivery_days(read, source, path, on, undated_on, time)
    drop = DAY if DAY in read.columns and not on else None
    numbers = _line_numbers(contract, read)
    rows, head = read.rows, read.head
    if drop or numbers:
        head, rows = REWRITERS[form](content, read, drop, numbers)
    notes = (_numbered(numbers),) if numbers else ()
    return History(source, rows, days, form, head=head, is_exact=True, notes=notes)


def _read(contract: Contract, path: Path, form: str, content: bytes, times: Collection[str]) -> Read:
    types = {column.name: column.type for column in contract.delivered}
    wanted = {name: types.get(name, "string") for name in (*contract.identity, *times) if name in types or name == DAY}
    try:
        read = READERS[form](content, Columns.of(wanted))
    except UnreadableFileError as error:
        what = f"{path.name} cannot be read as {'Parquet' if form == 'parquet' else form}"
        raise InputError(
            f"{what}{WHY_UNREADABLE.get(error.reason, '')}.", todo=HOW_TO_WRITE[form], code=error.reason
        ) from None
    except RepeatedKeyError as error:
        raise duplicate_column(f"{path.name}, row {error.row}", error.key) from None
    refuse_names(contract, path.name, read.columns)
    _refuse_missing(contract, path, read.columns)
    refuse_types(contract, path.name, read.types)
    return read


def _delivery_days(  # noqa: PLR0917 - what decides a day
    read: Read, source: str, path: Path, on: date | None, undated_on: date | None, time: str
) -> np.ndarray:
    said = DAY if DAY in read.columns else time
    if on or said not in read.columns:
        day = on or undated_on
        if day is None:
            raise InputError(
                f"{path.name} does not say when its {source} were delivered, and nothing else has been delivered yet.",
                todo="Import orders or events first, or give --from: they are delivered on the first day.",
            )
        return np.full(len(read.rows), np.datetime64(day))
    if read.broken:
        row, what = next(iter(read.broken.items()))
        raise InputError(
            what.format(file=path.name, row=row + 1), todo=HOW_TO_WRITE[FORMS[path.suffix.lower()]], code="broken_row"
        )
    texts = [text if text is None or formats.is_utf8(text) else None for text in read.texts[said]]
    days = (_days if said == DAY else _dates)(pa.array(texts, pa.large_string()), path)
    _refuse_endless(days, path)
    return days


class RepeatedKeyError(Exception):
    """An object of a jsonl file has a key twice."""

    def __init__(self, row: int, key: str) -> None:
        self.row, self.key = row, key
        super().__init__(key)


def _read_csv(content: bytes, wanted: Columns) -> Read:
    records = formats.csv_records_as_written(formats.decoded(content))
    header, head = next(records, ([], ""))
    place = {name: header.index(name) for name in wanted.names if name in header}
    texts: dict[str, list[str | None]] = {name: [] for name in place}
    cells = [(at, texts[name].append) for name, at in place.items()]
    lines: list[str] = []
    broken = {}
    for record, raw in records:
        if not record:
            continue
        if len(record) == len(header):
            for at, append in cells:
                append(record[at])
        else:
            broken[len(lines)] = "{file} cannot be read as csv: row {row} has more or fewer fields than the header."
            for _, append in cells:
                append(None)
        lines.append(raw)
    return Read(header, {}, texts, _table(lines, texts), broken, formats.encoded(head))


def _read_jsonl(content: bytes, wanted: Columns) -> Read:
    lines = formats.json_lines(formats.decoded(content))
    columns: dict[str, None] = {}
    texts: dict[str, list[str | None]] = {name: [] for name in wanted.names}
    broken = {}
    for at, line in enumerate(lines):
        row = formats.json_object(line)
        if row is None:
            broken[at] = "{file}, row {row} is not a JSON object."
        elif key := formats.repeated_key(row):
            raise RepeatedKeyError(at + 1, key)
        else:
            columns.update(dict.fromkeys(row))
        for name, text in formats.json_cells(row or {}, wanted).items():
            texts[name].append(text)
    texts = {name: found for name, found in texts.items() if name in columns}
    return Read(tuple(columns), {}, texts, _table([f"{line}\n" for line in lines], texts), broken)


def _table(lines: Sequence[str], texts: Mapping[str, Sequence[str | None]]) -> pa.Table:
    """Lines to be passed on, and beside them, as bytes, what was read of them."""
    return pa.table({name: _bytes(found) for name, found in {**texts, LINE: lines}.items() if name != DAY})


def _bytes(texts: Sequence[str | None]) -> pa.Array:
    """The bytes that texts were decoded from."""
    try:
        # Many times faster, and all there is to do unless a byte was no UTF-8.
        return pa.array(texts, pa.large_string()).cast(pa.large_binary())
    except UnicodeEncodeError:
        return pa.array((text if text is None else formats.encoded(text) for text in texts), pa.large_binary())


def _read_parquet(content: bytes, wanted: Columns) -> Read:
    file = formats.parquet_file(content)
    columns, types = file.schema_arrow.names, {f.name: str(f.type) for f in file.schema_arrow}
    if formats.repeated(columns):
        # Refused by name: reading its values would fail in a way of Arrow's own.
        return Read(columns, types, {}, pa.table({}), {})
    rows = formats.parquet_table(file)
    read = formats.parquet_texts(content, wanted)
    texts = {name: read.texts[name].to_pylist() for name in read.texts.column_names}
    return Read(columns, types, texts, rows, {})


READERS: Mapping[str, Callable[[bytes, Columns], Read]] = MappingProxyType(
    {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
)


# Numbers of lines


@dataclass(frozen=True)
class Numbers:
    """The `column` of line numbers, whole, `within` what they count, and how many rows were without one."""

    column: str
    within: tuple[str, ...]
    texts: list[str | None]
    lacking: int


def _line_numbers(contract: Contract, read: Read) -> Numbers | None:
    """
    Number what has no number, within what stands before it in the key; None where ingestion's default says it all.

    Two equal lines of an order are two lines. A number that a line of the order has is not given to another.
    """
    numbered = next((c for c in contract.delivered if c.default is not None and c.name in contract.identity), None)
    if numbered is None:
        return None
    within = contract.identity[: contract.identity.index(numbered.name)]
    if not set(within) <= read.texts.keys():
        return None
    given = read.texts.get(numbered.name) or [None] * len(read.rows)
    lacking_texts = {text for text in set(given) if _bare(text).lower() in NOTHING}
    if not lacking_texts:
        return None
    owners = list(zip(*(map(_bare, read.texts[name]) for name in within), strict=True))
    bare = [_bare(text) for text in given]
    lacks = [text in lacking_texts and at not in read.broken for at, text in enumerate(given)]
    taken: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for owner, text, is_lacking in zip(owners, bare, lacks, strict=True):
        if not is_lacking:
            taken[owner].add(text)
    free = {owner: _free(taken[owner]) for owner in set(owners)}
    values = [next(free[owner]) if lacking else text for owner, text, lacking in zip(owners, given, lacks, strict=True)]
    if all(value == numbered.default for value, is_lacking in zip(values, lacks, strict=True) if is_lacking):
        return None
    return Numbers(numbered.name, within, values, sum(lacks))


def _numbered(numbers: Numbers) -> str:
    within = " and ".join(numbers.within)
    return f"{numbers.lacking:,} rows without {numbers.column} are numbered in the order of the file, within {within}."


def _bare(text: str | None) -> str:
    return (text or "").strip().strip("\u200b\ufeff")


def _free(taken: Collection[str]) -> Iterator[str]:
    return (text for text in map(str, count()) if text not in taken)


def _rewrite_csv(content: bytes, read: Read, drop: str | None, numbers: Numbers | None) -> tuple[bytes, pa.Table]:
    """Records without a column, or with numbers; all other cells keep their text."""
    header, records = formats.csv_table(formats.decoded(content))
    dropped = header.index(drop) if drop else None
    place = header.index(numbers.column) if numbers and numbers.column in header else None

    def changed(record: list[str], number: str | None) -> str:
        if numbers and place is None:
            # A row of another width stays of another width.
            record = [*record, number or ""]
        elif place is not None and number is not None and len(record) == len(header):
            record = [*record[:place], number, *record[place + 1 :]]
        if dropped is not None:
            record = [*record[:dropped], *record[dropped + 1 :]]
        return _as_csv(record)

    values = numbers.texts if numbers else [None] * len(read.rows)
    head = changed(header, numbers.column if numbers else None)
    lines = [changed(record, value) for record, value in zip(records, values, strict=True)]
    return formats.encoded(head), _with_lines(read.rows, lines)


def _as_csv(record: list[str]) -> str:
    text = io.StringIO()
    # Quoted, all of them: else a carriage return within a cell would end it.
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(record)
    return text.getvalue()


def _rewrite_jsonl(content: bytes, read: Read, drop: str | None, numbers: Numbers | None) -> tuple[bytes, pa.Table]:
    """Objects without a member, or with numbers; the text of all other members stays."""
    column = numbers.column if numbers else None
    values = numbers.texts if numbers else [None] * len(read.rows)

    def changed(line: str, number: str | None) -> str:
        members = [(name, text) for name, text in formats.json_members(line) if name != drop]
        if number is not None and column is not None:
            members = [(name, text) for name, text in members if name != column] + [(column, json.dumps(number))]
        return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in members) + "}\n"

    lines = formats.json_lines(formats.decoded(content))
    return b"", _with_lines(
        read.rows,
        [
            f"{line}\n" if at in read.broken else changed(line, value)
            for at, (line, value) in enumerate(zip(lines, values, strict=True))
        ],
    )


def _with_lines(rows: pa.Table, lines: Iterable[str]) -> pa.Table:
    texts = pa.array(map(formats.encoded, lines), pa.large_binary())
    return rows.set_column(rows.column_names.index(LINE), LINE, texts)


def _rewrite_parquet(_: bytes, read: Read, drop: str | None, numbers: Numbers | None) -> tuple[bytes, pa.Table]:
    rows = read.rows.drop_columns([drop]) if drop else read.rows
    if numbers:
        others = [name for name in rows.column_names if name != numbers.column]
        rows = rows.select(others).append_column(numbers.column, pa.array(numbers.texts, pa.string()))
    return b"", rows


REWRITERS: Mapping[str, Callable[[bytes, Read, str | None, Numbers | None], tuple[bytes, pa.Table]]] = MappingProxyType(
    {"csv": _rewrite_csv, "jsonl": _rewrite_jsonl, "parquet": _rewrite_parquet}
)


# Days


def _refuse_missing(contract: Contract, path: Path, columns: Collection[str]) -> None:
    required = [c.name for c in contract.delivered if c.must_be_delivered]
    missing = [name for name in required if name not in columns]
    if not missing:
        return
    free = {re.sub(r"[^a-z]", "", name.lower()): name for name in columns if name not in required}
    near = get_close_matches(missing[0].replace("_", ""), free, n=1, cutoff=0.6)
    there = f"It has: {', '.join(columns) or 'no column'}."
    if columns and not has_header(contract, columns):
        near, there = [], f"Begin the file with the names of its columns: {', '.join(required)}."
    raise InputError(
        f"{path.name} has no column {', '.join(missing)}.",
        todo=f"Rename {free[near[0]]!r} to {missing[0]}." if near else there,
        code="missing_column",
    )


def _dates(text: pa.Array, path: Path) -> np.ndarray:
    """UTC dates of times that say their zone."""
    has_clock = pc.match_substring_regex(text, TIME + "$")
    _refuse_rows(has_clock, path, "a time without a zone", HOW_TO_WRITE_TIMES, "no_time_zone")
    has_form = pc.match_substring_regex(text, TIME + ZONE)
    written = pc.utf8_upper(pc.if_else(has_form, text, None)).to_pandas()
    times = pd.to_datetime(written, format="ISO8601", utc=True, errors="coerce").to_numpy(dtype="datetime64[ns]")
    _refuse_rows(pa.array(np.isnat(times)), path, "a time that cannot be read", HOW_TO_WRITE_TIMES, "unreadable_time")
    return times.astype("datetime64[D]")


def _days(text: pa.Array, path: Path) -> np.ndarray:
    """Delivery days."""
    days = pd.to_datetime(text.to_pandas(), format="%Y-%m-%d", errors="coerce").to_numpy(dtype="datetime64[ns]")
    _refuse_rows(pa.array(np.isnat(days)), path, "a `day` that is none", "Write days as YYYY-MM-DD.", "unreadable_day")
    return days.astype("datetime64[D]")


def _refuse_rows(are_bad: pa.Array | pa.ChunkedArray, path: Path, what: str, todo: str, code: str) -> None:
    bad = np.flatnonzero(pc.fill_null(are_bad, False).to_numpy(zero_copy_only=False))
    if len(bad):
        raise InputError(
            f"{path.name}, row {bad[0] + 1} has {what} ({len(bad):,} of {len(are_bad):,} rows have).",
            todo=todo,
            code=code,
        )


def _refuse_endless(days: np.ndarray, path: Path) -> None:
    if len(days) and (days.max() - days.min()).astype(int) > MOST_DAYS:
        raise InputError(
            f"{path.name} runs from {days.min()} (row {days.argmin() + 1}) to {days.max()} (row {days.argmax() + 1}).",
            todo="Correct the times, or leave out the rows whose time is not known.",
            code="endless_history",
        )
