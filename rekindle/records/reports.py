"""What the report of each day said, in figures: who looks at all days need not open all pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from psycopg.rows import class_row

from rekindle.postgres import transact
from rekindle.records.rows import jsonb_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from rekindle.postgres import Connection


@dataclass(frozen=True)
class ReportedDay:
    """A day as its last report told it."""

    day: date
    run_id: str
    kind: str
    severity: Literal["failed", "warned", "open", "passed"]
    headline: str
    failed_checks: int
    warnings: int
    seconds: float
    """Of all stages of the run, added up."""
    at_stake: Decimal | None
    """Value at stake of all users of the day."""
    published: Mapping[str, Mapping[str, Any]] = field(hash=False)
    """By publication: `rows` of the day and, of its headline figure, `figure`, `kind` and `mean`, null where there is none."""
    came_true: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    """Predicted over actual by `product label`, of what is known by now; only of days that were asked for."""


def record_reported(one: ReportedDay) -> None:
    """Record what a report said of its day, instead of what an earlier one did."""
    values = {**vars(one), "headline": text_of(one.headline), "published": jsonb_of(one.published)}
    transact(
        lambda connection: connection.execute(
            """
            insert into rekindle.reported_day
                (day, run_id, kind, severity, headline, failed_checks, warnings, seconds, at_stake, published)
            values (%(day)s, %(run_id)s, %(kind)s, %(severity)s, %(headline)s, %(failed_checks)s, %(warnings)s,
                %(seconds)s, %(at_stake)s, %(published)s)
            on conflict (day) do update set run_id = excluded.run_id, kind = excluded.kind,
                severity = excluded.severity, headline = excluded.headline, failed_checks = excluded.failed_checks,
                warnings = excluded.warnings, seconds = excluded.seconds, at_stake = excluded.at_stake,
                published = excluded.published, reported_at = excluded.reported_at
            """,
            values,
        )
    )


def reported_days(came_true_days: int) -> list[ReportedDay]:
    """List all days that have a report, the newest first; of so many of the newest, with what came true of their scores."""

    def work(connection: Connection) -> list[ReportedDay]:
        with connection.cursor(row_factory=class_row(ReportedDay)) as cursor:
            return cursor.execute(
                """
                select day, run_id, kind, severity, headline, failed_checks, warnings, seconds, at_stake, published,
                    coalesce(came_true, '{}') as came_true
                from rekindle.reported_day left join (
                    select scored_on, jsonb_object_agg(product || ' ' || label, ratio) as came_true
                    from (
                        select scored_on, product, label,
                            case when sum(actual) > 0 then sum(predicted) / sum(actual) end as ratio
                        from rekindle.score_outcome
                        where day > (select max(day) from rekindle.reported_day) - %(days)s
                        group by scored_on, product, label
                    ) as by_label
                    where scored_on > (select max(day) from rekindle.reported_day) - %(days)s
                    group by scored_on
                ) as known on scored_on = day
                order by day desc
                """,
                {"days": came_true_days},
            ).fetchall()

    return transact(work)
