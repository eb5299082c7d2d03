"""Files as they lie on a disk that forgets: what cannot be read is told by its reason, whatever has become of the bytes."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rekindle.landing.formats import Columns, Row, UnreadableFileError, outline, parquet_texts, rows_of
from tests.bad_inputs import bad_input

TYPES = {"order_id": "id", "occurred_at": "timestamp", "amount": "decimal(18,2)", "attributes": "map<string,string>"}
COLUMNS = Columns.of(TYPES)
SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("occurred_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)


def compressed(codec: str) -> bytes:
    """Thirty rows in Parquet, whose pages have no checksum."""
    rows = [
        {"order_id": f"o{n}", "occurred_at": datetime(2024, 3, 1, n % 24, tzinfo=UTC), "amount": n * 1.5}
        | {"attributes": [("n", str(n))]}
        for n in range(30)
    ]
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, compression=codec)
    return sink.getvalue()


def why_unreadable(content: bytes) -> str | None:
    try:
        outline("a.parquet", content)
        parquet_texts(content, COLUMNS)
    except UnreadableFileError as error:
        return error.reason
    return None


@bad_input("a flipped byte that makes a page undecodable", gets="Q")
@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_wherever_a_byte_is_flipped_a_file_is_read_or_has_a_reason(codec: str):
    """Without a checksum nobody can tell a value that is another; a page that cannot be decoded is told."""
    content = compressed(codec)
    flipped = (content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :] for at in range(0, len(content), 3))
    reasons = Counter(map(why_unreadable, flipped))

    assert why_unreadable(content) is None
    assert reasons.keys() <= {None, "not_parquet", "truncated_parquet", "undecodable_parquet", "not_utf8"}
    assert reasons["undecodable_parquet"] > 50
    assert reasons["truncated_parquet"] > 50


@bad_input("invalid UTF-8", gets="Q")
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)], ids=str)
def test_bytes_that_are_no_text_are_a_bad_row_and_no_damage(kind: pa.DataType):
    sink = io.BytesIO()
    parquet.write_table(pa.table({"order_id": pa.array([b"o1", b"o\xff"], kind)}), sink)

    assert [row.error for row in rows_of("a.parquet", sink.getvalue(), COLUMNS)] == [None, "not_utf8"]


@bad_input("a truncated Parquet file", gets="Q")
def test_wherever_a_file_is_cut_off_it_has_a_reason():
    content = compressed("snappy")
    reasons = Counter(why_unreadable(content[:length]) for length in range(0, len(content), 7))

    assert set(reasons) == {"empty_file", "truncated_parquet"} | ({"not_parquet"} & set(reasons))


def rows_or_reason(name: str, content: bytes) -> list[Row] | str:
    try:
        return list(rows_of(name, content, COLUMNS))
    except UnreadableFileError as error:
        return error.reason


@bad_input("invalid UTF-8", "UTF-16", gets="Q")
@settings(max_examples=300, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=300), form=st.sampled_from(["csv", "jsonl"]), is_headed=st.booleans())
def test_no_bytes_end_the_reading_of_a_text_file(content: bytes, form: str, is_headed: bool):
    """They are rows, good or bad, or the file has a reason."""
    whole = (b"order_id,amount\n" if form == "csv" and is_headed else b"") + content
    found = rows_or_reason(f"a.{form}", whole)

    if isinstance(found, str):
        assert found in {"empty_file", "not_utf8", "open_quote"}
    else:
        assert len(found) == outline(f"a.{form}", whole)[0]
        assert {row.error for row in found} <= {None, "not_utf8", "wrong_cell_count", "bad_json", "duplicate_column"}
