"""
The forms of landed files: csv, jsonl and Parquet, read as text cells by everybody who reads them.

Listing, ingestion and import see a file through this module, so what one of them calls a row, a cell or a damaged file
is that for the others. What a cell means is judged elsewhere, by the rules of ingestion.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    import pyarrow.parquet as pq

FORMATS = ("parquet", "csv", "jsonl")

NUMBERS = ("double", "decimal(18,2)", "decimal(18,6)", "int", "bigint")
"""Column types that hold numbers."""

END_OF_CSV = "\x00 end of file"
"""A line that no export writes, read after the last one of a csv file."""

JSON_PROBE_ROWS = 1000
"""A jsonl file has no header: its columns are those of its first rows."""

DUPLICATE_COLUMN = "duplicate_column"
"""Reason of a row that names a column twice. It stops the run: which of the two is meant, nobody can say."""

TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
ZONE = r"(Z|z|[+-]\d{2}(:?\d{2})?)$"
"""How times are written; the same expressions for Java, Arrow and Python."""

EXPORTED_NULLS = (
    *("\\N", "<NA>", "#N/A", "NaT", "null", "NULL", "None"),
    *("undefined", "(not set)", "(null)", "[null]", "<null>"),
)
"""What MySQL, pandas, Excel, JavaScript, Google Analytics and others write for nothing, to the letter: of any column but
ids a text that differs in case is a text, like the title Nil."""

NOTHING = (
    *("", "-", "na", "#na", "n/a", "#n/a n/a", "nan", "-nan", "nil"),
    *("<nil>", "not set", "(none)", "(empty)", "(blank)"),
    *(text.lower() for text in EXPORTED_NULLS),
)
"""Texts, in lower case, that exports and logs write for a missing id. No thing is named so; NA is Namibia elsewhere."""

EXACT_FLOATS = 2**53
"""Beyond it neighbouring whole numbers are one double, so an id that came as a double may be another's."""


class UnreadableFileError(Exception):
    """A file that cannot be read as what its name says; `reason` is the code in raw.quarantine."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Row(NamedTuple):
    """
    One row of a file. `number` counts from 1; `raw_text` is filled where the row has no cells to show.

    `error` is the reason for which the row cannot be judged, and `column` where it lies.
    """

    number: int
    error: str | None
    column: str | None
    raw_text: str | None
    has_text_number: bool
    cells: dict[str, str | None]


@dataclass(frozen=True)
class Columns:
    """The columns that are wanted of a file, by kind: how a value becomes text depends on what the column holds."""

    names: tuple[str, ...]
    numbers: frozenset[str] = field(default_factory=frozenset)
    ids: frozenset[str] = field(default_factory=frozenset)
    maps: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, types: Mapping[str, str]) -> Columns:
        """Tell the kinds from the types of a contract."""
        return cls(
            tuple(types),
            frozenset(name for name, kind in types.items() if kind in NUMBERS),
            frozenset(name for name, kind in types.items() if kind == "id"),
            frozenset(name for name, kind in types.items() if kind.startswith("map")),
        )


def form_of(name: str) -> str:
    """What a file's name says that it is."""
    return name.rsplit(".", 1)[-1]


def repeated(names: Iterable[str]) -> str | None:
    """The first name that stands twice; columns without a name, as spreadsheets leave behind, are none."""
    return next((name for name, count in Counter(names).items() if count > 1 and name), None)


# Looking at a file


def outline(name: str, content: bytes) -> tuple[int, tuple[str, ...], dict[str, str]]:
    """
    Rows of a file, its columns (a name that stands twice in a row stands twice), and the types of Parquet's.

    Raises UnreadableFileError.
    """
    if not content:
        raise UnreadableFileError("empty_file")
    kind = form_of(name)
    if kind not in FORMATS:
        raise UnreadableFileError("unknown_format")
    if kind == "parquet":
        file = parquet_file(content)
        schema = file.schema_arrow
        return file.metadata.num_rows, tuple(schema.names), {f.name: str(f.type) for f in schema}
    text = decoded(content)
    if kind == "csv":
        header, records = csv_table(text)
        return sum(1 for _ in records), tuple(header), {}
    lines = json_lines(text)
    return len(lines), json_columns(lines[:JSON_PROBE_ROWS]), {}


def rows_of(name: str, content: bytes, columns: Columns) -> Iterator[Row]:
    """Rows of a file in whatever form its name says. Raises UnreadableFileError."""
    if not content:
        raise UnreadableFileError("empty_file")
    kind = form_of(name)
    if kind not in FORMATS:
        raise UnreadableFileError("unknown_format")
    if kind == "parquet":
        yield from _parquet_rows(content, columns)
    else:
        yield from (csv_rows if kind == "csv" else json_rows)(decoded(content), columns)


def decoded(content: bytes) -> str:
    """Text of a csv or jsonl file. Bytes that are not UTF-8 become surrogates, so that only their rows are lost."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableFileError("not_utf8")
    return content.decode("utf-8-sig", errors="surrogateescape")


def encoded(text: str) -> bytes:
    """The bytes that `decoded` made text of; of half a character, as JSON can name one, bytes that are no UTF-8 either."""
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="surrogatepass")


def is_utf8(text: str) -> bool:
    """Whether the bytes of a decoded text were UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# csv


def csv_records(text: str) -> Iterator[list[str]]:
    """
    Read the records of a csv file.

    A quote that is never closed makes the rest of the file one cell of one row, which nobody misses: a last line of our
    own is then not a record of its own. Raises UnreadableFileError.
    """
    csv.field_size_limit(sys.maxsize)
    record = None
    for following in csv.reader(_csv_lines(text)):
        if record is not None:
            yield record
        record = following
    if record != [END_OF_CSV]:
        raise UnreadableFileError("open_quote")


def _csv_lines(text: str) -> io.StringIO:
    return io.StringIO(f"{text}\n{END_OF_CSV}\n", newline="")


def csv_records_as_written(text: str) -> Iterator[tuple[list[str], str]]:
    """Records as `csv_records` reads them, each with the lines that it stands in: a reader takes none before it needs it."""
    csv.field_size_limit(sys.maxsize)
    taken: list[str] = []

    def note(line: str) -> str:
        taken.append(line)
        return line

    record, written = None, ""
    for following in csv.reader(map(note, _csv_lines(text))):
        if record is not None:
            yield record, written
        record, written = following, taken[0] if len(taken) == 1 else "".join(taken)
        taken.clear()
    if record != [END_OF_CSV]:
        raise UnreadableFileError("open_quote")


def csv_table(text: str) -> tuple[list[str], Iterator[list[str]]]:
    """Header and records of a csv file; a blank line is none."""
    records = csv_records(text)
    return next(records, []), filter(None, records)


def csv_rows(text: str, columns: Columns) -> Iterator[Row]:
    """Rows of a csv file."""
    header, records = csv_table(text)
    place = {name: header.index(name) for name in columns.names if name in header}
    maps = columns.maps & place.keys()
    width = len(header)
    for number, record in enumerate(records, 1):
        if len(record) != width:
            yield _broken(number, "wrong_cell_count", json.dumps(record, ensure_ascii=False))
            continue
        cells: dict[str, str | None] = {name: record[at] for name, at in place.items()}
        for name in maps:
            cells[name] = _map_of_text(cells[name])
        yield _checked(number, cells, has_text_number=False)


# jsonl


def json_lines(text: str) -> list[str]:
    """Lines of a jsonl file that hold something."""
    return [line for line in text.split("\n") if line.strip()]


def json_columns(lines: Iterable[str]) -> tuple[str, ...]:
    """Names in the objects of some lines; one that an object has twice stands twice."""
    columns: dict[str, None] = {}
    twice: dict[str, None] = {}
    for line in lines:
        row = json_object(line)
        columns.update(dict.fromkeys(row or ()))
        if isinstance(row, _Repeating):
            twice[row.name] = None
    return (*columns, *twice)


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class _Repeating(dict[str, Any]):
    """A JSON object with a key twice: the first such."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = _Repeating(found)
    twice.name = repeated(key for key, _ in pairs) or ""
    return twice


# Numbers stay the text that was delivered: 12.10 is not 12.1, and 1e400 is not infinity.
_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def json_object(line: str) -> dict[str, Any] | None:
    """The object of a line, its numbers as text; None where the line holds none."""
    try:
        row = _JSON.decode(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def repeated_key(row: Mapping[str, Any]) -> str | None:
    """The key that an object of `json_object` has twice, if it has one."""
    return (row.name or None) if isinstance(row, _Repeating) else None


def json_rows(text: str, columns: Columns) -> Iterator[Row]:
    """Rows of a jsonl file."""
    for number, line in enumerate(json_lines(text), 1):
        values = json_object(line)
        if values is None:
            yield _broken(number, "bad_json", line)
        elif key := repeated_key(values):
            yield _broken(number, DUPLICATE_COLUMN, line, key)
        else:
            is_text = any(type(values.get(name)) is str for name in columns.numbers)
            try:
                yield _checked(number, json_cells(values, columns), has_text_number=is_text)
            except RecursionError:
                yield _broken(number, "bad_json", line)


def json_cells(values: Mapping[str, Any], columns: Columns) -> dict[str, str | None]:
    """Cells of a row's object."""
    return {name: _json_cell(values.get(name), name, columns) for name in columns.names}


def _json_cell(value: Any, name: str, columns: Columns) -> str | None:
    if value is None:
        return None
    if name in columns.maps:
        return _map_of_text(value) if isinstance(value, str) else _map_text(value)
    if isinstance(value, _Number) and name in columns.ids:
        return _id_of_number(value)
    return _plain(value)


def json_members(line: str) -> list[tuple[str, str]]:
    """Members of a line's object, name and text of the value as it stands; of a line that `json_object` can read."""
    members, at = [], line.index("{") + 1
    while (at := _past_blanks(line, at)) < len(line) and line[at] != "}":
        name, at = _JSON.raw_decode(line, at)
        begin = _past_blanks(line, line.index(":", at) + 1)
        _, end = _JSON.raw_decode(line, begin)
        members.append((name, line[begin:end]))
        at = _past_blanks(line, end)
        at += line[at] == ","
    return members


def _past_blanks(line: str, at: int) -> int:
    while at < len(line) and line[at] in " \t\r\n":
        at += 1
    return at


# Text of values


def _broken(number: int, reason: str, raw: str, column: str | None = None) -> Row:
    return Row(number, reason, column, raw.encode("utf-8", "replace").decode("utf-8"), False, {})


def _checked(number: int, cells: dict[str, str | None], *, has_text_number: bool) -> Row:
    """A row whose cells are UTF-8, or the error that they are not."""
    for value in cells.values():
        if value is not None and not value.isascii() and not is_utf8(value):
            return _broken(number, "not_utf8", json.dumps(cells))
    return Row(number, None, None, None, has_text_number, cells)


def _plain(value: Any) -> str:
    """A JSON value as text: a text as it is, a number as written, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="surrogateescape")
    return _as_json(value) if isinstance(value, bool | int | float | dict | list) else str(value)


def _as_json(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(k), ensure_ascii=False)}: {_as_json(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_as_json, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False, default=str)


def _map_text(value: Any) -> str:
    """
    A map as a JSON object of texts, the same for a map from any form; what is none as it stands.

    PHP writes an empty map as an empty list.
    """
    if value == []:
        return "{}"
    if not isinstance(value, dict):
        return _as_json(value)
    texts = {str(key): None if v is None else _plain(v) for key, v in value.items()}
    return json.dumps(texts, ensure_ascii=False)


def _map_of_text(text: str | None) -> str | None:
    """A map that came as the text of a JSON object; another text as it is."""
    if not text or text.isspace():
        return text
    try:
        value = _JSON.decode(text.strip())
        return _map_text(value) if isinstance(value, dict | list) else text
    except (ValueError, RecursionError):
        return text


WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?", re.ASCII)
FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _id_of_number(text: str) -> str:
    """An id that came as a number: 123.0 and 1.23e2 name what 123 names. A fraction, or a rounded number, stays."""
    if whole := WHOLE.fullmatch(text):
        return whole[1]
    if FLOAT.fullmatch(text) and abs(value := float(text)) < EXACT_FLOATS and value.is_integer():
        return str(int(value))
    return str(text)


# Parquet


def parquet_file(content: bytes) -> pq.ParquetFile:
    """Open a Parquet file; its pages are checked where they have checksums. Raises UnreadableFileError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if content[:4] != b"PAR1":
        raise UnreadableFileError("not_parquet")
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, arrow_extensions_enabled=True)
        file.schema_arrow  # noqa: B018 - it is read from the footer now, and an error of it is the file's
        file.schema_arrow.names  # noqa: B018 - names are decoded when they are asked for
    except UnicodeDecodeError as error:
        raise UnreadableFileError("not_utf8") from error
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError("truncated_parquet") from error
    return file


def parquet_table(file: pq.ParquetFile, names: list[str] | None = None) -> pa.Table:
    """Rows of a Parquet file, whole; all columns or some. Raises UnreadableFileError."""
    import pyarrow as pa

    try:
        table = file.read(columns=names)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError("undecodable_parquet") from error
    return table


@dataclass(frozen=True)
class ParquetTexts:
    """The wanted columns of a Parquet file as text, and the rows (from 0) with bytes that are none."""

    texts: pa.Table
    broken: Mapping[int, dict[str, str | None]]
    has_text_number: bool


def parquet_texts(content: bytes, columns: Columns) -> ParquetTexts:
    """
    The values of a Parquet file as the texts that a csv would hold.

    Text that is not UTF-8 is damage, for Parquet's text always is; in binary columns it is a bad row. Raises
    UnreadableFileError.
    """
    file = parquet_file(content)
    return arrow_texts(parquet_table(file, [n for n in columns.names if n in file.schema_arrow.names]), columns)


def arrow_texts(table: pa.Table, columns: Columns) -> ParquetTexts:
    """The same of values that Arrow holds already, as those of a warehouse's table."""
    import pyarrow as pa

    present = [name for name in columns.names if name in table.column_names]
    try:
        texts = {name: _texts(table[name], name, columns) for name in present}
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError("undecodable_parquet") from error
    is_text = any(_is_text(table.schema.field(name).type) for name in present if name in columns.numbers)
    lost = sorted({at for _, bad in texts.values() for at in bad})
    broken = {at: {name: bad.get(at, good[at].as_py()) for name, (good, bad) in texts.items()} for at in lost}
    return ParquetTexts(pa.table({name: texts[name][0] for name in present}), broken, is_text)


def _parquet_rows(content: bytes, columns: Columns) -> Iterator[Row]:
    read = parquet_texts(content, columns)
    for at, cells in enumerate(read.texts.to_pylist()):
        if at in read.broken:
            yield _broken(at + 1, "not_utf8", json.dumps(read.broken[at]))
        else:
            yield Row(at + 1, None, None, None, read.has_text_number, cells)


def unsupported_type(kind: str, column_type: str) -> bool:
    """Whether a Parquet column of this type has no plain text: spans of time, and things within things but for maps."""
    if column_type.startswith("map") and kind.startswith(("map", "struct", "list", "large_list")):
        return False
    return kind.startswith(NO_PLAIN_TEXT)


NO_PLAIN_TEXT = (
    *("duration", "month_day_nano_interval", "month_interval", "day_time_interval"),
    *("map", "struct", "list", "large_list", "fixed_size_list", "dense_union", "sparse_union", "run_end_encoded"),
)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _texts(column: pa.ChunkedArray, name: str, columns: Columns) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """Texts of a column, and those that are not UTF-8 (null among the texts) by row."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return (_uuids(storage), {}) if kind.extension_name == "arrow.uuid" else _texts(storage, name, columns)
    if pa.types.is_dictionary(kind):
        return _texts(column.cast(kind.value_type), name, columns)
    if pa.types.is_nested(kind):
        return _strings(None if v is None else _map_text(dict(v) if _is_map(kind) else v) for v in column.to_pylist())
    if name in columns.maps:
        texts, bad = _scalars(column)
        return pa.chunked_array([pa.array(map(_map_of_text, texts.to_pylist()), pa.string())]), bad
    if name in columns.ids and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return _strings(None if v is None else _id_of_number(v) for v in _numbers(column).to_pylist())
    return _scalars(column)


def _is_map(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_map(kind)


def _scalars(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[int, str]]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut: Spark's times have microseconds.
        return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.string()), {}
    if pa.types.is_decimal(kind):
        return _numbers(column), {}
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    if any(is_bytes(kind) for is_bytes in kinds):
        return _strings(None if v is None else _plain(v) for v in column.to_pylist())
    return column.cast(pa.string()), {}


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers in digits, decimals without an exponent."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column.cast(pa.string())
    return pa.chunked_array([pa.array((None if v is None else f"{v:f}" for v in column.to_pylist()), pa.string())])


def _uuids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array(
        [pa.array((None if v is None else str(UUID(bytes=v)) for v in column.to_pylist()), pa.string())]
    )


def _strings(values: Iterable[str | None]) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """Texts as Arrow holds them, and those that it cannot hold because they are not UTF-8."""
    import pyarrow as pa

    texts = list(values)
    bad = {at: text for at, text in enumerate(texts) if text is not None and not is_utf8(text)}
    kept = [None if at in bad else text for at, text in enumerate(texts)] if bad else texts
    return pa.chunked_array([pa.array(kept, pa.string())]), bad
