"""What the rules of contracts said about the days of tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rekindle.postgres import transact
from rekindle.records.rows import OF_RUN_AND_DAY, insert_many, jsonb_of, select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from rekindle.postgres import Connection

CALIBRATION = ", calibration"
"""Ends the name by which what was found of a champion's level is recorded, beside the checks of the table of its scores."""

Severity = Literal["stop", "warn"]


@dataclass(frozen=True)
class CheckResult:
    """What a rule of a contract said about one day of a table."""

    rule: str
    severity: Severity
    outcome: Literal["passed", "failed", "not_judged"]
    failed_rows: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedCheck:
    """A check's result with the run, day and table it is about."""

    run_id: str
    day: date
    table_name: str
    rule: str
    severity: Severity
    outcome: Literal["passed", "failed", "not_judged"]
    failed_rows: int | None
    detail: dict[str, Any]
    recorded_at: datetime


def record_checks(run_id: str, day: date, table: str, results: Sequence[CheckResult]) -> None:
    """Record what the checks of a table's day said, instead of what this run recorded of them before."""

    def work(connection: Connection) -> None:
        connection.execute(
            "delete from rekindle.check_result where run_id = %s and day = %s and table_name = %s", [run_id, day, table]
        )
        insert_many(
            connection,
            "rekindle.check_result (run_id, day, table_name, rule, severity, outcome, failed_rows, detail)",
            [(run_id, day, table, r.rule, r.severity, r.outcome, r.failed_rows, jsonb_of(r.detail)) for r in results],
        )

    transact(work)


def checks(*, run_id: str | None = None, day: date | None = None) -> list[RecordedCheck]:
    """Find the check results of a run, of a day, or of a run's day, in the order in which they were recorded."""
    return select(
        RecordedCheck,
        f"rekindle.check_result where {OF_RUN_AND_DAY} order by recorded_at, table_name, rule",
        {"run_id": run_id, "day": day},
    )


def checks_since(day: date, table_like: str) -> list[RecordedCheck]:
    """Find what the last run of each day since `day` said of tables whose names are like the pattern, the oldest day first."""
    return select(
        RecordedCheck,
        """
        (
            select distinct on (day, table_name, rule) * from rekindle.check_result
            where day >= %(day)s and table_name like %(like)s order by day, table_name, rule, recorded_at desc
        ) as latest
        """,
        {"day": day, "like": table_like},
    )
