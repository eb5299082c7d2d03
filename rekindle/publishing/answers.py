"""
What answers are made of while somebody waits: the models that scored the published day, and what they read of each user.

It is published with the day's scores, in the same transaction, into schema `serving`: whoever reads it finds models, inputs and
scores of one day, or those of the day before. Inputs travel as Arrow, in parts, because nobody asks Postgres for a row of them:
the service reads all of them once a day.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.merge import Stamps

USERS_A_PART = 20_000
USER = "user_id"

INPUTS = "serving.features"
"""The table of the inputs."""


@dataclass(frozen=True)
class Model:
    """The model that scored a product's day."""

    product: str
    name: str
    version: str
    digest: str
    """Of its native files; whoever unpacks `archive` computes it again."""
    archive: bytes
    """Its native files, packed by ml.model.artifact."""
    cut_points: tuple[float, ...]
    """The lowest raw score of each percentile of the day's population, from 1 to 100; not a number where nobody has it."""


@dataclass(frozen=True)
class Material:
    """What answers about a day are made of."""

    models: Sequence[Model]
    inputs: pa.RecordBatchReader
    """What the models read, a row per user: in the order of `user_id`, and without the day."""


@dataclass(frozen=True)
class Spooled:
    """Material on its way: the inputs lie in a file, each part as an Arrow stream."""

    models: Sequence[Model]
    file: IO[bytes]
    sizes: list[int] = field(default_factory=list)
    """Bytes of each part."""

    def parts(self) -> Iterator[bytes]:
        self.file.seek(0)
        for size in self.sizes:
            yield self.file.read(size)


NOTHING = Spooled((), BytesIO())


@contextmanager
def spooled(material: Material) -> Iterator[Spooled]:
    """Write the inputs to a file that is gone after the block; the reader is read once."""
    folder = settings().home / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        written = Spooled(material.models, file)
        for batch in material.inputs:
            for at in range(0, batch.num_rows, USERS_A_PART):
                written.sizes.append(file.write(packed(pa.Table.from_batches([batch.slice(at, USERS_A_PART)]))))
        yield written


def load(connection: Connection, known: Spooled, stamps: Stamps) -> None:
    """
    Make schema `serving` what is known of the day, in the caller's transaction; who was erased meanwhile stays out.

    What is there of a later day stays: an older one may be current for a product that the later one had skipped.
    """
    (later,) = connection.execute(
        "select exists (select from serving.model where day > %(day)s)", stamps
    ).fetchone() or (False,)
    if later:
        return
    connection.execute("delete from serving.model")
    connection.execute(f"delete from {INPUTS}")
    with connection.cursor() as cursor:
        for model in known.models:
            cursor.execute(
                "insert into serving.model"
                " (product, model_name, model_version, model_digest, archive, cut_points, day, run_id, published_at)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    *(model.product, model.name, model.version, model.digest, model.archive),
                    *(list(model.cut_points), stamps["day"], stamps["run_id"], stamps["at"]),
                ],
            )
        with cursor.copy(f"copy {INPUTS} (part, day, inputs) from stdin (format binary)") as copy:
            copy.set_types(["int4", "date", "bytea"])
            for number, part in enumerate(known.parts()):
                copy.write_row([number, stamps["day"], part])
    erased = [user for (user,) in connection.execute("select user_id from rekindle.erasure")]
    forget(connection, erased)


def forget(connection: Connection, user_ids: Collection[str]) -> int:
    """Take people out of the inputs, in the caller's transaction; returns how many were in them."""
    gone, found = pa.array(sorted(user_ids), pa.string()), 0
    if not len(gone):
        return 0
    parts = connection.execute(f"select part from {INPUTS} order by part").fetchall()
    for (number,) in parts:
        ((part,),) = connection.execute(f"select inputs from {INPUTS} where part = %s", [number])
        rows = unpacked(part)
        kept = rows.filter(pc.invert(pc.is_in(rows[USER], value_set=gone)))
        if kept.num_rows < rows.num_rows:
            found += rows.num_rows - kept.num_rows
            connection.execute(f"update {INPUTS} set inputs = %s where part = %s", [packed(kept), number])
    return found


def of_users(connection: Connection, user_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return what the inputs hold of people, a row each."""
    asked = pa.array(sorted(user_ids), pa.string())
    found: list[dict[str, Any]] = []
    for (part,) in connection.execute(f"select inputs from {INPUTS}"):
        rows = unpacked(part)
        found += rows.filter(pc.is_in(rows[USER], value_set=asked)).to_pylist()
    return found


@dataclass(frozen=True)
class Published:
    """What answers are made of, as it is published."""

    day: date | None
    """The day that models and inputs are about; None where nothing is published."""
    models: Mapping[str, Model]
    """By product."""
    inputs: pa.Table | None
    """A row per user, in the order of `user_id`; None where nothing is published."""


def read(connection: Connection) -> Published:
    """Read what is published, in the caller's transaction."""
    rows = connection.execute(
        "select product, model_name, model_version, model_digest, archive, cut_points, day from serving.model"
    ).fetchall()
    models = {
        product: Model(product, name, version, digest, archive, tuple(cut_points))
        for product, name, version, digest, archive, cut_points, _ in rows
    }
    parts = [unpacked(part) for (part,) in connection.execute(f"select inputs from {INPUTS} order by part")]
    return Published(rows[0][-1] if rows else None, models, pa.concat_tables(parts) if parts else None)


def packed(rows: pa.Table) -> bytes:
    """Return rows as a part."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(rows)
    return sink.getvalue().to_pybytes()


def unpacked(part: bytes) -> pa.Table:
    """Return the rows of a part."""
    return pa.ipc.open_stream(part).read_all()
