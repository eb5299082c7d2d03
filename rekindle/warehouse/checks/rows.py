"""The *rows* suite: what each row of the days that were written must be."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from rekindle.records import CheckResult
from rekindle.warehouse.checks.rules import InList, InRange, Matching, Present, Rule, rules_of
from rekindle.warehouse.checks.suites import Expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import Column, DataFrame

    from rekindle.days import Days
    from rekindle.records import Severity
    from rekindle.warehouse.contracts import Contract

EXAMPLES = 5


def expected_of(contract: Contract, days: Days) -> Iterator[Expected]:
    """Yield what is expected of the rows: their key and days, each column's values, and the conditions of the contract."""
    import great_expectations.expectations as gxe

    yield Expected(
        f"key {', '.join(contract.key)} is unique",
        "stop",
        gxe.ExpectCompoundColumnsToBeUnique(column_list=list(contract.key))
        if len(contract.key) > 1
        else gxe.ExpectColumnValuesToBeUnique(column=contract.key[0]),
    )
    # As text: a comparison of dates raises in GX when a pandas date meets a Spark date.
    yield Expected(
        f"day is in {days}",
        "stop",
        gxe.ExpectColumnValuesToBeBetween(column="day", min_value=str(days.first), max_value=str(days.last)),
        f"day NOT BETWEEN DATE'{days.first}' AND DATE'{days.last}'",
        "day",
    )
    for column in contract.columns:
        for rule in rules_of(column):
            yield Expected(rule.name, "stop", _expectation(rule), rule.broken("spark"), column.name)
    for name, severity, where in _conditions(contract):
        yield Expected(name, severity, gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[False]), where, name)


def condition_columns(contract: Contract) -> list[Column]:
    """A column for each condition: GX then judges it in the query that judges all columns, and not in five of its own."""
    from pyspark.sql import functions as F

    return [F.expr(where).alias(name) for name, _, where in _conditions(contract)]


def _conditions(contract: Contract) -> list[tuple[str, Severity, str]]:
    """Name, severity and SQL of the conditions that no row may meet."""
    return [
        (name, severity, where)
        for severity, conditions in contract.by_severity
        for name, where in conditions.get("rows_where", {}).items()
    ]


@singledispatch
def _expectation(rule: Rule) -> Any:
    """The rule as an expectation of GX."""
    raise NotImplementedError(f"{type(rule).__name__} has no expectation")


@_expectation.register
def _(rule: Present) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToNotBeNull(column=rule.column)


@_expectation.register
def _(rule: InRange) -> Any:
    import great_expectations.expectations as gxe

    low, high = rule.edges
    return gxe.ExpectColumnValuesToBeBetween(column=rule.column, min_value=low, max_value=high)


@_expectation.register
def _(rule: InList) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values))


@_expectation.register
def _(rule: Matching) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToMatchRegex(column=rule.column, regex=rule.pattern)


def with_examples(result: CheckResult, expected: Expected, rows: DataFrame, contract: Contract) -> CheckResult:
    """Add references to up to five broken rows: the start of a hash of the key, so that no personal data is shown."""
    from pyspark.sql import functions as F

    if result.outcome != "failed":
        return result
    if expected.broken_where is None:
        broken = rows.groupBy(*contract.key).count().where("count > 1")
    else:
        broken = rows.where(expected.broken_where)
    key = F.concat_ws("|", *[F.coalesce(F.col(k).cast("string"), F.lit("null")) for k in contract.key])
    examples = [row[0] for row in broken.select(F.substring(F.sha2(key, 256), 1, 12)).limit(EXAMPLES).collect()]
    return CheckResult(
        result.rule, result.severity, result.outcome, broken.count(), {**result.detail, "examples": examples}
    )
