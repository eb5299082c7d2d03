"""
A search for somebody in all that lies in a platform's folder and database, by bytes as whoever opens a file would see them.

What is packed is unpacked first: the values of Parquet, the blocks of Avro, gzip. A database is read as text, all rows of all
its tables.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import zstandard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from rekindle.postgres import Connection

NOT_OURS = ("postgres", "spark", "code", "java", "jars", "ivy")
"""Folders of the home with what servers need to run. Postgres' rows are read through it."""


def in_files(home: Path, needles: Collection[bytes], but: Collection[str] = NOT_OURS) -> list[str]:
    """Files, relative to the home, in which one of the needles stands."""
    found = []
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home)
        if path.is_file() and not path.is_symlink() and name.parts[0] not in but:
            content = b"\n".join(contents(path))
            if any(needle in content for needle in needles):
                found.append(str(name))
    return found


def contents(path: Path) -> Iterator[bytes]:
    """What a file holds: its bytes, and what is packed in them."""
    raw = path.read_bytes()
    yield raw
    if raw[:4] == b"PAR1":
        yield json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
    elif raw[:4] == b"Obj\x01":
        yield from _avro_blocks(raw)
    elif raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)


def in_database(connection: Connection, needles: Collection[str]) -> list[str]:
    """Tables in a row of which one of the needles stands."""
    tables = connection.execute(
        "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        " order by 1, 2"
    ).fetchall()
    found = []
    for schema, table in tables:
        rows = connection.execute(f'select t::text from "{schema}"."{table}" t').fetchall()
        text = "\n".join(row for (row,) in rows)
        if any(needle in text for needle in needles):
            found.append(f"{schema}.{table}")
    return found


def _avro_blocks(raw: bytes) -> Iterator[bytes]:
    """The blocks of an Avro container file."""
    at, codec = 4, b"null"
    while count := _long(raw, at)[0]:
        at = _long(raw, at)[1]
        if count < 0:
            at = _long(raw, at)[1]
        for _ in range(abs(count)):
            name, at = _bytes(raw, at)
            value, at = _bytes(raw, at)
            codec = value if name == b"avro.codec" else codec
    at = _long(raw, at)[1] + 16
    unpack: dict[bytes, Any] = {
        b"null": lambda block: block,
        b"deflate": lambda block: zlib.decompress(block, -15),
        b"zstandard": lambda block: zstandard.ZstdDecompressor().decompressobj().decompress(block),
    }
    while at < len(raw):
        _, at = _long(raw, at)
        block, at = _bytes(raw, at)
        at += 16
        yield unpack[codec](block)


def _long(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


def _bytes(raw: bytes, at: int) -> tuple[bytes, int]:
    length, at = _long(raw, at)
    return raw[at : at + length], at + length
