"""
Roles that read a little of our schemas, each what one process of a team's answers from, and what they may read.

Somebody creates such a role (docs/deploy.md); the next migration grants it what is named here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

from rekindle.publishing import publications

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg.sql import Composed

    from rekindle.postgres import Connection


@dataclass(frozen=True)
class Reader:
    """A role, and the tables that it reads."""

    role: str
    tables: Callable[[], tuple[str, ...]]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of further tables, what it reads of them."""


def _of_metrics() -> tuple[str, ...]:
    """Nothing that is about people."""
    records = "run", "stage", "check_result", "publish_log", "promotion", "gates", "suppression"
    return (*(f"rekindle.{table}" for table in records), "sms.freshness")


def _of_answers() -> tuple[str, ...]:
    """Published scores and what answers are made of: no phone, and no permission."""
    scores = (publication.target for publication in publications.declared() if publication.contract)
    serving = (f"serving.{table}" for table in ("model", "features", "recommendation", "rta_bids", "api_key"))
    return (*scores, "sms.freshness", "sms.erasure_feed", *serving)


METRICS = Reader("rekindle_metrics", _of_metrics)
ANSWERS = Reader("rekindle_answers", _of_answers, {"rekindle.withdrawal": ("kind", "user_id", "recorded_at")})
READERS = METRICS, ANSWERS


def let_read(connection: Connection, readers: tuple[Reader, ...] = READERS) -> None:
    """Grant each role what it reads, where somebody has created it. Changes nothing where that is done."""
    for reader in readers:
        if not connection.execute("select from pg_roles where rolname = %s", [reader.role]).fetchall():
            continue
        role, whole = Identifier(reader.role), reader.tables()
        schemas = sorted({table.split(".")[0] for table in (*whole, *reader.columns)})
        connection.execute(SQL("grant usage on schema {} to {}").format(_listed(schemas), role))
        connection.execute(SQL("grant select on {} to {}").format(_listed(whole), role))
        for table, columns in reader.columns.items():
            connection.execute(SQL("grant select ({}) on {} to {}").format(_listed(columns), _listed([table]), role))


def _listed(names: Iterable[str]) -> Composed:
    return SQL(", ").join(Identifier(*name.split(".")) for name in names)
