"""
Checks: a contract run on data as Great Expectations suites.

An audit has two suites. The *rows* suite looks at each row of the days that were written: keys, nulls, ranges,
formats, closed lists. The *days* suite looks at one line per day: how many rows against the week before, constants,
means, shares of nulls, sums that must agree with their source. Both are derived from the contract; nothing is checked
that is not written there, and a suite without an expectation, or an expectation that raises, is a failure.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

from rekindle.errors import CheckFailedError
from rekindle.records import CheckResult, Severity
from rekindle.settings import settings
from rekindle.warehouse.spark import beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.contracts import Column, Contract

HISTORY_DAYS = 7
"""A move is judged against the median of the days before: a whole week, so that each weekday is in it once."""

MIN_HISTORY_DAYS = 3
"""A median of fewer days says nothing; the check then reports that it could not judge."""

EXAMPLES = 5

# Ahead of its import, which tells of each function that it does not register.
logging.getLogger("great_expectations").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Rule:
    """One expectation: its name in reports, what it does on failure, and, for rows, the SQL of a row that breaks it."""

    name: str
    severity: Severity
    expectation: Any
    broken_where: str | None = None
    column: str | None = None


def audit(
    spark: SparkSession, contract: Contract, rows: DataFrame, days: Days, *, stored: DataFrame, run_id: str
) -> list[CheckResult]:
    """
    Run a contract on the rows of some days, written but not yet visible.

    `stored` is the released table, for what moved against the days before. Results are for the records; the caller
    decides what a failed `stop` means (see `refuse`).
    """
    from pyspark.sql import functions as F

    row_rules = list(_row_rules(contract, days))
    # A condition becomes a column: GX then judges it in the query that judges all columns, and not in five of its own.
    conditions = [F.expr(where).alias(name) for name, _, where in _rows_where(contract)]
    day_rules = list(_day_rules(contract))

    def profile_of() -> pd.DataFrame | None:
        return day_profile(spark, contract, rows, days, stored) if day_rules else None

    with beside(spark, profile_of) as profiled:
        results = _validate(f"{contract.table} rows", row_rules, rows.select("*", *conditions), run_id)
        results = [
            _with_examples(result, rule, rows, contract) for result, rule in zip(results, row_rules, strict=True)
        ]
    profile = profiled.result()
    if profile is not None:
        judged = _validate(f"{contract.table} days", day_rules, profile, run_id)
        results += [_not_judged(result, rule, profile) for result, rule in zip(judged, day_rules, strict=True)]
    return results


@cache
def import_ahead() -> None:
    """
    Begin to import Great Expectations, which takes seconds, while Spark works on what is to be checked.

    A process that ends before waits for it: the import of a compiled module must not be cut off.
    """
    Thread(target=import_module, args=["great_expectations.expectations"]).start()


def refuse(table: str, days: Days, results: Sequence[CheckResult]) -> None:
    """Raise CheckFailedError naming table, rule, how many rows and up to five of them, if a `stop` check failed."""
    failed = [r for r in results if r.severity == "stop" and r.outcome == "failed"]
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
        todo=f"Look at contracts/{table}.yml and at the rows; a reference is the start of the SHA-256 of a row's key.",
        safe="Nothing was released: readers keep the table as it was.",
        code="check_failed",
    )


# --- rows ---------------------------------------------------------------------------------------------------------


def _row_rules(contract: Contract, days: Days) -> Iterator[Rule]:
    import great_expectations.expectations as gxe

    yield Rule(
        f"key {', '.join(contract.key)} is unique",
        "stop",
        gxe.ExpectCompoundColumnsToBeUnique(column_list=list(contract.key))
        if len(contract.key) > 1
        else gxe.ExpectColumnValuesToBeUnique(column=contract.key[0]),
    )
    # As text: a comparison of dates raises in GX when a pandas date meets a Spark date.
    yield Rule(
        f"day is in {days}",
        "stop",
        gxe.ExpectColumnValuesToBeBetween(column="day", min_value=str(days.first), max_value=str(days.last)),
        f"day NOT BETWEEN DATE'{days.first}' AND DATE'{days.last}'",
        "day",
    )
    for column in contract.columns:
        yield from _column_rules(column)
    for name, severity, where in _rows_where(contract):
        yield Rule(name, severity, gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[False]), where, name)


def _by_severity(contract: Contract) -> tuple[tuple[Severity, Mapping[str, Any]], ...]:
    return ("stop", contract.stop_if), ("warn", contract.warn_if)


def _rows_where(contract: Contract) -> list[tuple[str, Severity, str]]:
    """Name, severity and SQL of the conditions that no row may meet."""
    return [
        (name, severity, where)
        for severity, conditions in _by_severity(contract)
        for name, where in conditions.get("rows_where", {}).items()
    ]


def _column_rules(column: Column) -> Iterator[Rule]:
    import great_expectations.expectations as gxe

    name = column.name
    if not column.nullable:
        yield Rule(
            f"{name} is not null", "stop", gxe.ExpectColumnValuesToNotBeNull(column=name), f"{name} IS NULL", name
        )
    if column.between:
        low, high = column.between
        broken = " OR ".join(
            [f"{name} < {low}"] * (low is not None)
            + [f"{name} > {high}"] * (high is not None)
            + [f"isnan({name})"] * (column.type == "double")
        )
        yield Rule(
            f"{name} is between {'-∞' if low is None else low} and {'∞' if high is None else high}",
            "stop",
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high),
            broken,
            name,
        )
    elif column.type == "double":
        # An open range lets NaN and the infinities through.
        yield Rule(
            f"{name} is a finite number",
            "stop",
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-1e300, max_value=1e300),
            f"isnan({name}) OR abs({name}) > 1e300",
            name,
        )
    if column.one_of:
        allowed = ", ".join(f"'{value}'" for value in column.one_of)
        yield Rule(
            f"{name} is one of {', '.join(column.one_of)}",
            "stop",
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.one_of)),
            f"{name} NOT IN ({allowed})",
            name,
        )
    if column.matches:
        yield Rule(
            f"{name} matches {column.matches}",
            "stop",
            gxe.ExpectColumnValuesToMatchRegex(column=name, regex=column.matches),
            f"NOT {name} RLIKE '{column.matches}'",
            name,
        )


def _with_examples(result: CheckResult, rule: Rule, rows: DataFrame, contract: Contract) -> CheckResult:
    """Add references to up to five broken rows: the start of a hash of the key, so that no personal data is shown."""
    from pyspark.sql import functions as F

    if result.outcome != "failed":
        return result
    if rule.broken_where is None:
        broken = rows.groupBy(*contract.key).count().where("count > 1")
    else:
        broken = rows.where(rule.broken_where)
    key = F.concat_ws("|", *[F.coalesce(F.col(k).cast("string"), F.lit("null")) for k in contract.key])
    examples = [row[0] for row in broken.select(F.substring(F.sha2(key, 256), 1, 12)).limit(EXAMPLES).collect()]
    return CheckResult(
        result.rule, result.severity, result.outcome, broken.count(), {**result.detail, "examples": examples}
    )


# --- days ---------------------------------------------------------------------------------------------------------


def _day_rules(contract: Contract) -> Iterator[Rule]:
    """Each rule reads one column of the day profile, in which null means: could not be judged."""
    import great_expectations.expectations as gxe

    def at_most(name: str, severity: Severity, column: str, limit: float) -> Rule:
        return Rule(
            name,
            severity,
            gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=limit),
            column=column,
        )

    for severity, conditions in _by_severity(contract):
        if limit := conditions.get("rows_change_by"):
            yield at_most(f"rows change by at most {limit:g} of the week's median", severity, "rows_change", limit)
        for column in conditions.get("constant", ()):
            yield at_most(f"{column} is not constant", severity, f"constant_{column}", 0)
        for column, limit in conditions.get("null_share", {}).items():
            yield at_most(f"at most {limit:g} of {column} is null", severity, f"null_share_{column}", limit)
        for column, limit in conditions.get("mean_moves_by", {}).items():
            yield at_most(f"mean of {column} moves by at most {limit:g}", severity, f"mean_move_{column}", limit)
        for column, spec in conditions.get("sums_differ", {}).items():
            yield at_most(f"sum of {column} is that of {spec['of']}", severity, f"sum_gap_{column}", 0)
        if other := conditions.get("rows_match"):
            yield at_most(f"rows are those of {other}", severity, "row_gap", 0)


def day_profile(
    spark: SparkSession, contract: Contract, rows: DataFrame, days: Days, stored: DataFrame
) -> pd.DataFrame:
    """
    One line per day of `days`: what the day rules of the contract read.

    A move is relative to the median of the stored days among the seven calendar days before; null with fewer than
    three.
    """
    profile = _figures(contract, rows, days)
    _add_moves(profile, contract, stored, days)
    for column, spec in _conditions(contract, "sums_differ").items():
        theirs = _sums_of(spark, spec, rows, days).reindex(profile.index).astype("float").fillna(0)
        gap = (profile[f"sum_{column}"].astype("float").fillna(0) - theirs).abs().round(2)
        repeated = _days_with_repeats(spark, spec["of"], days) if spec.get("unless_repeats") else set()
        profile[f"sum_gap_{column}"] = gap.where([day not in repeated for day in profile.index])
    for conditions in (contract.stop_if, contract.warn_if):
        if other := conditions.get("rows_match"):
            profile["row_gap"] = _unmatched(spark, contract, other, rows, days).reindex(profile.index).fillna(0)
    return profile.reset_index()


def _conditions(contract: Contract, name: str) -> dict[str, Any]:
    """What a condition says by column, whether it stops or warns."""
    return {**contract.warn_if.get(name, {}), **contract.stop_if.get(name, {})}


def _compared(contract: Contract) -> list[Any]:
    """Aggregates of a day that are compared with those of the days before."""
    from pyspark.sql import functions as F

    means = [F.avg(c).cast("double").alias(f"mean_{c}") for c in _conditions(contract, "mean_moves_by")]
    return [F.count("*").alias("rows"), *means]


def _figures(contract: Contract, rows: DataFrame, days: Days) -> pd.DataFrame:
    """What the rows of each day say by themselves, a day without rows included."""
    import pandas as pd
    from pyspark.sql import functions as F

    constants = [*contract.stop_if.get("constant", ()), *contract.warn_if.get("constant", ())]
    written = rows.groupBy("day").agg(
        *_compared(contract),
        *[(F.min(c) == F.max(c)).cast("int").alias(f"constant_{c}") for c in constants],
        *[F.avg(F.col(c).isNull().cast("int")).alias(f"null_share_{c}") for c in _conditions(contract, "null_share")],
        *[F.sum(c).cast("decimal(38,2)").alias(f"sum_{c}") for c in _conditions(contract, "sums_differ")],
    )
    profile = _by_day(written).reindex(pd.Index(list(days), name="day"))
    profile["rows"] = profile["rows"].fillna(0).astype("int64")
    # One row is always constant; that says nothing about what made it.
    for column in constants:
        profile[f"constant_{column}"] = profile[f"constant_{column}"].where(profile["rows"] > 1)
    return profile


def _add_moves(profile: pd.DataFrame, contract: Contract, stored: DataFrame, days: Days) -> None:
    """Add how far each day's rows and means are from the median of the week before, null where nobody can say."""
    import pandas as pd
    from pyspark.sql import functions as F

    first, last = days.first - timedelta(HISTORY_DAYS), days.last - timedelta(1)
    before = stored.where(f"day BETWEEN DATE'{first}' AND DATE'{last}'").where(~F.col("day").isin(list(days)))
    history = _by_day(before.groupBy("day").agg(*_compared(contract)))
    known = pd.concat([history, profile.loc[profile["rows"] > 0, list(history.columns)]])
    for figure in history.columns:
        move = "rows_change" if figure == "rows" else figure.replace("mean_", "mean_move_", 1)
        profile[move] = float("nan")
        for day in days:
            week = known.loc[[d for d in known.index if day - timedelta(HISTORY_DAYS) <= d < day], figure]
            if len(week) >= MIN_HISTORY_DAYS:
                profile.loc[day, move] = _move(profile.loc[day, figure], week.median())


def _move(value: float, median: float) -> float:
    return abs(value - median) / abs(median) if median else float("nan")


def _sums_of(spark: SparkSession, spec: dict[str, str], rows: DataFrame, days: Days) -> pd.Series:
    """The sum that a column must agree with, by day, over the users that are in the audited rows if they have users."""
    from pyspark.sql import functions as F

    by = spec.get("by", "day")
    source = spark.table(spec["of"]).where(spec.get("where", "true"))
    source = source.where(F.col(by).isin(list(days)))
    if spec.get("users_of_rows"):
        users = rows.select(F.col("day").alias(by), "user_id").distinct()
        source = source.join(users, [by, "user_id"], "left_semi")
    total = F.sum(F.expr(spec["sum"])).cast("decimal(38,2)").alias("total")
    return _by_day(source.groupBy(F.col(by).alias("day")).agg(total))["total"]


def _unmatched(spark: SparkSession, contract: Contract, other: str, rows: DataFrame, days: Days) -> pd.Series:
    """How many keys are in one of two tables only, by day."""
    from pyspark.sql import functions as F

    key = list(contract.key)
    mine = rows.select(*key).withColumn("is_mine", F.lit(True))
    theirs = spark.table(other).where(F.col("day").isin(list(days))).select(*key).withColumn("is_theirs", F.lit(True))
    lonely = mine.join(theirs, key, "full").where("is_mine IS NULL OR is_theirs IS NULL")
    return _by_day(lonely.groupBy("day").count())["count"]


def _by_day(figures: DataFrame) -> pd.DataFrame:
    """Collect one line a day."""
    collected: Any = figures.toPandas()
    return collected.set_index("day")


def _days_with_repeats(spark: SparkSession, table: str, days: Days) -> set[date]:
    from pyspark.sql import functions as F

    source = table.split(".")[1]
    repeated = spark.table("raw.deliveries").where(
        F.col("day").isin(list(days)) & (F.col("source") == source) & (F.col("repeated_rows") > 0)
    )
    return {row["day"] for row in repeated.select("day").collect()}


def _not_judged(result: CheckResult, rule: Rule, profile: pd.DataFrame) -> CheckResult:
    """A rule with nothing to compare with on any day was not judged; a failure names its days and figures."""
    values = profile.set_index("day")[rule.column]
    if result.outcome == "passed" and values.isna().all():
        return CheckResult(result.rule, result.severity, "not_judged", None, result.detail)
    if result.outcome == "failed":
        limit = result.detail.get("limit") or 0
        broken = values[values > limit]
        figures = [f"{day}: {value:.3g}" for day, value in broken.items()][:EXAMPLES]
        return CheckResult(result.rule, result.severity, "failed", None, {**result.detail, "days": figures})
    return result


# --- Great Expectations -----------------------------------------------------------------------------------------------


def data_docs_folder(run_id: str) -> Path:
    """Where the Data Docs of a run are kept."""
    return settings().home / "data_docs" / run_id


@lru_cache(maxsize=1)
def _context(run_id: str) -> EphemeralDataContext:
    """
    The context of a run, kept while the process works on that run.

    Suites and validations are files of their own in the run's folder, the configuration is not a file: tasks of a run
    that are processes side by side would read it half-written.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    folder = data_docs_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    config = DataContextConfig(
        store_backend_defaults=FilesystemStoreBackendDefaults(root_directory=folder),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _validate(name: str, rules: list[Rule], data: Any, run_id: str) -> list[CheckResult]:
    """Run rules as one suite on a Spark or pandas data frame; one result per rule, in their order."""
    import great_expectations as gx
    import pandas as pd

    if not rules:
        raise CheckFailedError(
            f"The suite {name} has no expectation.",
            todo="Write columns and checks into the contract.",
            safe="Nothing was released.",
            code="empty_suite",
        )
    context = _context(run_id)
    if isinstance(data, pd.DataFrame):
        source = context.data_sources.add_or_update_pandas(name)
    else:
        source = context.data_sources.add_or_update_spark(name, persist=False)
    batch = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("days")
    for rule in rules:
        rule.expectation.meta = {"rule": rule.name, "severity": rule.severity}
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=[r.expectation for r in rules]))
    validation = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=name, data=batch, suite=suite)
    )
    # Without values: a result must not show personal data.
    outcome = validation.run(batch_parameters={"dataframe": data}, result_format={"result_format": "BOOLEAN_ONLY"})
    by_rule = {result.expectation_config.meta["rule"]: result for result in outcome.results}
    return [_result(rule, by_rule[rule.name]) for rule in rules]


def _result(rule: Rule, result: Any) -> CheckResult:
    if result.success:
        return CheckResult(rule.name, rule.severity, "passed", None, {})
    detail: dict[str, Any] = {}
    error = _error(result.exception_info)
    if error:
        # A check that could not run is no check: it stops whatever its severity.
        return CheckResult(rule.name, "stop", "failed", None, {"error": error})
    limit = result.expectation_config.kwargs.get("max_value")
    if rule.broken_where is None and limit is not None:
        detail["limit"] = limit
    return CheckResult(rule.name, rule.severity, "failed", result.result.get("unexpected_count"), detail)


def _error(info: dict[str, Any] | None) -> str | None:
    """What an expectation raised; GX nests it by metric where several metrics raised."""
    infos = [info] if info and "raised_exception" in info else list((info or {}).values())
    messages = [i.get("exception_message") or "raised" for i in infos if i.get("raised_exception")]
    return "; ".join(m.splitlines()[0] for m in messages) or None


def build_data_docs(run_id: str) -> str:
    """Render the Data Docs of all validations of a run; returns the URL of the first page."""
    pages = _context(run_id).build_data_docs()
    return next(iter(pages.values()))
