"""From which day on rows of a table are kept, where older ones were deleted for their age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.postgres import transact

if TYPE_CHECKING:
    from datetime import date


def record_expiry(table: str, kept_from: date) -> None:
    """Record, before rows are deleted, that those of days before `kept_from` are; a later day stays."""
    transact(
        lambda connection: connection.execute(
            "insert into rekindle.expiry (table_name, kept_from) values (%s, %s)"
            " on conflict (table_name) do update set kept_from = greatest(excluded.kept_from, expiry.kept_from)",
            [table, kept_from],
        )
    )


def expiries() -> dict[str, date]:
    """Return the first day of which rows are kept, of tables that have lost some for their age."""
    rows = transact(
        lambda connection: connection.execute("select table_name, kept_from from rekindle.expiry").fetchall()
    )
    return dict(rows)
