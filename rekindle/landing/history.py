"""
Histories: one file with everything that happened, read as rows and the day on which each is delivered.

Only what decides the day is interpreted; every value is passed on as it stands, because ingestion judges values.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from rekindle.contracts import landing_contract
from rekindle.errors import InputError
from rekindle.landing.writer import LINE, History

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import date
    from pathlib import Path

DAY = "day"
"""A column of this name says on which day its row was delivered. It is not a landing column and is not passed on."""

TIMES_OF_STATES = MappingProxyType({"users": "registered_at"})
"""A state has no time of its own; a user becomes known by registering."""

FORMS = MappingProxyType({".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"})

CLOCK_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
ZONE = r"([Zz]|[+-]\d\d(:?\d\d)?)$"
HOW_TO_WRITE_TIMES = "Write times as ISO 8601 with a zone, for example 2017-06-01T09:30:00Z."

JSONL_BLOCK_ROWS = 50_000

MOST_DAYS = 30 * 366
"""A longer history is a wrong date in disguise, and would be as many folders."""


def read_history(source: str, path: Path, *, on: date | None = None, undated_on: date | None = None) -> History:
    """
    Read the history of a source from one csv, jsonl or parquet file.

    All rows are delivered on the day `on` where it is given; else each on the day in its column `day`; else on the UTC
    day on which it happened (users: registered); else, which leaves states without a time, on the day `undated_on`.
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
    time = contract.landing.time or TIMES_OF_STATES.get(source, DAY)
    rows, columns = READERS[form](path, {*contract.identity, time, DAY})
    required = [c.name for c in contract.delivered if not c.nullable and c.default is None]
    _refuse_missing(path, required, columns)
    said = DAY if DAY in columns else time
    if on or said not in columns:
        day = on or undated_on
        if day is None:
            raise InputError(
                f"{path.name} does not say when its {source} were delivered, and nothing else has been delivered yet.",
                todo="Import orders or events first, or give --from: they are delivered on the first day.",
            )
        days = np.full(len(rows), np.datetime64(day))
    else:
        days = (_days if said == DAY else _dates)(rows[said], path)
        _refuse_endless(days, path)
    return History(source, rows.drop_columns([DAY]) if DAY in rows.column_names else rows, days, form)


def _read_csv(path: Path, _: Collection[str]) -> tuple[pa.Table, list[str]]:
    """Read every column as text. Empty is not the same as "", and stays so."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        names = next(csv.reader(file), [])
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{path.name} has the column {repeated[0]!r} twice.", todo="Keep one of the two.")
    try:
        rows = pyarrow.csv.read_csv(
            path,
            # Only a single thread can count the rows up to an error.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        # The message quotes the row, which is personal data; its number is not.
        row = re.search(r"Row #(\d+)", str(error))
        where = f": row {int(row[1]) - 1} has more or fewer fields than the header" if row else ""
        raise InputError(
            f"{path.name} cannot be read as csv{where}.",
            todo="Write it in UTF-8, with commas, and double a quote within quotes.",
        ) from None
    return rows, names


def _read_jsonl(path: Path, wanted: Collection[str]) -> tuple[pa.Table, list[str]]:
    """Keep the lines as they are, and read what is wanted of them."""
    columns, blocks, count = {}, [], 0
    with path.open("rb") as file:
        texts = (text for line in file if (text := line.strip().removeprefix(b"\xef\xbb\xbf")))
        while block := list(islice(texts, JSONL_BLOCK_ROWS)):
            rows = []
            for number, text in enumerate(block, count + 1):
                rows.append(_json_object(text, path, number))
                columns.update(dict.fromkeys(rows[-1]))
            read = {
                name: pa.array(map(_json_text, (row.get(name) for row in rows)), pa.large_string()) for name in wanted
            }
            lines = [_without_day(row) if DAY in row else text for text, row in zip(block, rows, strict=True)]
            blocks.append(pa.table({**read, LINE: pa.array(lines, pa.large_binary())}))
            count += len(block)
    kept = [name for name in wanted if name in columns]
    return pa.concat_tables(blocks).select([*kept, LINE]) if blocks else pa.table({}), list(columns)


def _json_object(text: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise InputError(f"{path.name}, row {number} is not a JSON object.", todo="Write one object a line, in UTF-8.")
    return row


def _json_text(value: Any) -> str | None:
    return value if value is None else str(value)


def _without_day(row: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in row.items() if name != DAY}, ensure_ascii=False).encode()


def _read_parquet(path: Path, _: Collection[str]) -> tuple[pa.Table, list[str]]:
    try:
        # Not read_table: it would take a folder day=… in the path for a column.
        rows = pyarrow.parquet.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError):
        raise InputError(f"{path.name} cannot be read as Parquet.", todo="Write the file anew.") from None
    return rows, rows.column_names


READERS: Mapping[str, Callable[[Path, Collection[str]], tuple[pa.Table, list[str]]]] = MappingProxyType(
    {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
)


def _refuse_missing(path: Path, required: list[str], columns: Collection[str]) -> None:
    missing = [name for name in required if name not in columns]
    if not missing:
        return
    free = {re.sub(r"[^a-z]", "", name.lower()): name for name in columns if name not in required}
    near = get_close_matches(missing[0].replace("_", ""), free, n=1, cutoff=0.6)
    raise InputError(
        f"{path.name} has no column {', '.join(missing)}.",
        todo=f"Rename {free[near[0]]!r} to {missing[0]}." if near else f"It has: {', '.join(columns) or 'no column'}.",
        code="missing_column",
    )


def _dates(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    """UTC dates of times that say their zone."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise InputError(
                f"{path.name}: its times have no time zone.",
                todo="Store them as timestamps in UTC.",
                code="no_time_zone",
            )
        times = column.cast(pa.timestamp("us", tz="UTC")).to_numpy()
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        has_clock = pc.match_substring_regex(column, CLOCK_TIME + "$")
        _refuse_rows(has_clock, path, "a time without a zone", HOW_TO_WRITE_TIMES, "no_time_zone")
        has_form = pc.match_substring_regex(column, CLOCK_TIME + ZONE)
        text = pc.if_else(has_form, column, None).to_pandas()
        times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").to_numpy(dtype="datetime64[ns]")
    else:
        raise InputError(f"{path.name}: its times are of type {kind}.", todo=HOW_TO_WRITE_TIMES, code="unreadable_time")
    _refuse_rows(pa.array(np.isnat(times)), path, "a time that cannot be read", HOW_TO_WRITE_TIMES, "unreadable_time")
    return times.astype("datetime64[D]")


def _days(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    """Delivery days, as dates or as text."""
    text = column.cast(pa.large_string()).to_pandas()
    days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").to_numpy(dtype="datetime64[ns]")
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
