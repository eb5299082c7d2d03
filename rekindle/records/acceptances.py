"""
What persons have accepted: soft checks that a day may fail, each for one table and one day.

A check is soft where it compares a day with days before it, and the rule that judged says so in the result's detail: `soft` is
how the contract names its condition, `moved` by how much each day has moved beyond the limit. What is accepted is what was
seen: a day that has moved further since is stopped again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from rekindle.postgres import transact
from rekindle.records.checks import CheckResult, RecordedCheck
from rekindle.records.rows import insert_many, select, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from rekindle.postgres import Connection

Judged = TypeVar("Judged", CheckResult, RecordedCheck)

SLACK = 1 + 1e-6
"""A mean that is added up in another order differs in its last digits, and is no further move."""


@dataclass(frozen=True)
class Acceptance:
    """A person let a soft check of a table pass for a day."""

    acceptance_id: int
    table_name: str
    condition: str
    """The check, as the contract names it, with its column: `rows_change_by`, `mean_moves_by.raw_score`."""
    day: date
    moved: float
    """By how much the day had moved when it was accepted."""
    accepted_by: str
    because: str
    accepted_at: datetime

    @property
    def words(self) -> str:
        return f"{self.day} by {self.accepted_by}, {self.accepted_at:%Y-%m-%d %H:%M} UTC: {self.because}"


def soft(condition: str, moved: Mapping[date, float]) -> dict[str, Any]:
    """What the detail of a failed soft check says, so that a person may accept it."""
    return {"soft": condition, "moved": {str(day): value for day, value in moved.items()}}


def is_soft(check: CheckResult | RecordedCheck) -> bool:
    """Whether a person may accept that a check has failed."""
    return "soft" in check.detail


def is_accepted(check: CheckResult | RecordedCheck) -> bool:
    """Whether a failed check was accepted for all days that failed it."""
    return check.outcome == "failed" and "accepted" in check.detail


def stops(check: CheckResult | RecordedCheck) -> bool:
    """Whether a check keeps a table from being released or published."""
    return check.severity == "stop" and check.outcome == "failed" and not is_accepted(check)


def to_accept(check: CheckResult | RecordedCheck) -> list[str]:
    """The days, as text, for which a failed soft check would have to be accepted to pass."""
    return [day for day in check.detail.get("moved", {}) if day not in check.detail.get("accepted_days", ())]


def with_accepted(results: Sequence[CheckResult], found: Sequence[Acceptance]) -> list[CheckResult]:
    """Say of each failed soft check which of its days were accepted as they are, and by whom if all were; it stays failed."""
    return [_with_accepted(result, found) if is_soft(result) else result for result in results]


def _with_accepted(result: CheckResult, found: Sequence[Acceptance]) -> CheckResult:
    by_day = {}
    for day, moved in result.detail["moved"].items():
        # The last of several is told; any that has seen so much will do.
        for one in found:
            if (one.condition, str(one.day)) == (result.detail["soft"], day) and moved <= one.moved * SLACK:
                by_day[day] = one
    if not by_day:
        return result
    told: dict[str, Any] = {"accepted_days": list(by_day)}
    if len(by_day) == len(result.detail["moved"]):
        told["accepted"] = [one.words for one in by_day.values()]
    return replace(result, detail={**result.detail, **told})


def passed_over(table: str, results: Sequence[CheckResult], connection: Connection | None = None) -> list[CheckResult]:
    """Look up what was accepted of the results of a table, within a transaction where one is given."""
    days = sorted({day for result in results if is_soft(result) for day in result.detail["moved"]})
    if not days:
        return list(results)

    def work(connection: Connection) -> list[Acceptance]:
        return _of_days(connection, table, days)

    return with_accepted(results, work(connection) if connection else transact(work))


def _of_days(connection: Connection, table: str, days: Sequence[str]) -> list[Acceptance]:
    from psycopg.rows import class_row

    with connection.cursor(row_factory=class_row(Acceptance)) as cursor:
        return cursor.execute(
            "select * from rekindle.acceptance where table_name = %s and day = any(%s::date[]) order by acceptance_id",
            [table, list(days)],
        ).fetchall()


def append_acceptance(  # noqa: PLR0917 - the record's columns, in their order
    table: str, condition: str, day: date, moved: float, accepted_by: str, because: str
) -> Acceptance:
    """Record that a person has accepted a check. Rows are only ever added."""

    def work(connection: Connection) -> list[Acceptance]:
        insert_many(
            connection,
            "rekindle.acceptance (table_name, condition, day, moved, accepted_by, because)",
            [(table, condition, day, moved, text_of(accepted_by), text_of(because))],
        )
        return _of_days(connection, table, [str(day)])

    return transact(work)[-1]


def last_said(table: str, day: date) -> list[RecordedCheck]:
    """What the checks of a table's day said last, when it was built or published; of a range its last day has the record."""
    return select(
        RecordedCheck,
        """
        (
            select distinct on (rule, severity) result.* from rekindle.check_result as result
            join rekindle.run using (run_id)
            where table_name = %(table)s and kind <> 'check'
                and (result.day = %(day)s or jsonb_exists(detail -> 'moved', %(text)s))
            order by rule, severity, result.recorded_at desc
        ) as latest order by rule
        """,
        {"table": table, "day": day, "text": str(day)},
    )
