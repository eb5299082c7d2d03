"""
Which version scored each published day, and who had brought it into office: the histories in Postgres say the first, the
promotion log the second, the gates which bytes those were.

A day whose rows were deleted for their age is answered by the promotion log alone, as it stood when the day was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql

from rekindle import postgres, records
from rekindle.report.scored_by import MADE_BY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication
    from rekindle.records import Gate, Promotion

PUBLISHED = sql.SQL("""
    with published as (
        select day, max(published_at) as published_at from rekindle.publish_log
        where product = %(product)s and day between coalesce(%(first)s, day) and coalesce(%(last)s, day) group by day
    )
    select day, published_at, model_version, count(model_version), coalesce(bool_or(is_backfilled), false)
    from published left join (select day, model_version, is_backfilled from {history} where model_version is not null) as row
    using (day) group by 1, 2, 3 order by day, 4 desc, model_version
""")


@dataclass(frozen=True)
class Day:
    """A version that scored a product's published day."""

    day: date
    version: str | None
    """None where no row says and nobody was in office."""
    users: int | None
    """None where the day's rows are gone."""
    is_backfilled: bool
    published_at: datetime
    told_by: Literal["rows", "promotion_log"]
    gate: Gate | None
    promotion: Promotion | None
    """By which it had come into office when the day was published; None of a version that was named by hand."""

    def to_json(self) -> dict[str, Any]:
        gate, promotion = self.gate, self.promotion
        return {
            "day": self.day,
            "version": self.version,
            "users": self.users,
            "is_backfilled": self.is_backfilled,
            "published_at": self.published_at,
            "told_by": self.told_by,
            "digest": gate.digest if gate else promotion and promotion.digest,
            "gate": gate and ("passed" if gate.passed else "failed"),
            "route": gate and gate.route,
            "trained_day": gate and gate.trained_day,
            "promoted_at": promotion and promotion.promoted_at,
            "promoted_by": promotion and promotion.promoted_by,
            "promotion_reason": promotion and promotion.reason,
            "promotion_run_id": promotion and promotion.run_id,
            "effective_from_day": promotion and promotion.effective_from_day,
        }


def find(publication: Publication, first: date | None = None, last: date | None = None) -> list[Day]:
    """Find who scored the published days of a product, the first day first; of a day the version that scored most."""
    name = publication.name
    if not {column.name for column in publication.columns} >= MADE_BY:
        return []
    query = PUBLISHED.format(history=sql.Identifier(*publication.history_target.split(".")))
    bounds = {"product": name, "first": first, "last": last}

    def work(connection: Connection) -> list[tuple[Any, ...]]:
        return connection.execute(query, bounds).fetchall()

    rows, log, gates = postgres.transact(work), records.promotions(name), records.gates(name)
    return [_day(row, log, gates) for row in rows]


def _day(row: tuple[Any, ...], log: Sequence[Promotion], gates: Mapping[str, Gate]) -> Day:
    day, published_at, version, users, is_backfilled = row
    if version is None:
        promotion = in_effect(log, day, published_at)
        version = promotion.version if promotion else None
        gate = gates.get(version) if version else None
        return Day(day, version, None, is_backfilled, published_at, "promotion_log", gate, promotion)
    promotion = brought(log, version, day, published_at)
    return Day(day, version, users, is_backfilled, published_at, "rows", gates.get(version), promotion)


def brought(log: Iterable[Promotion], version: str, day: date, at: datetime) -> Promotion | None:
    """The last promotion, or step back, before a time that let a version score a day."""
    return next(
        (p for p in reversed(_until(log, at)) if p.version == version and p.effective_from_day <= day),
        None,
    )


def in_effect(log: Iterable[Promotion], day: date, at: datetime) -> Promotion | None:
    """The promotion that was in effect for a day, as the log stood at a time."""
    return next((p for p in reversed(records.standing(_until(log, at))) if p.effective_from_day <= day), None)


def _until(log: Iterable[Promotion], at: datetime) -> list[Promotion]:
    return [promotion for promotion in log if promotion.promoted_at <= at]
