"""
Ingestion: deliveries of a source, checked row by row, into raw.

Reads:  the landing zone, or the tables that stand for sources; raw.users to say which rows are of unknown users
Writes: raw.<source>, raw.quarantine, raw.deliveries

The law, asserted before anything is released: delivered = loaded + duplicates + quarantined.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from rekindle import records
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.landing import tombstones
from rekindle.landing.delivery import ARRIVED, COUNTED
from rekindle.landing.formats import DUPLICATE_COLUMN, Columns
from rekindle.landing.phones import phone_key
from rekindle.landing.zone import NOTHING_OF_IT, LandingZone, duplicate_column, no_time_zone, unreadable_delivery
from rekindle.points import durable
from rekindle.settings import settings
from rekindle.warehouse import checks, contracts, tables
from rekindle.warehouse.spark import beside
from spark_jobs.features.facts import earliest_late_on, is_late, looked_up_since, read_facts
from spark_jobs.ingest import rules
from spark_jobs.ingest.delivered_rows import NOBODY, Erased, cell_reader, reader, schema_of, schema_of_cells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, Row, SparkSession

    from rekindle.landing.delivery import Delivery
    from rekindle.warehouse.contracts import Contract

MASKED = "masked"
"""Stands in quarantine for what is personal in a row of a confidential source."""

FATES = ("delivered_rows", "loaded_rows", "duplicate_rows", "quarantined_rows")

ACCEPTED = {
    "number_as_text": "has_text_number",
    "trimmed_id": "has_trimmed_id",
    "unusable_time": "has_unusable_time",
}
"""Warnings about rows that were loaded, and the columns that mark them."""

STOPPING = {rules.NO_TIME_ZONE: no_time_zone, DUPLICATE_COLUMN: duplicate_column}
"""Reasons of a row that stop the run, and the error of each: what the row means would be a guess."""

ERASED = "erased"
"""Reason of a row about an erased person. Nothing of it is kept: its place in the file is all that quarantine says."""

COUNTED_REASONS = ("conflicting_duplicate", ERASED, *STOPPING)
"""Reasons of a rejection that are told apart: the first is a warning as well, nobody can do anything about the second, the
others stop the run."""


TOLD = {
    "delivered": "delivered_rows",
    "loaded": "loaded_rows",
    "duplicates": "duplicate_rows",
    "quarantined": "quarantined_rows",
    "late": "late_rows",
    "repeated": "repeated_rows",
    "unknown_user": "unknown_user_rows",
}
"""What a run's record says of a source, by the column of raw.deliveries that it is the sum of."""


DOMINANT_SHARE, DOMINANT_MIN_ROWS = 0.4, 100
"""A user with this share of a delivery is a test account, a robot or a default; a small delivery says nothing."""

MANY, MANY_VALUES = "many_values", 10_000
"""A column of so many values that is to have few holds ids, addresses or texts: they are loaded, and it is told, not counted."""

FILES_PER_TASK = 16
"""Daily files are small; who delivers large ones delivers few."""


@dataclass(frozen=True)
class Ingested:
    """What an ingestion did, over all its days."""

    source: str
    row_count: int
    told: dict[str, Any]
    """Rows by fate and kind, warnings by code, and how many days were found unchanged or absent."""


def delivered_rows(spark: SparkSession, contract: Contract, deliveries: list[Delivery], zone: LandingZone) -> DataFrame:
    """One row per row of the deliveries, as text cells, and one with an `error` per unreadable file."""
    columns = Columns.of({c.name: c.type for c in contract.delivered})
    about = (columns, contract.keyed_phones, phone_key() if contract.keyed_phones else "", _erased(contract))
    if (cells := zone.cells(contract, deliveries)) is not None:
        return _numbered(cells.mapInArrow(cell_reader(*about), schema_of_cells(columns)), columns)
    files = [
        (d.day, f.name, f.path, zone.url)
        for d in deliveries
        for f in d.files
        if f.unreadable is None and (f.columns or f.rows)
    ]
    listed = spark.createDataFrame(files, "day date, name string, path string, url string")
    # A history of a year is spread over the cores, a day is one task: starting one costs more than reading a small file.
    spread = listed.repartition(1 + min(len(files) // FILES_PER_TASK, 200), "path")
    return spread.mapInArrow(reader(*about), schema_of(columns)).withColumn(COUNTED, F.lit(None).cast("bigint"))


def _numbered(rows: DataFrame, columns: Columns) -> DataFrame:
    """Rows of a table in the order of their arrival, and where nobody knows that, in one that is the same each time."""
    order = Window.partitionBy("day").orderBy(ARRIVED, *columns.names)
    return rows.withColumn("row", F.row_number().over(order)).drop(ARRIVED)


def _erased(contract: Contract) -> Erased:
    """By what the source's rows tell of erased people; nobody is looked for where nobody was erased."""
    ids = tuple(column.name for column in contract.delivered if column.personal == "id")
    standing = tombstones.standing() if ids else frozenset()
    return Erased(ids, standing, tombstones.key()) if standing else NOBODY


def _shown(contract: Contract) -> Expression:
    """The cells of a row as JSON, as quarantine may keep them: null where nothing was delivered."""
    hidden = {c.name for c in contract.delivered if c.personal} if contract.is_confidential else set()
    return F.to_json(
        F.struct(
            *[
                F.when(F.col(c.name).isNotNull(), F.lit(MASKED)).alias(c.name) if c.name in hidden else c.name
                for c in contract.delivered
            ]
        )
    )


def judged(contract: Contract, rows: DataFrame) -> DataFrame:
    """
    Typed rows with their fate: loaded, duplicate or quarantined, the reason, and the column that broke the rule.

    Of rows of one identity in a delivery, the first of the first file wins for facts, the last of the last file for
    states.
    """
    columns = contract.delivered
    # What is not told into columns cannot be masked by column.
    whole = F.when(F.col("raw_text").isNotNull(), F.lit(MASKED)) if contract.is_confidential else F.col("raw_text")
    # Step by step, so that Spark computes each text, value and verdict once.
    read = _without_unusable_times(contract, rows.withColumns(rules.texts(columns)).withColumns(rules.values(columns)))
    unreadable = F.when(
        F.col("is_erased"), F.struct(F.lit(ERASED).alias("reason"), F.lit(None).cast("string").alias("column"))
    )
    unreadable = unreadable.when(
        F.col("error").isNotNull(),
        F.struct(F.col("error").alias("reason"), F.col("error_column").alias("column")),
    )
    typed = read.withColumn("verdict", F.coalesce(unreadable, rules.verdict(columns))).select(
        "day",
        "file",
        "row",
        "verdict.reason",
        "verdict.column",
        # Row 0 is a file that cannot be read: it has no cells to keep.
        F.when(
            F.col("verdict").isNotNull() & ~F.col("is_erased") & (F.col("row") > 0), F.coalesce(whole, _shown(contract))
        ).alias("raw_text"),
        "has_text_number",
        rules.trimmed_id(columns).alias("has_trimmed_id"),
        "has_unusable_time",
        COUNTED,
        *[F.col(f"{rules.VALUE}{c.name}").alias(c.name) for c in columns],
    )
    payload = F.xxhash64(*[F.to_json(c.name) if c.type.startswith("map") else F.col(c.name) for c in columns])
    order = [F.col("file"), F.col("row")]
    if contract.lands.kind == "state":
        order = [column.desc() for column in order]
    derived = {column.name: F.expr(column.derived) for column in contract.columns if column.derived}
    derived |= {column.name: F.col(column.of_phone) for column in contract.columns if column.of_phone}
    # Rejected rows take no part: an unreadable row must not win over a good one.
    typed = typed.withColumns({"payload": payload, "is_readable": F.col("reason").isNull(), **derived})
    same = Window.partitionBy("day", "is_readable", *contract.identity).orderBy(*order)
    same = same.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = typed.withColumns({"place": F.row_number().over(same), "winner": F.first("payload").over(same)})
    is_repeat = F.col("reason").isNull() & (F.col("place") > 1)
    conflicts = is_repeat & (F.col("payload") != F.col("winner"))
    return ranked.select(
        "day",
        "file",
        "row",
        F.when(F.col("reason").isNotNull() | conflicts, "quarantined")
        .when(is_repeat, "duplicate")
        .otherwise("loaded")
        .alias("fate"),
        F.when(conflicts, "conflicting_duplicate").otherwise(F.col("reason")).alias("reason"),
        "column",
        F.when(conflicts, _shown(contract)).otherwise(F.col("raw_text")).alias("raw_text"),
        *ACCEPTED.values(),
        COUNTED,
        *[name for name in contract.names if name != "day"],
    )


def _without_unusable_times(contract: Contract, read: DataFrame) -> DataFrame:
    """Rows of which those that count without their time have none where it cannot be used; whoever withdraws is heard."""
    time, timeless = contract.lands.time, contract.lands.timeless
    if time is None or timeless is None:
        return read.withColumn("has_unusable_time", F.lit(False))
    counts_without = F.coalesce(F.expr(timeless), F.lit(False)) & rules.no_usable_time(contract.delivered, time)
    cells = (f"{rules.TEXT}{time}", f"{rules.VALUE}{time}")
    return read.withColumn("has_unusable_time", counts_without).withColumns(
        {cell: F.when(~F.col("has_unusable_time"), F.col(cell)) for cell in cells}
    )


def main(spark: SparkSession, days: Days, run_id: str, *, source: str, zone: LandingZone | None = None) -> Ingested:
    """
    Load the deliveries of a source for some days; a delivery that has not changed since is left as it is.

    `zone` is given by who has looked at the deliveries before. Raises InputError before anything is written if a file
    cannot be used, CheckFailedError if the law does not hold.
    """
    contract = contracts.landing_contract(source)
    zone = zone or LandingZone(spark=spark)
    found = zone.deliveries(contract, days)
    known = _known(spark, source, days.first, days.last + timedelta(settings().dedup_days))
    changed = [d for d in found if d.day not in known or known[d.day]["content_digest"] != d.content_digest]
    if changed:
        known |= _load(spark, contract, zone, changed, known, run_id)
    rows = [known[d.day] for d in found]
    warnings: Counter[str] = Counter()
    for row in rows:
        warnings.update(row["warnings"])
    told = {name: sum(row[column] for row in rows) for name, column in TOLD.items()}
    told |= {
        "warnings": dict(warnings),
        "unchanged_days": len(found) - len(changed),
        "absent_days": len(days) - len(found),
    }
    return Ingested(source, told["loaded"], told)


def _load(  # noqa: PLR0917 - what a load is about
    spark: SparkSession,
    contract: Contract,
    zone: LandingZone,
    deliveries: list[Delivery],
    known: dict[date, dict[str, Any]],
    run_id: str,
) -> dict[date, dict[str, Any]]:
    """Load deliveries; returns their rows of raw.deliveries by day."""
    days = Days(tuple(d.day for d in deliveries))
    source = contract.lands.source
    rows = judged(contract, delivered_rows(spark, contract, deliveries, zone)).persist()
    # Only now that this thread waits for Spark, and no longer imports parts of pyspark itself.
    checks.import_ahead()
    try:
        counts = dict(_counted(contract, rows, deliveries, zone))
        if any(count[reason] for count in counts.values() for reason in STOPPING):
            raise _stopping(rows, source, zone)
        _assert_law(source, counts)
        _refuse_mostly_unusable(contract, rows, counts, zone)
        had_quarantine = any(known[day]["quarantined_rows"] for day in days if day in known)
        if had_quarantine or any(count["quarantined_rows"] for count in counts.values()):
            rejected = _rejected(spark, source, rows, deliveries)
            tables.replace_days(spark, "raw.quarantine", rejected, days, run_id=run_id, part={"source": source})
        loaded = rows.where("fate = 'loaded'").select(*contract.names)
        with beside(spark, partial(_observed, spark, contract, loaded, days)) as observed:
            tables.replace_days(spark, contract.table, loaded, days, run_id=run_id)
    finally:
        rows.unpersist()
    warnings = _warnings(spark, contract, days, counts, observed.result())
    versions = {d.day: known[d.day]["version"] + 1 if d.day in known else 1 for d in deliveries}
    ledger = {
        d.day: _entry(d, counts[d.day], warnings[d.day]) | {"version": versions[d.day], "run_id": run_id}
        for d in deliveries
    }
    later = [day for day in known if day > days.first and day not in ledger]
    if contract.lands.kind == "fact" and later:
        # What came before it is another now: a later delivery may repeat it.
        late_on = earliest_late_on(spark, (contract.table,), Days(tuple(later)))[contract.table]
        repeated = _repeated(spark, contract.table, Days(tuple(later)), late_on)
        # As they are now: one of them may have been loaded again since.
        entries = _known(spark, source, min(later), max(later))
        ledger |= {day: entries[day] | {"repeated_rows": repeated.get(day, 0)} for day in later}
    # Before the ledger: whoever dies in between loads the delivery again, and nothing is stale unseen.
    with durable("builds of raw", contract.table):
        records.record_builds(
            [
                records.Build(contract.table, d.day, f"version {versions[d.day]} {d.content_digest}", run_id, None, {})
                for d in deliveries
            ]
        )
    rows_of_ledger, written = _as_rows(spark, list(ledger.values())), Days(tuple(ledger))
    tables.replace_days(spark, "raw.deliveries", rows_of_ledger, written, run_id=run_id, part={"source": source})
    return ledger


def _known(spark: SparkSession, source: str, first: date, last: date) -> dict[date, dict[str, Any]]:
    """What raw.deliveries says of the source, by day."""
    rows = tables.read_between(spark, "raw.deliveries", first, last).where(F.col("source") == source)
    return {row["day"]: row.asDict(recursive=True) for row in rows.collect()}


def _stopping(rows: DataFrame, source: str, zone: LandingZone) -> InputError:
    first = rows.where(F.col("reason").isin(*STOPPING)).orderBy("day", "file", "row").head(1)[0]
    where = f"{zone.folder(source, first['day'])}/{first['file']}, row {first['row']}"
    return STOPPING[first["reason"]](where, first["column"])


def _counted(
    contract: Contract, rows: DataFrame, deliveries: list[Delivery], zone: LandingZone
) -> Iterator[tuple[date, dict[str, int]]]:
    """
    Count each delivery: `delivered_rows` from its files or by its table, the fates from what Spark made of them.

    A file that turns out to be undecodable counts 1, whatever its footer promised. Raises InputError where that leaves a
    delivery without a file that can be read.
    """
    few = [F.approx_count_distinct(c.name) for c in contract.delivered if c.has_few]
    fates = (
        rows.groupBy("day", "fate")
        .agg(
            F.count("*").alias("count"),
            *[F.count_if(flag).alias(code) for code, flag in ACCEPTED.items()],
            *[F.count_if(F.col("reason") == code).alias(code) for code in COUNTED_REASONS],
            F.max(COUNTED).alias("counted"),
            F.collect_set(F.when(F.col("row") == 0, F.struct("file", "reason"))).alias("undecodable"),
            F.greatest(F.lit(0), F.lit(0), *few).alias("values"),
        )
        .collect()
    )
    for delivery in deliveries:
        mine = [row for row in fates if row["day"] == delivery.day]
        undecodable = {found["file"]: found["reason"] for row in mine for found in row["undecodable"]}
        rejected = [f.name for f in delivery.files if f.unreadable]
        if undecodable and len(undecodable) + len(rejected) == len(delivery.files):
            raise unreadable_delivery(zone.folder(delivery.source, delivery.day), *min(undecodable.items()))
        count = {row["fate"]: row["count"] for row in mine}
        yield (
            delivery.day,
            {
                "delivered_rows": max((row["counted"] or 0 for row in mine), default=0)
                if delivery.is_counted_when_read
                else sum(1 if f.name in undecodable else f.rows for f in delivery.files),
                "loaded_rows": count.get("loaded", 0),
                "duplicate_rows": count.get("duplicate", 0),
                "quarantined_rows": count.get("quarantined", 0) + len(rejected),
                **{code: sum(row[code] for row in mine if row["fate"] == "loaded") for code in ACCEPTED},
                **{code: sum(row[code] for row in mine) for code in COUNTED_REASONS},
                MANY: MANY_VALUES * any(row["fate"] == "loaded" and row["values"] > MANY_VALUES for row in mine),
            },
        )


def _assert_law(source: str, counts: dict[date, dict[str, int]]) -> None:
    broken = {
        day: count
        for day, count in counts.items()
        if count["delivered_rows"] != count["loaded_rows"] + count["duplicate_rows"] + count["quarantined_rows"]
    }
    if broken:
        day, count = next(iter(broken.items()))
        raise CheckFailedError(
            f"{source} of {day}: {count['delivered_rows']} rows were delivered, but {count['loaded_rows']} loaded, "
            f"{count['duplicate_rows']} duplicates and {count['quarantined_rows']} quarantined do not add up to them.",
            todo="Keep the files and report this as a defect of ingestion.",
            safe="Nothing was released.",
            code="law_broken",
        )


def _refuse_mostly_unusable(
    contract: Contract, rows: DataFrame, counts: dict[date, dict[str, int]], zone: LandingZone
) -> None:
    """
    Raise InputError if a delivery of a required source brought rows and too few of them can be used.

    It is no news of nothing: whoever scored the day would say that nobody was active. Of a state that comes as a log of
    its changes the last row counts, so what it overrides is not what is looked for here.
    """
    for day, count in counts.items():
        if code := why_unusable(contract, count):
            of_day = rows.where(F.col("day") == day)
            raise _mostly_unusable(of_day, zone.folder(contract.lands.source, day), count, code)


def why_unusable(contract: Contract, count: dict[str, int]) -> str | None:
    """The code of the error that stops a delivery of so many rows by fate; None where it is good enough."""
    if not contract.lands.required:
        return None
    # Who was erased is dropped, and says nothing of how good the rest is.
    delivered, unusable = (count[name] - count.get(ERASED, 0) for name in ("delivered_rows", "quarantined_rows"))
    if contract.lands.kind == "state":
        unusable -= count["conflicting_duplicate"]
    if delivered > 0 and count["loaded_rows"] == 0:
        return "no_usable_row"
    is_judged = delivered >= settings().quarantine_stop_min_rows
    return "mostly_unusable" if is_judged and unusable > settings().quarantine_stop_share * delivered else None


def _mostly_unusable(rows: DataFrame, folder: str, count: dict[str, int], code: str) -> InputError:
    rejected = rows.where("fate = 'quarantined'").groupBy("reason", "column")
    first = (
        rejected.agg(F.count("*").alias("n"), F.min(F.struct("file", "row")).alias("at")).orderBy(F.desc("n")).first()
    )
    most = ""
    if first:
        column = f" in column {first['column']!r}" if first["column"] else ""
        most = f" Most often it is {first['reason']}{column}, first in {first['at']['file']}, row {first['at']['row']}."
    unusable, delivered = count["quarantined_rows"], count["delivered_rows"]
    return InputError(
        f"{folder}: of {delivered:,} rows {unusable:,} cannot be used.{most}",
        todo="Correct the export and deliver the day again"
        + (", or raise quarantine_stop_share." if count["loaded_rows"] else "."),
        safe=NOTHING_OF_IT,
        code=code,
    )


def _rejected(spark: SparkSession, source: str, rows: DataFrame, deliveries: list[Delivery]) -> DataFrame:
    """Rejected rows and files, in the columns of raw.quarantine."""
    bad_rows = rows.where("fate = 'quarantined'").select(
        "day", F.lit(source).alias("source"), "file", "row", "reason", "column", "raw_text"
    )
    bad_files = [
        (d.day, source, f.name, 0, f.unreadable, None, None) for d in deliveries for f in d.files if f.unreadable
    ]
    return bad_rows.unionByName(spark.createDataFrame(bad_files, bad_rows.schema)) if bad_files else bad_rows


def _warnings(
    spark: SparkSession, contract: Contract, days: Days, counts: dict[date, dict[str, int]], observed: list[Row]
) -> dict[date, dict[str, int]]:
    """How many loaded rows are late, repeated, of an unknown user or otherwise warned of, by day and code."""
    found = {
        day: {
            code: counts[day][code] for code in (*ACCEPTED, "conflicting_duplicate", ERASED, MANY) if counts[day][code]
        }
        for day in days
    }
    for row in observed:
        found[row["day"]].update({c: n for c, n in row.asDict().items() if c not in {"day", "late_on"} and n})
    late_on = {row["day"]: row["late_on"] for row in observed if row["late_on"]}
    for day, count in _repeated(spark, contract.table, days, late_on).items():
        found[day]["repeated"] = count
    return found


def _observed(spark: SparkSession, contract: Contract, rows: DataFrame, days: Days) -> list[Row]:
    """
    For each day of facts with rows: the rows to warn of by code, and as `late_on` the earliest date that a row which could
    repeat an earlier delivery occurred on. Rows of states are not looked at.
    """
    if contract.lands.kind != "fact":
        return []
    time = F.col(contract.happened_at)
    late_on = F.min(F.when(is_late(F.col("day"), time), F.col("occurred_on"))).alias("late_on")
    late = F.col("occurred_on") < F.col("day")
    if "user_id" not in contract.names:
        return rows.groupBy("day").agg(late_on, F.count_if(late).alias("late")).collect()
    users = (
        tables.read_between(spark, "raw.users", None, days.last)
        .groupBy("user_id")
        .agg(F.min("day").alias("known_on"), F.min("registered_at").alias("registered_at"))
    )
    is_unknown = F.col("known_on").isNull() | (F.col("known_on") > F.col("day"))
    counted = {
        "late": late,
        "unknown_user": is_unknown,
        "before_registration": ~is_unknown & (time < F.col("registered_at")),
    }
    by_user = (
        rows.join(users, "user_id", "left")
        .groupBy("day", "user_id")
        .agg(
            F.count("*").alias("rows"),
            late_on,
            *[F.count_if(condition).alias(code) for code, condition in counted.items()],
        )
    )
    total, most = F.sum("rows"), F.max("rows")
    return (
        by_user.groupBy("day")
        .agg(
            F.min("late_on").alias("late_on"),
            *[F.sum(code).alias(code) for code in counted],
            F.when((total >= DOMINANT_MIN_ROWS) & (most >= DOMINANT_SHARE * total), most).alias("dominant_user"),
        )
        .collect()
    )


def _repeated(spark: SparkSession, table: str, days: Days, late_on: dict[date, date]) -> dict[date, int]:
    """How many rows of the days' deliveries repeat an earlier one, by day; `late_on` as from `earliest_late_on`."""
    if not late_on:
        return {}
    since = min(looked_up_since(days, late_on).values())
    counted = read_facts(spark, table, days, since).repeats.groupBy("day").count().collect()
    return {row["day"]: row["count"] for row in counted}


def _entry(delivery: Delivery, counts: dict[str, int], warnings: dict[str, int]) -> dict[str, Any]:
    """A delivery in the columns of raw.deliveries."""
    columns = {"late": "late_rows", "repeated": "repeated_rows", "unknown_user": "unknown_user_rows"}
    told = dict(warnings)
    if not sum(f.rows for f in delivery.files):
        told["no_rows"] = 1
    names = {column.name for column in contracts.landing_contract(delivery.source).delivered}
    if ignored := sum(f.rows for f in delivery.files if not names.issuperset(f.columns)):
        told["extra_column"] = ignored
    return {
        "day": delivery.day,
        "source": delivery.source,
        "content_digest": delivery.content_digest,
        "files": [{"name": f.name, "bytes": f.size, "sha256": f.sha256, "rows": f.rows} for f in delivery.files],
        **{name: counts[name] for name in FATES},
        **{column: told.pop(code, 0) for code, column in columns.items()},
        "warnings": told,
    }


def _as_rows(spark: SparkSession, ledger: list[dict[str, Any]]) -> DataFrame:
    contract = contracts.load("raw.deliveries")
    schema = ", ".join(f"{c.name} {c.spark_type}" for c in contract.columns)
    return spark.createDataFrame([tuple(entry[name] for name in contract.names) for entry in ledger], schema)
