"""
Training samples: features as they were stored on earlier days, with labels that have become known since.

A sample is taken from weekly days and split by time. Between two parts lies the whole reach of a label: the horizon and
the lateness allowance. So every label of one part was known by the first day of the next, just as it will be when the
model scores, and no window of a label reaches into a later part.

    day              D …          D + to_day      + lateness_days
    features up to D │ label's window             │ label known: the next part may begin
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from ml import inputs
from ml.model.encoder import doubles
from ml.model.protected import Protected
from ml.training import messages, seasons, strata
from ml.training.strata import BUCKETS, Strata
from rekindle.days import Days
from rekindle.errors import CheckFailedError, InputError
from rekindle.warehouse import tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from ml.products import Product, Target
    from rekindle.settings import Settings

MAX_ROWS = 200_000
"""More rows moved no figure of the samples by more than its interval, and this many fit on a laptop with their maps."""

LABELS = "marts.labels"

TILES = "features.user_day"

DELIVERIES = "raw.deliveries"

PROFILING = "staging.stg_profiling"

BESIDE = "lies beside the plain sample"
"""A column of what Spark reads, and of no sample; no table has a column of such a name."""

LABELLED = 0.9
"""
Of the members of a day of which a label is known, at least this share has it; of an honest build it is all of them.

Labels of buyers alone, or of who is active by now, are those of another population: on both samples they look like a better
model, and on none of them a product that loses them is told by anything but their number.
"""

SHARES = (0.6, 0.2, 0.2)
"""Of the days that the gaps leave over: training, validation, test. Half of the history would do for none of them."""


TRIALS, TRIAL_DAYS = 2, 8
"""
Blocks of earlier days that candidates are chosen by beside the validation days, each after so many weekly days at least.

A choice by one block is a coin's: a candidate lost by .0003 of log-loss there and was better on the test days. Each block costs
another fit, and two months are what a fit needs to be worth comparing.
"""


@dataclass(frozen=True)
class Sample:
    """Rows of features with a column for each label, null where it was not known yet."""

    product: str
    day: date
    """The last delivery day that the sample knows of."""
    targets: tuple[Target, ...]
    rows: pa.Table
    snapshots: Mapping[str, int | None]
    """The Iceberg snapshots that were read, by table."""
    user_share: float
    """The share of users that was drawn, by a hash of the user."""
    kept_out: tuple[str, ...] = ()
    """Features of its rows that no model may read, for they are of a protected kind."""
    about_messages: str = ""
    """What `fitting.settled` made of messages on the days that labels are about; empty where none was sent."""
    strata: Strata | None = None
    """How rows to learn from were drawn where the outcome is rare; None of a sample that is plain on all days."""
    beside: pa.Table | None = None
    """More rows to learn from, of the rarer kind: they are no part of the plain sample that `rows` are."""
    totals: pa.Table | None = None
    """What all users together did, by date, a column for each label whose target declares one: see ml.training.seasons."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows, as a Parquet file that holds nothing else, of strata and of totals: equal samples have equals."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sha = _Sha256()
        for rows in (self.rows, self.beside, self.totals):
            if rows is not None:
                whole = rows.combine_chunks().replace_schema_metadata(None)
                with pa.PythonFile(sha, "w") as sink:
                    pq.write_table(whole, sink, compression="none", use_dictionary=False, store_schema=False)
        if self.strata is not None:
            sha.write(repr(self.strata).encode())
        return sha.hexdigest()

    def days_known(self, target: Target) -> list[date]:
        """Return the days whose label is known, in order."""
        import pyarrow.compute as pc

        return sorted(pc.unique(self.rows.filter(pc.is_valid(self.rows[target.label]))["day"]).to_pylist())

    @property
    def messaged(self) -> str | None:
        """The column that says who was sent a message on the days of a label; None where nobody was, or where no target asks."""
        asked = (target.messaged for target in self.targets if target.without_messages)
        return next((name for name in asked if name in self.rows.column_names), None)

    def as_days_were(self, about_messages: str = "") -> Sample:
        """Forget who was sent a message: nobody is left out, and no model learns what messages change."""
        asked = [self.messaged] if self.messaged else []
        return replace(self.without(asked), about_messages=about_messages)

    def without(self, columns: Sequence[str]) -> Sample:
        """Leave some columns out of all rows."""
        if not columns:
            return self
        beside = None if self.beside is None else self.beside.drop_columns(list(columns))
        return replace(self, rows=self.rows.drop_columns(list(columns)), beside=beside)

    @property
    def whole(self) -> Sample:
        """All rows, those beside the plain sample among them: how much each counts is `weight`."""
        import pyarrow as pa

        if self.beside is None:
            return self
        return replace(self, rows=pa.concat_tables([self.rows, self.beside]), beside=None)

    @property
    def plain(self) -> Sample:
        """The plain sample alone."""
        return replace(self, strata=None, beside=None)

    @property
    def limits(self) -> tuple[str, ...]:
        """What was made of messages and of a rare outcome, for whoever reads of a model or of its rows."""
        return tuple(told for told in (self.about_messages, self.about_strata) if told)

    def unmessaged(self, days: Days, target: Target) -> pa.Table:
        """Return the rows of some days to choose, calibrate and judge by: those of `of`, but for who was sent a message."""
        return self._unmessaged(self.of(days, target))

    def _unmessaged(self, rows: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        return rows.filter(pc.equal(rows[self.messaged], 0)) if self.messaged else rows

    def of(self, days: Days, target: Target) -> pa.Table:
        """Return the rows of some days that have the label of a target, as the population has them."""
        return _of(self.rows, days, target)

    def to_learn(self, days: Days, target: Target) -> pa.Table:
        """Return the rows of some days to learn a target from, as many of the rarer kind as were kept: see `weight`."""
        import pyarrow as pa

        rows = self.of(days, target)
        return rows if self.beside is None else pa.concat_tables([rows, _of(self.beside, days, target)])

    def weight(self, rows: pa.Table) -> np.ndarray | None:
        """Say how much each of some rows to learn from counts; None where all count alike."""
        return self.strata and self.strata.weight(rows)

    @property
    def about_strata(self) -> str:
        """Say how many rows to learn from stand for how many; empty of a plain sample."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.strata is None or self.beside is None:
            return ""
        on_days = self.rows.filter(pc.is_in(self.rows["day"], value_set=pa.array(list(self.strata.days), pa.date32())))
        rarer = int(np.count_nonzero(np.nan_to_num(doubles(on_days[self.strata.label])) > 0))
        return self.strata.told(rarer + self.beside.num_rows, on_days.num_rows - rarer)

    def judged(self, test: Days) -> pa.Table:
        """Return the rows of the test days of who was sent no message, with every label known: the same for whoever is judged."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = self.rows.filter(pc.is_in(self.rows["day"], value_set=pa.array(list(test), pa.date32())))
        for target in self.targets:
            rows = rows.filter(pc.is_valid(rows[target.label]))
        return self._unmessaged(rows)


def _of(rows: pa.Table, days: Days, target: Target) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    there = pc.and_(pc.is_in(rows["day"], value_set=pa.array(list(days), pa.date32())), pc.is_valid(rows[target.label]))
    return rows.filter(there)


class _Sha256:
    """A file that keeps nothing of what is written to it but the digest."""

    closed = False

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.hexdigest = self._sha.hexdigest

    def write(self, content: bytes) -> int:
        self._sha.update(content)
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Trial:
    """Days to fit a candidate on, and later ones to compare it by with others, with the gap between."""

    train: Days
    validation: Days


@dataclass(frozen=True)
class Split:
    """Which days are fitted on, chosen by, and judged on. Test days are the same for all targets."""

    train: Mapping[str, Days]
    """By label: a label that is known sooner lets its part learn from later days."""
    validation: Mapping[str, Days]
    test: Days
    earlier: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    """By label: earlier days to choose candidates by, cut out of the training days."""

    def to_json(self) -> dict[str, object]:
        parts = {"train": self.train, "validation": self.validation}
        listed = {name: {label: _isoformat(days) for label, days in part.items()} for name, part in parts.items()}
        return {**listed, "test": _isoformat(self.test)}


@dataclass(frozen=True)
class RefitDays:
    """Which days a recipe is refitted on, by label, once the test days have judged it."""

    before: Mapping[str, Days]
    """Known when the first test day was scored: fitted on, to see how the test days come out."""
    after: Mapping[str, Days]
    """From the first test day on: calibrated by."""
    everything: Mapping[str, Days]
    """All with a known label: what the model that scores has learnt from."""


def sample(
    spark: SparkSession,
    product: Product,
    day: date,
    settings: Settings,
    snapshots: Mapping[str, int | None] | None = None,
    *,
    to_learn: bool = True,
) -> Sample:
    """
    Read the sample that was known at the end of `day`, joined and drawn in Spark.

    With the `snapshots` of an earlier one it is that one again, row for row: with the same lock file a training on it gives the
    same scores. Where the first outcome is rare, days that nothing but learning reads are drawn by it, unless nothing is learnt.
    """
    from pyspark.sql import functions as F

    targets = product.targets(settings)
    asked = {target.label: target.total for target in targets if target.total}
    names = (*product.features, product.population, LABELS, *([TILES] if asked else []))
    snapshots = snapshots or {name: tables.snapshot_id(spark, name) for name in names}
    population, labels = (as_read(spark, name, snapshots[name]) for name in (product.population, LABELS))
    for table in product.features:
        refuse_labels(table, spark.table(table).columns, targets)

    days = _weekly_days(labels, targets, day, settings)
    member = population.where(tables.day_in(days)).select("day", *product.key)
    # Also from days on which they had not objected yet: of who objects now, nothing is learnt any more.
    member = member.join(objecting(spark, day), "user_id", "left_anti").select("day", *product.key)
    user_share = min(1.0, MAX_ROWS / max(1, member.count()))
    known = [_known(labels, target, days, day) for target in targets]
    drawn = Sample(product.name, day, targets, rows=None, snapshots=snapshots, user_share=user_share)
    if to_learn and user_share < 1:
        drawn = replace(drawn, strata=_strata(member, known, drawn, settings))
    is_kept = F.expr(f"pmod(xxhash64('training sample', user_id), {BUCKETS}) < {round(user_share * BUCKETS)}")
    if drawn.strata:
        member = member.join(known[0], ["day", "user_id"], "left")
        is_kept = F.when(drawn.strata.on_days, drawn.strata.is_kept).otherwise(is_kept)
    rows = inputs.with_features(
        product, member.where(is_kept), lambda table: as_read(spark, table, snapshots[table]).where(tables.day_in(days))
    )
    for its in known:
        rows = rows.join(its, ["day", "user_id"], "left")
    if drawn.strata:
        rows = rows.withColumn(BESIDE, drawn.strata.is_beside)
    # An earlier sample that is read again may be of before totals were read.
    if asked and TILES in snapshots:
        drawn = replace(drawn, totals=_totals(as_read(spark, TILES, snapshots[TILES]), asked, day))
    return _found(rows.toArrow().sort_by([("day", "ascending"), ("user_id", "ascending")]), drawn, settings)


def _found(table: pa.Table, drawn: Sample, settings: Settings) -> Sample:
    """Part a sample from what lies beside it, once all of it has been told who was sent a message."""
    import pyarrow.compute as pc

    kept_out, beside, weight = Protected.of(settings).kept_out_of(table), None, None
    if drawn.strata:
        beside, table = table[BESIDE], table.drop_columns([BESIDE])
        weight = drawn.strata.weight(table)
    refuse_unlabelled(table if beside is None else table.filter(pc.invert(beside)), drawn.targets)
    leave_out = [*(target.label for target in drawn.targets), *kept_out]
    for target in drawn.targets:
        if target.without_messages:
            table = messages.with_messaged(table, target, leave_out, weight)
    if beside is None:
        return replace(drawn, rows=table, kept_out=kept_out)
    return replace(drawn, rows=table.filter(pc.invert(beside)), beside=table.filter(beside), kept_out=kept_out)


def _strata(member: DataFrame, known: Sequence[DataFrame], drawn: Sample, settings: Settings) -> Strata | None:
    """Count what came of the population's rows, day by day, and plan by which shares to draw those that are only learnt from."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyspark.sql import functions as F

    labels = [target.label for target in drawn.targets]
    for its in known:
        member = member.join(its.drop(*messages.COLUMNS), ["day", "user_id"], "left")
    counted = member.groupBy("day").agg(
        F.count("*").alias("members"),
        F.count_if(F.col(labels[0]) > 0).alias("rarer"),
        *(F.when(F.count(label) > 0, 1.0).alias(label) for label in labels),
    )
    calendar = counted.toArrow().sort_by("day")
    first = min(days.first for days in split(replace(drawn, rows=calendar), settings).validation.values())
    before = calendar.filter(pc.less(calendar["day"], pa.scalar(first, pa.date32())))
    rarer, members = (int(pc.sum(before[name]).as_py()) for name in ("rarer", "members"))
    days = Days(tuple(before["day"].to_pylist()))
    return strata.planned(labels[0], days, rarer=rarer, others=members - rarer, user_share=drawn.user_share)


def last_day(spark: SparkSession) -> date:
    """Return the last delivery day with which a label became known."""
    from pyspark.sql import functions as F

    day = spark.table(LABELS).agg(F.max("day")).first()[0]
    if day is None:
        raise CheckFailedError(
            "No label is known yet.",
            todo="Load a longer history and build its weekly days with `rekindle backfill`, or wait.",
            code="not_enough_history",
        )
    return day


def split(sample: Sample, settings: Settings) -> Split:
    """Choose the split whose parts come nearest to the wanted shares; test days are the latest ones."""
    known = sample.days_known(_longest(sample.targets))
    reach = _reach(_longest(sample.targets), settings)
    choices = [
        (_distance(train, validation, test), test)
        for at in range(len(known))
        for test in [known[at:]]
        for train, validation in _before(known, test[0], reach)
    ]
    if not choices:
        raise _not_enough_history(len(known), reach)
    return split_before(sample, min(choices)[1], settings)


def split_before(sample: Sample, test: Sequence[date], settings: Settings) -> Split:
    """Split what was known when the first test day was scored into training and validation days."""
    train, validation, earlier = {}, {}, {}
    for target in sample.targets:
        known, reach = sample.days_known(target), _reach(target, settings)
        choices = [(_distance(t, v, test), t, v) for t, v in _before(known, test[0], reach)]
        if not choices:
            raise _not_enough_history(len(known), reach)
        _, fitted_on, chosen_by = min(choices)
        train[target.label], validation[target.label] = Days(tuple(fitted_on)), Days(tuple(chosen_by))
        earlier[target.label] = tuple(_earlier(fitted_on, len(chosen_by), reach))
    return Split(train, validation, Days(tuple(test)), earlier)


def refit_days(sample: Sample, split: Split, settings: Settings) -> RefitDays:
    """Cut all known days at the first test day, with the gap that lies between learning and scoring."""
    before, after, everything = {}, {}, {}
    for target in sample.targets:
        known, first = sample.days_known(target), split.test.first
        before[target.label] = Days(tuple(d for d in known if d + _reach(target, settings) <= first))
        after[target.label] = Days(tuple(d for d in known if d >= first))
        everything[target.label] = Days(tuple(known))
    return RefitDays(before, after, everything)


def refuse_undelivered(spark: SparkSession, day: date) -> None:
    """Refuse a day later than all that has arrived: its sample would be an older one under a newer name."""
    from pyspark.sql import functions as F

    found = [spark.table(name).agg(F.max("day")).first()[0] for name in (DELIVERIES, LABELS)]
    last = max((d for d in found if d is not None), default=None)
    if last is not None and day > last:
        raise InputError(
            f"Nothing of {day} has been delivered: the last delivery that was loaded is of {last}.",
            todo=f"Train as of {last} or an earlier day, or load the deliveries up to {day} first.",
            safe="Nothing was trained; the champion stays as it was.",
            code="day_not_delivered",
        )


def blocks(
    sample: Sample, settings: Settings, wanted: int, *, first: date | None, last: date | None
) -> list[list[date]]:
    """Cut the later half of the days, as far as a split before them is possible, into blocks of test days."""
    known = sample.days_known(_longest(sample.targets))
    earliest = _days_needed(_reach(_longest(sample.targets), settings)) - 1
    possible = known[max(earliest, len(known) // 2 if first is None else 0) :]
    if not possible:
        raise _not_enough_history(len(known), _reach(_longest(sample.targets), settings))
    asked = [d for d in possible if (first is None or d >= first) and (last is None or d <= last)]
    if not asked:
        raise InputError(
            f"No day that a model can be judged on lies within the days asked for: such days are {Days(tuple(possible))}.",
            todo="Give other days with --from and --to.",
            code="no_such_days",
        )
    count = min(wanted, len(asked))
    edges = [round(i * len(asked) / count) for i in range(count + 1)]
    return [asked[a:b] for a, b in pairwise(edges)]


def refuse_labels(table: str, columns: Sequence[str], targets: Sequence[Target]) -> None:
    """Refuse features that hold a label; one that hides under another name is found by `fitting.check_no_label`."""
    found = sorted({target.label for target in targets} & set(columns))
    if found:
        raise CheckFailedError(
            f"{table} holds a column named like a label: {', '.join(found)}.",
            todo="Take it out of the features: a label is what happened after the day.",
            safe="The champion stays as it was.",
            code="label_among_features",
        )


def refuse_unlabelled(rows: pa.Table, targets: Sequence[Target]) -> None:
    """Refuse a sample in which a label that a day has is missing of many of its members: who is left was chosen by what came."""
    for target in targets:
        counted = rows.group_by("day").aggregate([("user_id", "count"), (target.label, "count")])
        shares = {
            day: labelled / members
            for day, members, labelled in zip(*(column.to_pylist() for column in counted.columns), strict=True)
            if labelled
        }
        if shares and (least := min(shares.values())) < LABELLED:
            raise CheckFailedError(
                f"{target.label} is known of {least:.0%} of the population of {min(shares, key=shares.get)}: who has a label "
                "there was chosen by what came afterwards, or features were built anew since.",
                todo=f"See who is missing in {LABELS}; build that day's labels anew with `rekindle backfill --stale`.",
                safe="The champion stays as it was.",
                code="labels_missing",
            )


def _weekly_days(labels: DataFrame, targets: Sequence[Target], day: date, settings: Settings) -> Days:
    """Find the latest weekly days with a known label: a few dates, not rows of a table."""
    from pyspark.sql import functions as F

    found = (
        labels.where((F.col("day") <= F.lit(day)) & F.col("label").isin([t.label for t in targets]))
        .where(F.weekday("feature_day") == settings.training_weekday_number)
        .select("feature_day")
        .distinct()
        .orderBy(F.desc("feature_day"))
        .limit(settings.training_weeks)
    )
    days = tuple(row.feature_day for row in found.collect())
    if not days:
        raise _not_enough_history(0, _reach(_longest(targets), settings))
    return Days(days)


def _totals(tiles: DataFrame, asked: Mapping[str, str], day: date) -> pa.Table | None:
    """Add up tiles by date, of dates that were told of by a day: a few numbers a date, not rows of a table. None of no tile."""
    from pyspark.sql import functions as F

    is_told = F.datediff("day", seasons.DATE) <= seasons.TOLD_DAYS
    known = tiles.where(is_told & (F.col(seasons.DATE) <= F.lit(day - timedelta(days=seasons.TOLD_DAYS))))
    summed = [F.sum(F.expr(sql)).cast("double").alias(label) for label, sql in asked.items()]
    found = known.groupBy(seasons.DATE).agg(*summed).toArrow().sort_by(seasons.DATE)
    return found if found.num_rows else None


def _known(labels: DataFrame, target: Target, days: Days, day: date) -> DataFrame:
    """Select a label as it was known at the end of `day`, as a column named after it."""
    from pyspark.sql import functions as F

    asked = messages.COLUMNS if target.without_messages else ()
    # A snapshot of before they were told has no such columns.
    told = [name if name in labels.columns else F.lit(None).cast("int").alias(name) for name in asked]
    return labels.where(
        (F.col("label") == target.label) & (F.col("day") <= F.lit(day)) & F.col("feature_day").isin(list(days))
    ).select(F.col("feature_day").alias("day"), "user_id", F.col("value").alias(target.label), *told)


def objecting(spark: SparkSession, day: date) -> DataFrame:
    """Users who, by what was delivered up to a day, object to being learnt from; see dbt_project/macros/profiling.sql."""
    from pyspark.sql import functions as F

    said = spark.table(PROFILING).where(F.col("day") <= F.lit(day)).groupBy("user_id")
    latest = said.agg(F.max_by("action", F.struct("at", "action")).alias("latest"))
    return latest.where("latest = 'withdraw'").select("user_id")


def as_read(spark: SparkSession, table: str, snapshot_id: int | None) -> DataFrame:
    """Read exactly the snapshot that is recorded, whatever is released meanwhile."""
    return spark.sql(
        f"SELECT * FROM {table}" if snapshot_id is None else f"SELECT * FROM {table} VERSION AS OF {snapshot_id}"
    )


def _longest(targets: Sequence[Target]) -> Target:
    return max(targets, key=lambda target: target.to_day)


def _reach(target: Target, settings: Settings) -> timedelta:
    """Return how long after its day a label is known."""
    return timedelta(days=target.to_day + settings.lateness_days)


def _before(known: Sequence[date], first_test: date, reach: timedelta) -> Iterator[tuple[list[date], list[date]]]:
    """Yield every cut of what was known before a test day into training and validation days, with the gap between."""
    usable = [d for d in known if d + reach <= first_test]
    for at, first_validation in enumerate(usable):
        train = [d for d in usable if d + reach <= first_validation]
        if train:
            yield train, usable[at:]


def _earlier(train: Sequence[date], size: int, reach: timedelta) -> Iterator[Trial]:
    """Yield blocks of so many days at the end of the training days, the latest first, with the days known before each."""
    for until in range(len(train), size, -size)[:TRIALS]:
        block = train[until - size : until]
        before = [d for d in train if d + reach <= block[0]]
        if len(before) < TRIAL_DAYS:
            return
        yield Trial(Days(tuple(before)), Days(tuple(block)))


def _distance(train: Sequence[date], validation: Sequence[date], test: Sequence[date]) -> float:
    """Say how far the parts are from the wanted shares."""
    sizes = (len(train), len(validation), len(test))
    return sum(abs(size / sum(sizes) - share) for size, share in zip(sizes, SHARES, strict=True))


def _days_needed(reach: timedelta) -> int:
    """Return how many weekly days the smallest split takes: one for each part and those in the gaps between."""
    return 1 + 2 * ceil(reach.days / 7)


def _not_enough_history(found: int, reach: timedelta) -> CheckFailedError:
    return CheckFailedError(
        f"There are {found} weekly days with a known label; {_days_needed(reach)} are needed for training, validation "
        f"and test days that lie {reach.days} days apart.",
        todo="Load a longer history and build its weekly days with `rekindle backfill`, or wait.",
        safe="The champion stays as it was.",
        code="not_enough_history",
    )


def _isoformat(days: Days) -> list[str]:
    return [day.isoformat() for day in days]
