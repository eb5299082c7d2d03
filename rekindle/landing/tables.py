"""
Deliveries as rows of a warehouse's table, Iceberg's or a database's behind JDBC.

Both are asked through Spark, which knows every catalogue and every driver; nothing else of ours speaks to them. A day is read
as it was looked at: Iceberg by snapshots, which never change. A database goes on changing, so it counts its rows in the same
statement that hands them out. What was delivered is counted by the table's side, by its metadata or by SQL, and never by the
code that loads: that is what the law *delivered = loaded + duplicates + quarantined* is asserted against.
"""

from __future__ import annotations

import difflib
import io
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

from rekindle.days import ONE_DAY, Days
from rekindle.errors import InputError
from rekindle.landing.arrivals import Closing, Snapshot, SnapshotLog, Span
from rekindle.landing.declared import SNAPSHOTS
from rekindle.landing.delivery import ARRIVED, COUNTED, Delivery, FoundFile, LandedFile, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row, SparkSession

    from rekindle.landing.declared import Declared
    from rekindle.warehouse.contracts import Contract

DAY = "rekindle_day"
"""Column beside those of a table: the day on which a row arrived."""

FETCHED_ROWS = 10_000
"""Rows that a database hands over at once; by default Postgres' driver holds all of them in memory."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Slice(LandedFile):
    """Rows of a table as one file of a delivery: between two snapshots, or of a day by their arrival."""

    base: int | None = None
    last: int | None = None


def origin(declared: Declared, spark: SparkSession | None = None) -> Table:
    """The origin that a declaration names."""
    kind = SnapshotTable if declared.delivered == SNAPSHOTS else WatermarkTable
    return kind(declared, spark)


class Table(ABC):
    """The table of one source; what follows from by what its rows arrive is told by subclasses."""

    def __init__(self, declared: Declared, spark: SparkSession | None) -> None:
        self.declared, self._given = declared, spark
        self.closing = Closing(declared.closes_after_hours)

    @property
    def _spark(self) -> SparkSession:
        from rekindle.warehouse.spark import session

        return self._given or session()

    # As an Origin

    def place(self, day: date) -> str:
        return f"{self.declared.table}/day={day}"

    @abstractmethod
    def sign(self, day: date) -> str:
        """What says that a day's delivery is complete, as people write it."""

    @abstractmethod
    def span(self) -> Span:
        """The days that the table can tell of, as it is now."""

    @abstractmethod
    def slices(self, contract: Contract, days: Days) -> dict[date, Slice]:
        """What of the table was delivered on each of some days, which are over or said to be ready."""

    @abstractmethod
    def rows(self, contract: Contract, slices: Mapping[date, Slice]) -> DataFrame:
        """The rows of slices: `day`, `file`, ARRIVED, COUNTED, and the columns of the source that the table has."""

    def is_complete(self, day: date) -> bool:
        return self._is_complete(self.span(), day)

    def days(self) -> list[date]:
        span = self.span()
        found = span.over()
        # What has arrived last may be ready before anything later comes.
        return (
            [*found, span.last_arrival] if span.last_arrival and self._is_complete(span, span.last_arrival) else found
        )

    def first_day(self) -> date | None:
        """The first complete day; or the first that was loaded, where the table no longer tells of it."""
        span = self.span()
        first = span.first if span.first and self._is_complete(span, span.first) else None
        return min((day for day in (first, self._first_loaded()) if day), default=None)

    def look(self, contract: Contract, days: Days) -> list[Delivery]:
        span = self.span()
        complete = [day for day in days if self._is_complete(span, day)]
        if not complete:
            return []
        with self._asking():
            slices = self.slices(contract, Days(tuple(complete)))
        changes = self.declared.database is not None
        source = self.declared.source
        return [Delivery(source, day, (slices[day],), is_counted_when_read=changes) for day in complete]

    def cells(self, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame:
        """Rows of deliveries, with typed cells."""
        slices = {d.day: f for d in deliveries for f in d.files if isinstance(f, Slice)}
        with self._asking():
            return self.rows(contract, slices)

    def parts(self, since: date) -> list[Part]:
        return [Part(self.declared.source, day, None, self.place(day)) for day in self.days() if day >= since]

    def files(self, part: Part) -> list[FoundFile]:
        """A day's rows as one file, named by their version: another version is another file."""
        (delivery,) = self.look(self._contract, Days.one(part.day))
        (found,) = delivery.files
        name = "rows.parquet"
        return [FoundFile(name, f"{part.path}/{found.sha256}/{name}", found.rows, EPOCH)] if found.rows else []

    def content(self, path: str) -> bytes:
        """The rows of a day as a Parquet file."""
        from pyarrow import parquet

        from rekindle.days import parse_day

        day = parse_day(path.split("/day=")[1][:10])
        with self._asking():
            rows = self.cells(self._contract, self.look(self._contract, Days.one(day)))
            table = rows.drop("day", "file", ARRIVED, COUNTED).toArrow()
        sink = io.BytesIO()
        parquet.write_table(table, sink)
        return sink.getvalue()

    # Within

    def _first_loaded(self) -> date | None:
        from rekindle import records

        return min(records.builds(f"raw.{self.declared.source}", date.min, date.max), default=None)

    @property
    def _contract(self) -> Contract:
        from rekindle.warehouse import contracts

        return contracts.landing_contract(self.declared.source)

    def _is_complete(self, span: Span, day: date) -> bool:
        return span.has(day) and (span.is_over(day) or self._is_ready(day))

    def _is_ready(self, day: date) -> bool:
        if self.declared.ready is None:
            return False
        with self._asking():
            answer = self.ask(self.declared.ready.replace("{day}", day.isoformat())).head(1)
        return bool(answer and answer[0][0])

    def ask(self, sql: str) -> DataFrame:
        """The answer to a query: of Spark, or of the database."""
        database = self.declared.database
        if database is None:
            return self._spark.sql(sql)
        options = {
            "url": database.url,
            "user": database.user,
            "password": database.password,
            "driver": database.driver,
            "query": sql,
            "fetchsize": str(FETCHED_ROWS),
            # Of a time without a zone nobody is to guess one.
            "preferTimestampNTZ": "true",
        }
        if database.url.startswith("jdbc:postgresql:"):
            # What is cast to a date there, and what is compared with a time without a zone.
            options["sessionInitStatement"] = "set time zone 'UTC'"
        return (
            self._spark.read.format("jdbc").options(**{name: value for name, value in options.items() if value}).load()
        )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Say of an error which table was asked, and nothing that could hold a secret or somebody's data."""
        from pyspark.errors import AnalysisException, PySparkException

        try:
            yield
        except AnalysisException as error:
            raise InputError(
                f"{self.declared.table}, which `sources` names for {self.declared.source}, cannot be read as it is declared"
                f" ({_condition(error)}).",
                todo="Look whether table and columns are there in this spelling, and whether Spark knows the catalogue.",
                code="source_unreadable",
            ) from None
        except PySparkException as error:
            raise InputError(
                f"{self.declared.table}, which `sources` names for {self.declared.source}, did not answer ({_condition(error)}).",
                todo="See that it can be reached from Spark, and that user and password are right.",
                code="source_unavailable",
            ) from None

    def _typed(self, contract: Contract, frame: DataFrame) -> list[Column]:
        """The source's columns of a table: each by its declaration, or by its name."""
        from pyspark.sql import functions as F

        told = self.declared.columns
        return [
            F.expr(told.get(c.name, f"`{c.name}`")).alias(c.name)
            for c in contract.delivered
            if c.name in told or c.name in frame.columns
        ]

    def _described(self, contract: Contract, frame: DataFrame) -> tuple[tuple[str, ...], dict[str, str]]:
        """Names and types of the source's columns that a table has. Raises InputError where a required one is not among them."""
        from pyspark.sql.pandas.types import to_arrow_schema

        typed = frame.select(*self._typed(contract, frame))
        for column in contract.delivered:
            if column.must_be_delivered and column.name not in typed.columns:
                near = difflib.get_close_matches(column.name, frame.columns, 1, 0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InputError(
                    f"{self.declared.table} has no column {column.name!r}, which is required.{hint}",
                    todo=f"Say in conf/rekindle.yml, under `sources` and {self.declared.source}, which column it is.",
                    code="missing_column",
                )
        types = {f.name: str(f.type) for f in to_arrow_schema(typed.schema)}
        return tuple(types), types

    def _slice(self, name: str, digest: str, described: tuple[tuple[str, ...], dict[str, str]], rows: int) -> Slice:
        columns, types = described
        return Slice(name, self.declared.table, 0, digest, rows, columns, types)


class SnapshotTable(Table):
    """An Iceberg table whose rows arrive by its snapshots: a day's are those at its close that were not there a day before."""

    def sign(self, day: date) -> str:
        return f"a snapshot of {self.declared.table} of {self.closing.closes_at(day):%Y-%m-%d %H:%M} or later"

    def span(self) -> Span:
        span, loaded = self.log().span, self._first_loaded()
        if span.first and loaded and loaded < span.first:
            # The log of a table that was made anew begins anew: what its first snapshot has added, nobody can tell.
            return replace(span, first=span.first + ONE_DAY)
        return span

    def log(self) -> SnapshotLog:
        """The table's snapshot log, as it is now."""
        from pyspark.sql import functions as F

        table = self.declared.table
        with self._asking():
            at = F.unix_micros("made_current_at").alias("at")
            shown = self.ask(f"select * from {table}.history").select(at, "snapshot_id").collect()
            # What was nothing is left out of a summary.
            added = F.coalesce(F.col("summary").getItem("added-records").cast("bigint"), F.lit(0)).alias("added_rows")
            snapshots = self.ask(f"select * from {table}.snapshots")
            found = snapshots.select("snapshot_id", "parent_id", "operation", added).collect()
        return SnapshotLog(
            sorted((_time(row["at"]), row["snapshot_id"]) for row in shown),
            {row["snapshot_id"]: Snapshot(row["parent_id"], row["operation"], row["added_rows"]) for row in found},
            self.closing,
        )

    def slices(self, contract: Contract, days: Days) -> dict[date, Slice]:
        log = self.log()
        described = self._described(contract, self._version(log.at_end_of(days.last)))
        found = {}
        for day in days:
            base, last = log.of_day(day)
            rows = 0 if base == last else log.added_rows(base, last)
            if rows is None:
                rows = self._count(contract, base, last)
            digest = self.declared.digest(base, last)
            found[day] = replace(self._slice(f"snapshot {last}", digest, described, rows), base=base, last=last)
        return found

    def rows(self, contract: Contract, slices: Mapping[date, Slice]) -> DataFrame:
        from pyspark.sql import functions as F

        log = self.log()
        begun = {day: one for day, one in slices.items() if one.base != one.last} or slices
        frames = []
        for day, one in begun.items():
            about = [F.lit(day).alias("day"), F.lit(one.name).alias("file")]
            about += [F.lit(None).cast("timestamp").alias(ARRIVED), F.lit(None).cast("bigint").alias(COUNTED)]
            frames.append(self._between(contract, log, one, alone=len(begun) == 1).select(*about, "*"))
        return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)

    def _version(self, snapshot: int | None) -> DataFrame:
        return self.ask(f"select * from {self.declared.table} version as of {snapshot}")

    def _between(self, contract: Contract, log: SnapshotLog, one: Slice, *, alone: bool) -> DataFrame:
        """
        The rows of a snapshot that were not in another before it.

        Within one query Spark takes a table that is read with other options for the one that it has read before, so of several
        days the snapshots are compared: those it tells apart.
        """
        base, last = one.base, one.last
        added = log.appended(base, last) if alone else None
        if base == last:
            frame = self._version(last).limit(0)
        elif base is not None and added is not None:
            # Their files alone are read, however large the table is.
            reader = self._spark.read.option("start-snapshot-id", str(base)).option("end-snapshot-id", str(last))
            frame = reader.table(self.declared.table)
        elif base is None:
            frame = self._version(last)
        else:
            return self._comparable(contract, last).exceptAll(self._comparable(contract, base, like=last))
        return self._without_maps(contract, frame)

    def _comparable(self, contract: Contract, snapshot: int | None, like: int | None = None) -> DataFrame:
        """
        The source's columns at a snapshot.

        `like` names a snapshot some of whose columns this one may lack, because they came later: they were empty.
        """
        from pyspark.sql import functions as F

        frame = self._version(snapshot)
        if like is not None:
            later = [f for f in self._version(like).schema if f.name not in frame.columns]
            frame = frame.select("*", *[F.lit(None).cast(f.dataType).alias(f.name) for f in later])
        return self._without_maps(contract, frame)

    def _without_maps(self, contract: Contract, frame: DataFrame) -> DataFrame:
        """The source's columns, maps as JSON, as which they are read elsewhere too: Spark compares no maps."""
        from pyspark.sql import functions as F
        from pyspark.sql.types import MapType

        typed = frame.select(*self._typed(contract, frame))
        maps = {f.name for f in typed.schema if isinstance(f.dataType, MapType)}
        return typed.select(
            *[F.to_json(n, {"ignoreNullFields": "false"}).alias(n) if n in maps else F.col(n) for n in typed.columns]
        )

    def _count(self, contract: Contract, base: int | None, last: int | None) -> int:
        """Count them where rows were changed or deleted as well: of each row, how many more there are than before."""
        from pyspark.sql import functions as F

        def told(snapshot: int | None, sign: int) -> DataFrame:
            frame = self._comparable(contract, snapshot, like=last)
            return frame.select(F.to_json(F.struct(*frame.columns)).alias("row"), F.lit(sign).alias("change"))

        changes = told(last, 1) if base is None else told(last, 1).unionAll(told(base, -1))
        more = changes.groupBy("row").agg(F.greatest(F.sum("change"), F.lit(0)).alias("more"))
        return int(more.agg(F.coalesce(F.sum("more"), F.lit(0))).collect()[0][0])


class WatermarkTable(Table):
    """
    A table of which a column says when each row arrived.

    Of a fact the arrival never changes, so a day's rows can be counted again, and a row that was committed late is seen. A
    state that is updated where it stands leaves the day of its last arrival: what was loaded of that day stays as it was.
    """

    def sign(self, day: date) -> str:
        closes_at = self.closing.closes_at(day)
        return f"a {self.declared.delivered} of {closes_at:%Y-%m-%d %H:%M} or later in {self.declared.table}"

    def span(self) -> Span:
        column = self.declared.delivered
        with self._asking():
            self._refuse_zoneless(self.ask(f"select {column} as arrived from {self.declared.table} where 1 = 0"))
            (row,) = _micros(
                self.ask(f"select min({column}) as first, max({column}) as last from {self.declared.table}")
            )
        first, last = (None if at is None else self.closing.day_of(_time(at)) for at in (row["first"], row["last"]))
        return Span(first, last)

    def slices(self, contract: Contract, days: Days) -> dict[date, Slice]:
        last = self._snapshot()
        described = self._described(contract, self.ask(f"select * from {self._from(last)}"))
        arrived, day = self.declared.delivered, self._day_of_arrival
        found = {
            row["day"]: (row["counted"], row["latest"])
            for row in _micros(
                self.ask(
                    f"select {day} as day, count(*) as counted, max({arrived}) as latest from {self._from(last)}"
                    f" where {self._within(days)} group by {day}"
                )
            )
        }
        told = {}
        for one in days:
            counted, latest = found.get(one, (0, None))
            content = (one, counted, latest) if contract.lands.kind == "fact" else (one,)
            digest = self.declared.digest(*content)
            told[one] = replace(self._slice(f"{arrived} of {one}", digest, described, counted), last=last)
        return told

    def rows(self, contract: Contract, slices: Mapping[date, Slice]) -> DataFrame:
        from pyspark.sql import functions as F

        (last,) = {one.last for one in slices.values()}
        arrived, day = self.declared.delivered, self._day_of_arrival
        counted = f", count(*) over (partition by {day}) as {COUNTED}" if self.declared.database else ""
        frame = self.ask(
            f"select t.*, {arrived} as {ARRIVED}, {day} as {DAY}{counted} from {self._from(last)} as t"
            f" where {self._within(Days(tuple(slices)))}"
        )
        found = frame.where(F.col(DAY).isin(list(slices)))
        return found.select(
            F.col(DAY).alias("day"),
            F.concat(F.lit(f"{arrived} of "), F.col(DAY).cast("string")).alias("file"),
            F.col(ARRIVED).cast("timestamp").alias(ARRIVED),
            (F.col(COUNTED) if counted else F.lit(None)).cast("bigint").alias(COUNTED),
            *self._typed(contract, frame),
        )

    @property
    def _day_of_arrival(self) -> str:
        return f"cast({self.declared.delivered} - interval '{self.closing.hours}' hour as date)"

    def _within(self, days: Days) -> str:
        """SQL of what arrived from the first to the last of some days, as an index or a file's statistics can answer it."""
        since, until = self.closing.closes_at(days.first - ONE_DAY), self.closing.closes_at(days.last)
        arrived = self.declared.delivered
        return (
            f"{arrived} >= timestamp '{since:%Y-%m-%d %H:%M:%S}' and {arrived} < timestamp '{until:%Y-%m-%d %H:%M:%S}'"
        )

    def _from(self, snapshot: int | None) -> str:
        return self.declared.table if snapshot is None else f"{self.declared.table} version as of {snapshot}"

    def _snapshot(self) -> int | None:
        """What an Iceberg table shows now, so that what is read is what was counted; None of a database."""
        if self.declared.database is not None:
            return None
        shown = self.ask(f"select snapshot_id from {self.declared.table}.history order by made_current_at desc limit 1")
        return next((row["snapshot_id"] for row in shown.collect()), None)

    def _refuse_zoneless(self, frame: DataFrame) -> None:
        kind = frame.schema["arrived"].dataType.typeName()
        if kind not in ("timestamp", "date"):
            raise InputError(
                f"{self.declared.table}, column {self.declared.delivered!r} says when a row arrived and is of the type {kind}.",
                todo="Name a column of times with a zone, or of dates (UTC).",
                code="no_time_zone",
            )


def _micros(frame: DataFrame) -> list[Row]:
    """Rows, times and the dates of arrivals in microseconds of UTC: Python's would be those of this machine's zone."""
    from pyspark.sql import functions as F

    names = [f.name for f in frame.schema if f.dataType.typeName() in ("timestamp", "date") and f.name != "day"]
    return frame.withColumns({name: F.unix_micros(F.col(name).cast("timestamp")) for name in names}).collect()


def _time(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def _condition(error: Exception) -> str:
    """What kind of error it is: its condition as Spark names it, else its class; its text may quote anything."""
    condition = getattr(error, "getCondition", lambda: None)()
    return str(condition or type(error).__name__)
