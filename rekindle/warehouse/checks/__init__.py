"""
Checks: a contract run on data as Great Expectations suites.

An audit has two suites. The *rows* suite looks at each row of the days that were written: keys, nulls, ranges,
formats, closed lists. The *days* suite looks at one line per day: how many rows against the week before, constants,
means, shares of nulls, sums that must agree with their source. Both are derived from the contract; nothing is checked
that is not written there, and a suite without an expectation, or an expectation that raises, is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle import records
from rekindle.errors import CheckFailedError
from rekindle.warehouse.checks import days as of_each_day
from rekindle.warehouse.checks import rows as of_each_row
from rekindle.warehouse.checks.suites import build_data_docs, data_docs_folder, import_ahead, validate
from rekindle.warehouse.spark import beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.records import CheckResult
    from rekindle.warehouse.contracts import Contract

__all__ = ["audit", "build_data_docs", "data_docs_folder", "how_to_accept", "import_ahead", "refuse"]

SHOWN_COMMANDS = 5
"""How many commands an error names: of a history that has moved on more days, the declaration is to be looked at first."""


def audit(
    spark: SparkSession, contract: Contract, rows: DataFrame, days: Days, *, stored: DataFrame, run_id: str
) -> list[CheckResult]:
    """
    Run a contract on the rows of some days, written but not yet visible.

    `stored` is the released table, for what moved against the days before. Results are for the records; the caller
    decides what a failed `stop` means (see `refuse`). What a person has accepted stays failed, and says so.
    """
    of_rows = list(of_each_row.expected_of(contract, days))
    of_days = list(of_each_day.expected_of(contract))

    def profile_of() -> pd.DataFrame | None:
        return of_each_day.profile(spark, contract, rows, days, stored) if of_days else None

    with beside(spark, profile_of) as profiled:
        judged = rows.select("*", *of_each_row.condition_columns(contract))
        results = [
            of_each_row.with_examples(result, expected, rows, contract)
            for result, expected in zip(
                validate(f"{contract.table} rows", of_rows, judged, run_id), of_rows, strict=True
            )
        ]
    profile = profiled.result()
    if profile is not None:
        results += [
            of_each_day.not_judged(result, expected, profile)
            for result, expected in zip(
                validate(f"{contract.table} days", of_days, profile, run_id), of_days, strict=True
            )
        ]
    return records.passed_over(contract.table, results)


def refuse(table: str, days: Days, results: Sequence[CheckResult]) -> None:
    """Raise CheckFailedError naming table, rule, how many rows and up to five of them, if a `stop` check failed."""
    failed = [r for r in results if records.stops(r)]
    if not failed:
        return
    lines = []
    for result in failed:
        examples = result.detail.get("examples") or result.detail.get("days")
        lines.append(
            f"{result.rule}"
            + (f", {result.failed_rows} rows" if result.failed_rows is not None else "")
            + (f" (for example {', '.join(map(str, examples))})" if examples else "")
        )
    raise CheckFailedError(
        f"{table} of {days} broke its contract: {'; '.join(lines)}.",
        todo=f"Look at contracts/{table}.yml and at the rows; a reference is the start of the SHA-256 of a row's key."
        f"{how_to_accept(table, failed)}",
        safe="Nothing was released: readers keep the table as it was.",
        code="check_failed",
    )


def how_to_accept(table: str, failed: Sequence[CheckResult]) -> str:
    """
    Name the commands that let what has failed pass, where a person may accept all of it; else nothing.

    Beside a fault that nobody may accept, accepting the rest would not help.
    """
    if not all(map(records.is_soft, failed)):
        return ""
    commands = [
        f"rekindle accept {table} {result.detail['soft']} --day {day} --because '…'"
        for result in failed
        for day in records.to_accept(result)
    ]
    more = f", and of {len(commands) - SHOWN_COMMANDS} more" if len(commands) > SHOWN_COMMANDS else ""
    return f" If the move is true, as on a day of a sale, accept it for that day: {'; '.join(commands[:SHOWN_COMMANDS])}{more}."
