"""
Spooling: scores on their way from Arrow to Postgres lie in a file, so that memory holds a batch and a retry has them again.

The file has no name: whatever ends the process, nothing about anybody is left on the disk.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from rekindle.errors import InputError
from rekindle.postgres import copy_csv
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication

ROWS_AT_ONCE = 10_000

COLLATION = {"text": ' collate "C"'}
"""As the keys in schema `sms`: sorting and comparing by bytes is also several times faster."""

NOT_STAGED = ("run_id", "reasons")
"""The run that publishes stamps the rows; of the reasons, their words and contributions are columns of their own."""


@dataclass(frozen=True)
class Spooled:
    """The scores of a publication as COPY takes them, in a file."""

    publication: Publication
    types: Mapping[str, str]
    """The staged columns with their types."""
    digest: str
    file: IO[bytes]


@contextmanager
def spool(publication: Publication, scores: pa.Table | pa.RecordBatchReader) -> Iterator[Spooled]:
    """
    Write scores to a file that is gone after the block.

    A reader must give the rows in the order of the key, so that equal scores are equal bytes and Postgres' tables are
    written from front to back; a table is brought into it.
    """
    _refuse_missing(publication, scores.schema.names)
    if isinstance(scores, pa.Table):
        order = [(name, "ascending") for name in publication.key]
        scores = pa.RecordBatchReader.from_batches(
            scores.schema, scores.sort_by(order).to_batches(max_chunksize=ROWS_AT_ONCE)
        )
    empty = _laid_out(publication, scores.schema.empty_table())
    types = {name: _postgres_type(name, empty.schema.field(name).type) for name in empty.column_names}
    folder = settings().home / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=folder) as file:
        for batch in scores:
            rows = BytesIO()
            csv.write_csv(
                _laid_out(publication, pa.Table.from_batches([batch])), rows, csv.WriteOptions(include_header=False)
            )
            digest.update(rows.getbuffer())
            file.write(rows.getbuffer())
        yield Spooled(publication, types, digest.hexdigest(), file)


def stage(connection: Connection, spooled: Spooled) -> None:
    """Copy the file into a temporary table that ends with the transaction."""
    columns = ", ".join(f"{name} {kind}{COLLATION.get(kind, '')}" for name, kind in spooled.types.items())
    staging = spooled.publication.staging
    connection.execute(f"create temporary table {staging} ({columns}) on commit drop")
    copy_csv(connection, staging, spooled.types, spooled.file)


def _refuse_missing(publication: Publication, names: list[str]) -> None:
    if publication.contract is None:
        raise InputError(
            f"{publication.target} is published from a query and takes no scores.",
            todo="Publish it by itself.",
            safe="Nothing was published.",
        )
    if missing := [name for name in publication.contract.names if name not in names]:
        raise InputError(
            f"The scores of {publication.name} have no column {', '.join(missing)}.",
            todo=f"Give what contracts/{publication.contract.table}.yml describes.",
            safe="Nothing was published.",
        )


def _laid_out(publication: Publication, scores: pa.Table) -> pa.Table:
    assert publication.contract is not None  # noqa: S101 - `_refuse_missing` came first
    columns = {name: scores.column(name) for name in publication.contract.names if name not in NOT_STAGED}
    if places := [column.reason for column in publication.columns if column.reason]:
        columns |= _reasons(scores.column("reasons"), max(places))
    return pa.table(columns)


def _reasons(reasons: pa.ChunkedArray, places: int) -> dict[str, pa.Array]:
    """Lay out the largest contributions as columns; who has fewer has nulls."""
    largest = pc.list_slice(reasons.combine_chunks(), 0, places, return_fixed_size_list=True)
    columns = {}
    for place in range(places):
        reason = pc.list_element(largest, place)
        # A source may deliver NUL in a text, and Postgres' text holds anything but that.
        words = pc.replace_substring(pc.struct_field(reason, "words"), "\x00", "\ufffd")
        columns[f"reason_{place + 1}_words"] = words
        columns[f"reason_{place + 1}_contribution"] = pc.struct_field(reason, "contribution")
    return columns


def _postgres_type(name: str, arrow: pa.DataType) -> str:
    kinds = {
        "text": (pa.types.is_string, pa.types.is_large_string),
        "bigint": (pa.types.is_integer,),
        "double precision": (pa.types.is_floating,),
        "numeric": (pa.types.is_decimal,),
        "date": (pa.types.is_date,),
        "boolean": (pa.types.is_boolean,),
    }
    for postgres, tests in kinds.items():
        if any(test(arrow) for test in tests):
            return postgres
    raise InputError(f"Scores cannot be published with {name} of type {arrow}.", todo="Use a type that Postgres has.")
