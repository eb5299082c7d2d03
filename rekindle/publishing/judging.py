"""Judging: the contract once more, by Postgres, on exactly what would be published."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle.publishing.publications import PublishedColumn
from rekindle.records import CheckResult, soft
from rekindle.warehouse.checks.days import HISTORY_DAYS, MIN_HISTORY_DAYS, rows_change_name
from rekindle.warehouse.checks.rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from rekindle.postgres import Connection
    from rekindle.publishing.publications import Publication
    from rekindle.publishing.spooling import Spooled


def judge(connection: Connection, spooled: Spooled, day: date) -> Iterator[CheckResult]:
    """Yield what each rule of the contract says of the staged rows. That their number has moved a person may accept."""
    publication = spooled.publication
    assert publication.contract is not None  # noqa: S101 - only scores are spooled
    stop_if = publication.contract.stop_if
    broken = dict(_broken_rows(spooled, day))
    constants = stop_if.get("constant", ())
    key = ", ".join(publication.key)
    distinct = f"({key})" if len(publication.key) > 1 else key
    ((row_count, repeated, *others),) = connection.execute(
        f"""
        select count(*), count(*) - count(distinct {distinct})
            {"".join(f", count(*) filter (where {where})" for where in broken.values())}
            {"".join(f", count(*) > 1 and min({name}) = max({name})" for name in constants)}
        from {publication.staging}
        """
    )
    yield _result(f"key {key} is unique", failed_rows=repeated)
    for rule, failed_rows in zip(broken, others[: len(broken)], strict=True):
        yield _result(rule, failed_rows=failed_rows)
    for name, is_constant in zip(constants, others[len(broken) :], strict=True):
        rule = f"{name} is not constant"
        if row_count > 1:
            yield _result(rule, failed_rows=row_count if is_constant else 0)
        else:
            yield CheckResult(rule, "stop", "not_judged")
    if limit := stop_if.get("rows_change_by"):
        yield _judge_row_count(connection, publication.name, day, row_count, limit)
    if publication.history:
        published = {column.name for column in publication.history_columns}
        means = {name: limit for name, limit in stop_if.get("mean_moves_by", {}).items() if name in published}
        for name, limit in means.items():
            yield _judge_mean(connection, publication, name, day, limit)


def _broken_rows(spooled: Spooled, day: date) -> Iterator[tuple[str, str]]:
    """Name each rule about rows, with the SQL of a row that breaks it."""
    assert spooled.publication.contract is not None  # noqa: S101 - only scores are spooled
    yield f"day is {day}", f"day is distinct from date '{day}'"
    columns = {column.name: column for column in spooled.publication.contract.columns}
    for name, kind in spooled.types.items():
        # A reason is a column here, and one of many in the contract's list of reasons.
        for rule in rules_of(columns.get(name) or PublishedColumn(name, kind, description="")):
            yield rule.name, rule.broken("postgres")


def _judge_row_count(connection: Connection, name: str, day: date, row_count: int, limit: float) -> CheckResult:
    """Compare with the median of what was published for the days of the week before."""
    rule = rows_change_name(limit)
    ((days, median),) = connection.execute(
        """
        select count(*), percentile_cont(0.5) within group (order by row_count)
        from (
            select distinct on (day) day, row_count from rekindle.publish_log
            where product = %s and day between %s and %s order by day, publish_id desc
        ) as week
        """,
        [name, day - timedelta(days=HISTORY_DAYS), day - timedelta(days=1)],
    )
    if days < MIN_HISTORY_DAYS or not median:
        return CheckResult(rule, "stop", "not_judged", detail={"days": days})
    change = abs(row_count - median) / median
    detail = {"rows": row_count, "median": median, "change": round(change, 3)}
    if change <= limit:
        return CheckResult(rule, "stop", "passed", detail=detail)
    return CheckResult(rule, "stop", "failed", detail=detail | soft("rows_change_by", {day: change}))


def _judge_mean(connection: Connection, publication: Publication, name: str, day: date, limit: float) -> CheckResult:
    """Compare with the median of the means that were published for the days of the week before."""
    rule = f"mean of {name} moves by at most {limit:g}"
    ((mean, days, median),) = connection.execute(
        f"""
        select (select avg({name})::float from {publication.staging}), count(mean),
            percentile_cont(0.5) within group (order by mean)
        from (
            select avg({name})::float as mean from {publication.history_target} where day between %s and %s group by day
        ) as week
        """,
        [day - timedelta(days=HISTORY_DAYS), day - timedelta(days=1)],
    )
    if mean is None or days < MIN_HISTORY_DAYS or not median:
        return CheckResult(rule, "stop", "not_judged", detail={"days": days})
    move = round(abs(mean - median) / abs(median), 6)
    detail = {"mean": round(mean, 3), "median": round(median, 3), "move": round(move, 3)}
    if move <= limit:
        return CheckResult(rule, "stop", "passed", detail=detail)
    return CheckResult(rule, "stop", "failed", detail=detail | soft(f"mean_moves_by.{name}", {day: move}))


def _result(rule: str, *, failed_rows: int) -> CheckResult:
    return CheckResult(rule, "stop", "failed" if failed_rows else "passed", failed_rows or None)
