"""
Which devices are bid for while an auction waits: published with the day's scores, in the same transaction, into schema `serving`.

Only what is bid for is published, and what would be if it were not of the control group, with a multiplier of 0. Of every other
device nothing is known, be it refused, erased or never seen: the answer is the same. Bids travel as Arrow, in parts, as what
models read does (`answers`).
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rekindle.publishing.answers import USER, Spooled, packed, unpacked
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date, datetime

    from rekindle.postgres import Connection
    from rekindle.publishing.merge import Stamps

TABLE = "serving.rta_bids"

ROWS_A_PART = 100_000

SCHEMA = pa.schema(
    [("id_hash", pa.binary(32)), (USER, pa.string()), ("strategy", pa.string()), ("multiplier", pa.float32())]
)
"""A row per device and user of it, in the order of `id_hash`: who withdraws later takes the device along."""


@dataclass(frozen=True)
class Published:
    """The bids that are published."""

    day: date
    valid_until: datetime
    rows: pa.Table


@contextmanager
def spooled(bids: pa.RecordBatchReader) -> Iterator[Spooled]:
    """Write bids to a file that is gone after the block; the reader is read once."""
    folder = settings().home / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        written = Spooled((), file)
        for batch in bids:
            rows = pa.Table.from_batches([batch]).select(SCHEMA.names).cast(SCHEMA)
            for at in range(0, rows.num_rows, ROWS_A_PART):
                written.sizes.append(file.write(packed(rows.slice(at, ROWS_A_PART))))
        yield written


def load(connection: Connection, bids: Spooled, stamps: Stamps) -> None:
    """Make the day's bids the ones that are published, in the caller's transaction; those of a later day stay."""
    (later,) = connection.execute(f"select exists (select from {TABLE} where day > %(day)s)", stamps).fetchone() or (
        False,
    )
    if later:
        return
    connection.execute(f"delete from {TABLE}")
    for number, part in enumerate(bids.parts()):
        connection.execute(
            f"insert into {TABLE} (part, day, valid_until, bids) values (%(part)s, %(day)s,"
            " (%(day)s::date + 1)::timestamp at time zone 'UTC' + make_interval(hours => %(valid_hours)s), %(bids)s)",
            {**stamps, "part": number, "valid_hours": settings().valid_hours, "bids": part},
        )
    forget(connection, [user for (user,) in connection.execute("select user_id from rekindle.erasure")])


def forget(connection: Connection, user_ids: Collection[str]) -> int:
    """Take people's devices out, in the caller's transaction, whoever shares them; returns how many rows were theirs."""
    gone, found = pa.array(sorted(user_ids), pa.string()), 0
    if not len(gone):
        return 0
    for (number,) in connection.execute(f"select part from {TABLE} order by part").fetchall():
        ((part,),) = connection.execute(f"select bids from {TABLE} where part = %s", [number])
        rows = unpacked(part)
        is_theirs = pc.is_in(rows[USER], value_set=gone)
        devices = rows.filter(is_theirs)["id_hash"]
        if len(devices):
            found += len(devices)
            kept = rows.filter(pc.invert(pc.is_in(rows["id_hash"], value_set=devices.combine_chunks())))
            connection.execute(f"update {TABLE} set bids = %s where part = %s", [packed(kept), number])
    return found


def of_users(connection: Connection, user_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the bids for people's devices, a row each; a device by its hash in hexadecimal."""
    asked = pa.array(sorted(user_ids), pa.string())
    found: list[dict[str, Any]] = []
    for (part,) in connection.execute(f"select bids from {TABLE}"):
        rows = unpacked(part)
        theirs = rows.filter(pc.is_in(rows[USER], value_set=asked)).to_pylist()
        found += [row | {"id_hash": row["id_hash"].hex()} for row in theirs]
    return found


def read(connection: Connection) -> Published | None:
    """Read the bids that are published, in the caller's transaction; None where there are none."""
    parts = connection.execute(f"select day, valid_until, bids from {TABLE} order by part").fetchall()
    if not parts:
        return None
    return Published(parts[0][0], parts[0][1], pa.concat_tables(unpacked(part) for *_, part in parts))
