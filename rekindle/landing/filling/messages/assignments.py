"""Which assignment a message was of: told by the ledger of assignments, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from rekindle.postgres import transact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from typing import Literal

    from rekindle.postgres import Connection


@dataclass(frozen=True)
class Assignment:
    """A user's assignment to an arm of a campaign."""

    user_id: str
    campaign_id: str
    phone_hmac: str | None
    assigned_at: datetime
    is_control: bool


def of(column: Literal["user_id", "phone_hmac"], values: Collection[str]) -> dict[str, list[Assignment]]:
    """Find the assignments of users, or of those who had a phone when they were assigned."""
    query = f"""
        select user_id, campaign_id, phone_hmac, assigned_at, is_control from rekindle.assignment
        where {column} = any(%s)
    """

    def work(connection: Connection) -> list[Assignment]:
        cursor: Any = connection.cursor(row_factory=class_row(Assignment))
        return cursor.execute(query, [list(values)]).fetchall()

    found: dict[str, list[Assignment]] = {}
    for assignment in transact(work):
        found.setdefault(getattr(assignment, column), []).append(assignment)
    return found


def latest(assignments: Iterable[Assignment], at: datetime, campaign_id: str | None = None) -> Assignment | None:
    """
    Return the assignment that a message of this time was of: the latest before it, of the campaign where one is named.

    None where there is none, and where two users were assigned at that time with one phone: it cannot be told who was meant.
    """
    before = [a for a in assignments if a.assigned_at <= at and campaign_id in (None, a.campaign_id)]
    newest = max((a.assigned_at for a in before), default=None)
    last = [a for a in before if a.assigned_at == newest]
    return last[0] if len(last) == 1 else None
