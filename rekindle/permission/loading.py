"""
What the warehouse knows of permission on its way to Postgres, where the codes that need a clock or a ledger are decided.

The rows lie in files without names meanwhile, so that a transaction that is done again has them again.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from rekindle.postgres import copy_csv
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from rekindle.postgres import Connection

COLUMNS = {
    "permission": (
        *("user_id", "day", "code", "phone_hmac", "phone_hmacs", "phone_e164"),
        *("consent_at", "consent_source", "policy_version", "zones", "country"),
    ),
    "profile": ("user_id", "day", "country", "channel", "segment", "usual_hour"),
    "sent_elsewhere": ("campaign_id", "user_id", "assigned_at"),
}
"""By table of schema `rekindle`, what is loaded into it."""

USUAL_HOURS = """
update rekindle.permission as p set usual_hour = f.usual_hour
from rekindle.profile as f
where f.user_id = p.user_id and p.code is null and p.usual_hour is distinct from f.usual_hour
"""
"""Of whom a window is asked for."""

Rows: TypeAlias = pa.Table | pa.RecordBatchReader


@dataclass(frozen=True)
class Given:
    """
    What a day knows of permission: rows of marts.permission with `phone_e164` and `phone_hmacs`, which are lists, of
    marts.profile and of marts.recent_assignments.

    What is None is not known of the day: what was known before stays, and grants nobody permission who had none.
    """

    permission: Rows | None = None
    profile: Rows | None = None
    sent_elsewhere: Rows | None = None
    why_nothing_new: str | None = None
    """Why nobody may gain permission although there are rows: opt-outs of the day are missing, say."""


@dataclass(frozen=True)
class Known:
    """The same, in files by table."""

    files: Mapping[str, IO[bytes]]
    why_nothing_new: str | None


@contextmanager
def spooled(given: Given) -> Iterator[Known]:
    """Write what is given to files that are gone after the block; readers are read once."""
    folder = settings().home / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        written: dict[str, IO[bytes]] = {}
        for table, names in COLUMNS.items():
            rows: Rows | None = getattr(given, table)
            if rows is not None:
                written[table] = files.enter_context(tempfile.TemporaryFile(dir=folder))
                _write(rows, names, written[table])
        yield Known(written, given.why_nothing_new)


def _write(rows: Rows, names: tuple[str, ...], file: IO[bytes]) -> None:
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    for batch in batches:
        table = pa.Table.from_batches([batch])
        chosen = pa.table({name: _cells(table[name]) for name in names})
        csv.write_csv(chosen, file, csv.WriteOptions(include_header=False))


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write lists, which hold hexadecimal digits, as Postgres does; and no NUL, which its texts cannot hold."""
    if pa.types.is_list(column.type):
        listed = pc.binary_join(column, ",")
        return pc.binary_join_element_wise("{", pc.fill_null(listed, ""), "}", "")
    return pc.replace_substring(column, "\x00", "\ufffd") if pa.types.is_string(column.type) else column


def load(connection: Connection, known: Known, day: date) -> None:
    """Make Postgres' tables what the day knows; what it does not know stays."""
    for table, file in known.files.items():
        connection.execute(f"truncate rekindle.{table}")
        copy_csv(connection, f"rekindle.{table}", COLUMNS[table], file)
        # Who was erased after the day's tables were read would come back.
        connection.execute(f"delete from rekindle.{table} where user_id in (select user_id from rekindle.erasure)")
        connection.execute(f"analyze rekindle.{table}")
    connection.execute(USUAL_HOURS)
    if "permission" in known.files:
        connection.execute(
            """
            insert into rekindle.permission_state (day, why_nothing_new) values (%s, %s)
            on conflict (is_the_only_row) do update
            set (day, why_nothing_new) = (excluded.day, excluded.why_nothing_new)
            """,
            [day, known.why_nothing_new],
        )
