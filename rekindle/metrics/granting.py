"""What a role of its own needs to read the metrics, and nothing that is about people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    from rekindle.postgres import Connection

ROLE = "rekindle_metrics"
READS = (
    *("rekindle.run", "rekindle.stage", "rekindle.check_result", "rekindle.publish_log", "rekindle.promotion"),
    *("rekindle.gates", "rekindle.suppression", "sms.freshness"),
)


def let_read(connection: Connection) -> None:
    """Grant the role what it reads, where somebody has created it. Changes nothing where that is done."""
    if not connection.execute("select from pg_roles where rolname = %s", [ROLE]).fetchall():
        return
    role, tables = Identifier(ROLE), SQL(", ").join(Identifier(*table.split(".")) for table in READS)
    connection.execute(SQL("grant usage on schema rekindle, sms to {}").format(role))
    connection.execute(SQL("grant select on {} to {}").format(tables, role))
