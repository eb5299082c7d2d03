"""
What users are recommended on the published day, and what is known of its items, as the service answers from it.

It is published as what scores are answered from is (`answers`): with the day, in the same transaction, as Arrow in parts.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rekindle.publishing.answers import USER, USERS_A_PART, packed, unpacked
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.merge import Stamps

TABLE = "serving.recommendation"
USERS, ITEMS = "users", "items"


@dataclass(frozen=True)
class Trace:
    """The version by whose recipe it was learnt."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class Recommended:
    """What a day recommends, on its way to Postgres."""

    trace: Trace
    users: pa.RecordBatchReader
    """A row per user, in the order of `user_id`: country, and lists of items, scores, retrievers and is_fallback."""
    items: pa.RecordBatchReader
    """A row per item, in the order of `item_id`, as recs.item_daily has them."""


@dataclass(frozen=True)
class Spooled:
    """The same in a file."""

    trace: Trace | None
    file: IO[bytes]
    sizes: list[tuple[str, int]] = field(default_factory=list)
    """Of each part its kind, and its bytes."""

    def parts(self) -> Iterator[tuple[str, bytes]]:
        self.file.seek(0)
        for kind, size in self.sizes:
            yield kind, self.file.read(size)


NOTHING = Spooled(None, BytesIO())


@contextmanager
def spooled(recommended: Recommended) -> Iterator[Spooled]:
    """Write it to a file that is gone after the block; each reader is read once."""
    folder = settings().home / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        written = Spooled(recommended.trace, file)
        for kind, rows in ((USERS, recommended.users), (ITEMS, recommended.items)):
            for batch in rows:
                for at in range(0, batch.num_rows, USERS_A_PART):
                    part = packed(pa.Table.from_batches([batch.slice(at, USERS_A_PART)]))
                    written.sizes.append((kind, file.write(part)))
        yield written


def load(connection: Connection, known: Spooled, stamps: Stamps) -> None:
    """
    Make it what is published, in the caller's transaction; who was erased meanwhile stays out.

    A day that recommends nothing leaves what was there, as it leaves the scores of a product that it has skipped; what is
    there of a later day stays, too.
    """
    later = connection.execute(f"select exists (select from {TABLE} where day > %(day)s)", stamps).fetchone()
    if known.trace is None or later == (True,):
        return
    connection.execute(f"delete from {TABLE}")
    trace, counts = known.trace, {USERS: 0, ITEMS: 0}
    with connection.cursor() as cursor:
        for kind, part in known.parts():
            cursor.execute(
                f"insert into {TABLE} (kind, part, day, model_name, model_version, model_digest, rows)"
                " values (%s, %s, %s, %s, %s, %s, %s)",
                [kind, counts[kind], stamps["day"], trace.name, trace.version, trace.digest, part],
            )
            counts[kind] += 1
    forget(connection, [user for (user,) in connection.execute("select user_id from rekindle.erasure")])


def forget(connection: Connection, user_ids: Collection[str]) -> int:
    """Take people out of it, in the caller's transaction; returns how many were in it."""
    gone, found = pa.array(sorted(user_ids), pa.string()), 0
    if not len(gone):
        return 0
    parts = connection.execute(f"select part from {TABLE} where kind = %s order by part", [USERS]).fetchall()
    for (number,) in parts:
        ((part,),) = connection.execute(f"select rows from {TABLE} where kind = %s and part = %s", [USERS, number])
        rows = unpacked(part)
        kept = rows.filter(pc.invert(pc.is_in(rows[USER], value_set=gone)))
        if kept.num_rows < rows.num_rows:
            found += rows.num_rows - kept.num_rows
            connection.execute(
                f"update {TABLE} set rows = %s where kind = %s and part = %s", [packed(kept), USERS, number]
            )
    return found


def of_users(connection: Connection, user_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return what it holds of people, a row each."""
    asked = pa.array(sorted(user_ids), pa.string())
    found: list[dict[str, Any]] = []
    for (part,) in connection.execute(f"select rows from {TABLE} where kind = %s", [USERS]):
        rows = unpacked(part)
        found += rows.filter(pc.is_in(rows[USER], value_set=asked)).to_pylist()
    return found


@dataclass(frozen=True)
class Published:
    """What a day recommends, as it is published."""

    day: date
    trace: Trace
    users: pa.Table
    items: pa.Table


def read(connection: Connection) -> Published | None:
    """Read what is published, in the caller's transaction; None where nothing is."""
    rows = connection.execute(
        f"select kind, day, model_name, model_version, model_digest, rows from {TABLE} order by kind, part"
    ).fetchall()
    parts = {kind: [unpacked(row[-1]) for row in rows if row[0] == kind] for kind in (USERS, ITEMS)}
    if not all(parts.values()):
        return None
    _, day, name, version, digest, _ = rows[0]
    return Published(day, Trace(name, version, digest), pa.concat_tables(parts[USERS]), pa.concat_tables(parts[ITEMS]))
