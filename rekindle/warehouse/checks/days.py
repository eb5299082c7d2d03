"""The *days* suite: one line per day, against the week before it and against the tables that it must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rekindle import records
from rekindle.records import CheckResult
from rekindle.warehouse import shadow
from rekindle.warehouse.checks.suites import Expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.records import Severity
    from rekindle.warehouse.contracts import Contract

HISTORY_DAYS = 7
"""A move is judged against the median of the days before: a whole week, so that each weekday is in it once."""

MIN_HISTORY_DAYS = 3
"""A median of fewer days says nothing; the check then reports that it could not judge."""

SHOWN_DAYS = 5
"""How many days a failure names."""

ROWS_CHANGE = "rows_change"
"""Name of the figure that says by how much of the week's median a day's rows differ from it."""


@dataclass(frozen=True)
class DayRule:
    """
    What each day must be: a figure of the day profile, in which null means: could not be judged, and its limit.

    A rule is *soft* where it compares a day with the days before it: a sale moves rows, and is no fault. Then a person may accept
    that a day breaks it. What is wrong with rows as such nobody may accept.
    """

    condition: str
    """As the contract names it, with its column."""
    name: str
    severity: Severity
    figure: str
    limit: float
    is_soft: bool = False


def rules_of(contract: Contract) -> Iterator[DayRule]:
    """Yield what a contract says of each day."""
    for severity, conditions in contract.by_severity:
        if limit := conditions.get("rows_change_by"):
            yield DayRule("rows_change_by", rows_change_name(limit), severity, ROWS_CHANGE, limit, is_soft=True)
        for column in conditions.get("constant", ()):
            yield DayRule(f"constant.{column}", f"{column} is not constant", severity, f"constant_{column}", 0)
        for column, limit in conditions.get("null_share", {}).items():
            name = f"at most {limit:g} of {column} is null"
            yield DayRule(f"null_share.{column}", name, severity, f"null_share_{column}", limit)
        for column, limit in conditions.get("mean_moves_by", {}).items():
            name, figure = f"mean of {column} moves by at most {limit:g}", f"mean_move_{column}"
            yield DayRule(f"mean_moves_by.{column}", name, severity, figure, limit, is_soft=True)
        for column, spec in conditions.get("sums_differ", {}).items():
            name = f"sum of {column} is that of {spec['of']}"
            yield DayRule(f"sums_differ.{column}", name, severity, f"sum_gap_{column}", 0)
        if other := conditions.get("rows_match"):
            yield DayRule("rows_match", f"rows are those of {other}", severity, "row_gap", 0)


def rows_change_name(limit: float) -> str:
    """What the rule about the number of rows says, of the warehouse's rows and of those that are to be published."""
    return f"rows change by at most {limit:g} of the week's median"


def expected_of(contract: Contract) -> Iterator[Expected]:
    """Each rule reads one column of the day profile."""
    import great_expectations.expectations as gxe

    for rule in rules_of(contract):
        yield Expected(
            rule.name,
            rule.severity,
            gxe.ExpectColumnValuesToBeBetween(column=rule.figure, min_value=0, max_value=rule.limit),
            column=rule.figure,
            soft=rule.condition if rule.is_soft and rule.severity == "stop" else None,
        )


def profile(spark: SparkSession, contract: Contract, rows: DataFrame, days: Days, stored: DataFrame) -> pd.DataFrame:
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
        move = ROWS_CHANGE if figure == "rows" else figure.replace("mean_", "mean_move_", 1)
        profile[move] = float("nan")
        for day in days:
            week = known.loc[[d for d in known.index if day - timedelta(HISTORY_DAYS) <= d < day], figure]
            if len(week) >= MIN_HISTORY_DAYS:
                profile.loc[day, f"median_{figure}"] = week.median()
                profile.loc[day, move] = _move(profile.loc[day, figure], week.median())


def _move(value: float, median: float) -> float:
    return abs(value - median) / abs(median) if median else float("nan")


def _sums_of(spark: SparkSession, spec: dict[str, str], rows: DataFrame, days: Days) -> pd.Series:
    """The sum that a column must agree with, by day, over the users that are in the audited rows if they have users."""
    from pyspark.sql import functions as F

    by = spec.get("by", "day")
    source = spark.table(shadow.of(spec["of"])).where(spec.get("where", "true"))
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
    theirs = (
        spark.table(shadow.of(other))
        .where(F.col("day").isin(list(days)))
        .select(*key)
        .withColumn("is_theirs", F.lit(True))
    )
    lonely = mine.join(theirs, key, "full").where("is_mine IS NULL OR is_theirs IS NULL")
    return _by_day(lonely.groupBy("day").count())["count"]


def _by_day(figures: DataFrame) -> pd.DataFrame:
    """Collect one line a day."""
    collected: Any = figures.toPandas()
    return collected.set_index("day")


def _days_with_repeats(spark: SparkSession, table: str, days: Days) -> set[date]:
    from pyspark.sql import functions as F

    source = table.split(".")[1]
    repeated = spark.table(shadow.of("raw.deliveries")).where(
        F.col("day").isin(list(days)) & (F.col("source") == source) & (F.col("repeated_rows") > 0)
    )
    return {row["day"] for row in repeated.select("day").collect()}


def not_judged(result: CheckResult, expected: Expected, profile: pd.DataFrame) -> CheckResult:
    """A rule with nothing to compare with on any day was not judged; a failure names its days and figures."""
    values = profile.set_index("day")[expected.column]
    if result.outcome == "passed" and values.isna().all():
        return CheckResult(result.rule, result.severity, "not_judged", None, result.detail)
    if result.outcome == "failed":
        limit = result.detail.get("limit") or 0
        broken = values[values > limit]
        figures = [f"{day}: {value:.3g}" for day, value in broken.items()][:SHOWN_DAYS]
        told = {**result.detail, "days": figures}
        if expected.column == ROWS_CHANGE:
            # A change by half is much of a thousand rows, and nothing of six.
            counted = profile.set_index("day").loc[broken.index, ["rows", "median_rows"]].iloc[:SHOWN_DAYS]
            told |= {"rows": [int(n) for n in counted["rows"]], "median": [f"{n:g}" for n in counted["median_rows"]]}
        if expected.soft:
            told |= records.soft(expected.soft, {day: float(value) for day, value in broken.items()})
        return CheckResult(result.rule, result.severity, "failed", None, told)
    return result
