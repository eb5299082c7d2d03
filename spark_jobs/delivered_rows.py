"""
Rows of landed files as text cells, read on the Spark workers.

csv, jsonl and parquet become the same thing, so that one set of rules judges them. A file is read whole before a row of
it is handed on: a file that breaks in its middle is one quarantined file and not half a delivery.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from rekindle.deliveries import UnreadableFileError, csv_records, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

BATCH_ROWS = 20_000
"""Rows of an Arrow batch: small enough for a worker, large enough that its overhead does not count."""


def schema_of(columns: list[str]) -> str:
    """
    Spark schema of what `reader` yields: one row per row of a file, and one with an `error` per unreadable file.

    `row` counts from 1, 0 stands for the whole file; `raw_text` is filled where the row has no cells to show.
    """
    cells = "".join(f", `{name}` string" for name in columns)
    return f"day date, file string, row bigint, error string, raw_text string, has_text_number boolean{cells}"


def reader(columns: list[str], numbers: list[str]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """
    A function for `mapInArrow` over rows (day, name, path, url).

    `numbers` are the columns that hold numbers: a text in one of them is cast, with a warning.
    """

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                try:
                    yield from list(_batches(file, columns, numbers))
                except UnreadableFileError as error:
                    yield _batch_of_rows(file, columns, [(0, error.reason, None, False, {})])

    return read


Row = tuple[int, "str | None", "str | None", bool, "dict[str, str | None]"]


def _batches(file: dict[str, Any], columns: list[str], numbers: list[str]) -> Iterator[pa.RecordBatch]:
    from pyarrow import fs

    system = fs.FileSystem.from_uri(file["url"])[0] if "://" in file["url"] else fs.LocalFileSystem()
    with system.open_input_stream(file["path"]) as stream:
        content = stream.read()
    kind = file["name"].rsplit(".", 1)[-1]
    if kind == "parquet":
        yield from _parquet_batches(file, content, columns, numbers)
        return
    text = decoded(content)
    rows = _csv_rows(text, columns) if kind == "csv" else _json_rows(text, columns, numbers)
    while block := list(itertools.islice(rows, BATCH_ROWS)):
        yield _batch_of_rows(file, columns, block)


def _batch_of_rows(file: dict[str, Any], columns: list[str], rows: list[Row]) -> pa.RecordBatch:
    import pyarrow as pa

    cells = [pa.array([row[4].get(name) for row in rows], pa.string()) for name in columns]
    return _batch(
        file,
        columns,
        cells,
        number=pa.array([row[0] for row in rows], pa.int64()),
        error=pa.array([row[1] for row in rows], pa.string()),
        raw_text=pa.array([row[2] for row in rows], pa.string()),
        has_text_number=pa.array([row[3] for row in rows], pa.bool_()),
    )


def _batch(file: dict[str, Any], columns: list[str], cells: list[pa.Array], **about: pa.Array) -> pa.RecordBatch:
    import pyarrow as pa

    count = len(about["number"])
    delivery = [pa.repeat(pa.scalar(file["day"], pa.date32()), count), pa.repeat(pa.scalar(file["name"]), count)]
    names = ["day", "file", "row", "error", "raw_text", "has_text_number", *columns]
    return pa.RecordBatch.from_arrays([*delivery, *about.values(), *cells], names)


def _csv_rows(text: str, columns: list[str]) -> Iterator[Row]:
    records = csv_records(text)
    header = next(records, [])
    place = {name: header.index(name) for name in columns if name in header}
    number = 0
    for record in records:
        if not record:
            continue
        number += 1
        if len(record) != len(header):
            yield _broken(number, "wrong_cell_count", json.dumps(record, ensure_ascii=False))
            continue
        cells = {name: record[at] for name, at in place.items()}
        yield _checked(number, cells, has_text_number=False)


def _json_rows(text: str, columns: list[str], numbers: list[str]) -> Iterator[Row]:
    number = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        number += 1
        try:
            # Numbers stay the text that was delivered: 12.10 is not 12.1, and 1e400 is not infinity.
            values = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        except (ValueError, RecursionError):
            yield _broken(number, "bad_json", line)
            continue
        if not isinstance(values, dict):
            yield _broken(number, "bad_json", line)
            continue
        is_text = any(type(values.get(name)) is str for name in numbers)
        yield _checked(number, {name: _json_cell(values.get(name)) for name in columns}, has_text_number=is_text)


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def _json_cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _broken(number: int, reason: str, raw: str) -> Row:
    return number, reason, raw.encode("utf-8", "replace").decode("utf-8"), False, {}


def _checked(number: int, cells: dict[str, str | None], *, has_text_number: bool) -> Row:
    """A row whose cells are UTF-8, or the error that they are not."""
    for value in cells.values():
        if value is not None and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return _broken(number, "not_utf8", json.dumps(cells))
    return number, None, None, has_text_number, cells


def _parquet_batches(
    file: dict[str, Any], content: bytes, columns: list[str], numbers: list[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        present = [name for name in columns if name in parquet.schema_arrow.names]
        table = parquet.read(columns=present)
        texts = pa.table({name: _texts(table[name]) for name in present})
        texts.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError("undecodable_parquet") from error
    is_text = any(pa.types.is_string(table.schema.field(name).type) for name in present if name in numbers)
    for start in range(0, table.num_rows, BATCH_ROWS):
        block = texts.slice(start, BATCH_ROWS).combine_chunks()
        count = block.num_rows
        nothing = pa.nulls(count, pa.string())
        cells = [block[name].chunk(0) if name in present else nothing for name in columns]
        yield _batch(
            file,
            columns,
            cells,
            number=pa.array(range(start + 1, start + count + 1), pa.int64()),
            error=nothing,
            raw_text=nothing,
            has_text_number=pa.repeat(pa.scalar(is_text), count),
        )


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values of a Parquet column as the text that a csv would hold."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut: Spark's times have microseconds.
        return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.string())
    if pa.types.is_nested(kind):
        is_map = pa.types.is_map(kind)
        values = (None if v is None else dict(v) if is_map else v for v in column.to_pylist())
        return pa.chunked_array(
            [
                pa.array(
                    [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values], pa.string()
                )
            ]
        )
    return column.cast(pa.string())
