"""What remains of an erased person in a published table, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.publishing.publications import MEMBER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication, PublishedColumn

USER = "user_id"
"""The column that says whom a row is about."""

REASON = "suppression_reason"
ERASED = "erased"


def empty(connection: Connection, publication: Publication, ids: Sequence[str], run_id: str, at: datetime) -> int:
    """
    Let current rows say of people only that they are erased, and delete their history; returns how many rows changed.

    A table whose rows do not outlive a membership loses the rows: the erasure feed tells of them.
    """
    if USER not in publication.key:
        return 0
    changed = 0
    if publication.history:
        changed += connection.execute(
            f"delete from {publication.history_target} where {USER} = any(%s)", [list(ids)]
        ).rowcount
    if not _outlives(publication):
        return (
            changed
            + connection.execute(f"delete from {publication.target} where {USER} = any(%s)", [list(ids)]).rowcount
        )
    since = [publication.since.column] if publication.since else []
    content = [column for column in publication.current_columns if column.name not in since]
    there = ", ".join(column.name for column in content)
    blank = ", ".join(_of_an_erased_user(publication, column) for column in content)
    stamps = {"run_id": "%(run_id)s", "updated_at": "%(at)s", **dict.fromkeys(since, "%(at)s")}
    changed += connection.execute(
        f"""
        update {publication.target} set ({there}, {", ".join(stamps)}) = row({blank}, {", ".join(stamps.values())})
        where {USER} = any(%(ids)s) and ({there}) is distinct from ({blank})
        """,
        {"ids": list(ids), "run_id": run_id, "at": at},
    ).rowcount
    return changed


def delete_old_history(connection: Connection, publication: Publication, keep_days: int) -> int:
    """Delete days of a published history that are older than `keep_days` before its newest; returns how many rows."""
    if not publication.history:
        return 0
    history = publication.history_target
    return connection.execute(
        f"delete from {history} where day < (select max(day) from {history}) - %s::int", [keep_days]
    ).rowcount


def delete(connection: Connection, publication: Publication, ids: Sequence[str]) -> None:
    """Delete people's rows: nobody needs to be told of them any more."""
    if USER in publication.key:
        connection.execute(f"delete from {publication.target} where {USER} = any(%s)", [list(ids)])


def _outlives(publication: Publication) -> bool:
    """Whether a row stays when its user leaves, so that tools that follow changes see it."""
    return any(column.name == MEMBER for column in publication.current_columns)


def _of_an_erased_user(publication: Publication, column: PublishedColumn) -> str:
    if column.name == REASON:
        return f"'{ERASED}'::{column.type}"
    if column.name in {MEMBER, publication.permits} or (column.type == "boolean" and not column.nullable):
        return "false"
    return f"null::{column.type}"
