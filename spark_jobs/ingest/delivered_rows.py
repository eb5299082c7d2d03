"""
Rows of landed files as text cells, read on the Spark workers.

csv, jsonl and parquet become the same thing, so that one set of rules judges them. A file is read whole before a row of
it is handed on: a file that breaks in its middle is one quarantined file and not half a delivery.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from rekindle.landing import tombstones
from rekindle.landing.delivery import ARRIVED, COUNTED
from rekindle.landing.folders import opened
from rekindle.landing.formats import (
    Row,
    UnreadableFileError,
    arrow_texts,
    csv_rows,
    decoded,
    form_of,
    json_rows,
    parquet_texts,
)
from rekindle.landing.phones import phone_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from rekindle.landing.formats import Columns, ParquetTexts

BATCH_ROWS = 20_000
"""Rows of an Arrow batch: small enough for a worker, large enough that its overhead does not count."""


def schema_of(columns: Columns) -> str:
    """
    Spark schema of what `reader` yields: one row per row of a file, and one with an `error` per unreadable file.

    `row` counts from 1, 0 stands for the whole file; `raw_text` is filled where the row has no cells to show. `is_erased`
    says that the row is about an erased person.
    """
    cells = "".join(f", `{name}` string" for name in columns.names)
    about = "error string, error_column string, raw_text string, has_text_number boolean"
    return f"day date, file string, row bigint, {about}{cells}, is_erased boolean"


def schema_of_cells(columns: Columns) -> str:
    """Spark schema of what `cell_reader` yields."""
    return f"{schema_of(columns)}, {ARRIVED} timestamp, {COUNTED} bigint"


@dataclass(frozen=True)
class Erased:
    """By which columns, and by which HMACs under which key, erased people are recognised."""

    ids: tuple[str, ...] = ()
    tombstones: frozenset[str] = frozenset()
    key: str = field(default="", repr=False)


NOBODY = Erased()


def reader(
    columns: Columns, phones: tuple[str, ...] = (), key: str = "", erased: Erased = NOBODY
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """
    A function for `mapInArrow` over rows (day, name, path, url).

    A text in a column of numbers is cast, with a warning. Of `phones` their HMAC under `key` is handed on, and nothing else.
    """

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                try:
                    yield from [_told(_keyed(batch, phones, key), erased) for batch in _batches(file, columns)]
                except UnreadableFileError as error:
                    yield _told(_batch_of_rows(file, columns, [Row(0, error.reason, None, None, False, {})]), NOBODY)

    return read


def cell_reader(
    columns: Columns, phones: tuple[str, ...] = (), key: str = "", erased: Erased = NOBODY
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """
    A function for `mapInArrow` over rows of a table (day, file, and their typed cells): as `reader` does with those of a
    Parquet file.
    """

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            if not batch.num_rows:
                continue
            read = arrow_texts(pa.Table.from_batches([batch]), columns)
            rows = _told(_keyed(_batch_of_texts([batch["day"], batch["file"]], columns, read, 0), phones, key), erased)
            about = {name: batch[name] for name in (ARRIVED, COUNTED)}
            yield pa.RecordBatch.from_arrays([*rows.columns, *about.values()], [*rows.schema.names, *about])

    return read


def _keyed(rows: pa.RecordBatch, phones: tuple[str, ...], key: str) -> pa.RecordBatch:
    import pyarrow as pa

    for name in phones:
        hashed = pa.array([phone_hmac(text, key) for text in rows[name].to_pylist()], pa.string())
        rows = rows.set_column(rows.schema.get_field_index(name), name, hashed)
    return rows


def _told(rows: pa.RecordBatch, erased: Erased) -> pa.RecordBatch:
    """Add whether each row is about an erased person."""
    import pyarrow as pa

    if erased.tombstones:
        is_erased = tombstones.recogniser(erased.tombstones, erased.key)
        ids = zip(*(rows[name].to_pylist() for name in erased.ids), strict=True)
        texts = rows["raw_text"].to_pylist()
        flags = pa.array([is_erased(*row) for row in zip(ids, texts, strict=True)], pa.bool_())
    else:
        flags = pa.repeat(pa.scalar(value=False), rows.num_rows)
    return pa.RecordBatch.from_arrays([*rows.columns, flags], [*rows.schema.names, "is_erased"])


@cache
def _file_system(url: str) -> FileSystem:
    """The landing zone's file system, once per worker: a client of an object store takes longer to make than a file to read."""
    return opened(url)[0]


def _batches(file: dict[str, Any], columns: Columns) -> Iterator[pa.RecordBatch]:
    with _file_system(file["url"]).open_input_stream(file["path"]) as stream:
        content = stream.read()
    kind = form_of(file["name"])
    if kind == "parquet":
        yield from _parquet_batches(file, content, columns)
        return
    rows = (csv_rows if kind == "csv" else json_rows)(decoded(content), columns)
    while block := list(itertools.islice(rows, BATCH_ROWS)):
        yield _batch_of_rows(file, columns, block)


def _batch_of_rows(file: dict[str, Any], columns: Columns, rows: list[Row]) -> pa.RecordBatch:
    import pyarrow as pa

    cells = [pa.array([row.cells.get(name) for row in rows], pa.string()) for name in columns.names]
    return _batch(
        _of_file(file, len(rows)),
        columns,
        cells,
        number=pa.array([row.number for row in rows], pa.int64()),
        error=pa.array([row.error for row in rows], pa.string()),
        error_column=pa.array([row.column for row in rows], pa.string()),
        raw_text=pa.array([row.raw_text for row in rows], pa.string()),
        has_text_number=pa.array([row.has_text_number for row in rows], pa.bool_()),
    )


def _of_file(file: dict[str, Any], count: int) -> list[pa.Array]:
    """Day and name of a file, for each of its rows."""
    import pyarrow as pa

    return [pa.repeat(pa.scalar(file["day"], pa.date32()), count), pa.repeat(pa.scalar(file["name"]), count)]


def _batch(delivery: list[pa.Array], columns: Columns, cells: list[pa.Array], **about: pa.Array) -> pa.RecordBatch:
    import pyarrow as pa

    names = ["day", "file", "row", "error", "error_column", "raw_text", "has_text_number", *columns.names]
    return pa.RecordBatch.from_arrays([*delivery, *about.values(), *cells], names)


def _parquet_batches(file: dict[str, Any], content: bytes, columns: Columns) -> Iterator[pa.RecordBatch]:
    read = parquet_texts(content, columns)
    for start in range(0, read.texts.num_rows, BATCH_ROWS):
        count = min(BATCH_ROWS, read.texts.num_rows - start)
        yield _batch_of_texts(_of_file(file, count), columns, read, start)


def _batch_of_texts(delivery: list[pa.Array], columns: Columns, read: ParquetTexts, start: int) -> pa.RecordBatch:
    """Some rows of what Arrow held, from `start` on, as many as are named by day and file."""
    import pyarrow as pa

    count = len(delivery[0])
    block = read.texts.slice(start, count).combine_chunks()
    broken = [read.broken.get(at) for at in range(start, start + count)]
    nothing = pa.nulls(count, pa.string())
    cells = [block[name].chunk(0) if name in block.column_names else nothing for name in columns.names]
    return _batch(
        delivery,
        columns,
        cells,
        number=pa.array(range(start + 1, start + count + 1), pa.int64()),
        error=pa.array([row and "not_utf8" for row in broken], pa.string()),
        error_column=nothing,
        raw_text=pa.array([row and json.dumps(row) for row in broken], pa.string()),
        has_text_number=pa.repeat(pa.scalar(read.has_text_number), count),
    )
