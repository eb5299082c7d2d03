"""
Features of a day from those of the day before: plus what enters a window, minus what leaves it.

Reads:  features.user of the day before, features.user_day, features.user_item_day, raw.users

Between two days a window changes by the tiles that were delivered on the later one and by those whose date is at one of its
edges. All other tiles are in it on both days or on neither. So a column that adds up is the one of the day before, plus what
its window holds of these few tiles on the day, minus what it held of them on the day before, by the same expressions as the
definition (spark_jobs.features.user). Active dates are a set: new ones join it, and those of a year ago leave. Different items
do not add up, and are counted by their definition, of 28 days. Sums are whole numbers and decimals, so both ways agree cell for
cell.

A user of whom the day before has no row is counted by the definition, from the tiles that there can be of somebody whom no
delivery had named: those of deliveries with rows of unknown users.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle import code, records
from rekindle.days import ONE_DAY, Days
from rekindle.settings import PROJECT
from rekindle.warehouse import builds, contracts, lineage
from rekindle.warehouse.tables import read_between, read_days, snapshot_says
from spark_jobs.features import user as definition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.warehouse.contracts import Contract

SAYS = "rekindle.definition"
"""What a snapshot of the table says of itself: the digest of the definition that its rows were made by."""

FACTS = ("raw.orders", "raw.events")
STATE = ("registered_on", "country", "channel", "attributes")
SQUARES = "squared gaps"
"""A column of rows on their way: see `squares_after`."""


def user(spark: SparkSession, day: date) -> DataFrame | None:
    """Features of a day, one row per registered user, as `definition_of.user` has them; None where the day before will not do."""
    contract = contracts.load(definition_of.TABLE)
    if not (adds_up(contract) and stands(spark, contract, day - ONE_DAY)):
        return None
    before = read_days(spark, definition_of.TABLE, Days.one(day - ONE_DAY))
    reach = lineage.graph().windows(definition_of.TABLE, day)
    users = read_between(spark, "raw.users", day - ONE_DAY, day)
    items = read_between(spark, "features.user_item_day", reach["features.user_item_day"][0], day)
    asked = spark.createDataFrame([(day,)], "day date")
    registered = registered_from(before, newest(users, day), day)
    unnamed = may_be_of_unnamed(spark, day)
    moved = (F.col("day") == F.lit(day)) | F.col("activity_on").isin(edges(contract, day))
    tiles = read_between(spark, "features.user_day", read_from(contract, day), day).where(moved)
    of_new = None if unnamed is None else read_between(spark, "features.user_day", None, day).where(unnamed)
    tiles = changed(tiles, of_new, registered, day)
    return stepped(registered, tiles, definition_of.entered_items(items, asked, contract), contract)


# Whether the day before will do


def adds_up(contract: Contract) -> bool:
    """Whether the contract says so of all that tiles are summed up to."""
    names = [*definition_of.sums(contract), *event_columns(contract)]
    return all(contract.column(name).adds_up for name in names)


def stands(spark: SparkSession, contract: Contract, day: date) -> bool:
    """Whether a day was made by the definition that is in force, of inputs that are still what they were."""
    built = builds.unchanged(lineage.graph(), contract.table, day)
    if built is None or built.snapshot_id is None:
        return False
    if not is_kept(contract, day):
        return False
    return snapshot_says(spark, contract.table, built.snapshot_id).get(SAYS) == definition()[SAYS]


def is_kept(contract: Contract, day: date) -> bool:
    """
    Whether neither the rows of a day nor the tiles that are read beside them were deleted for their age.

    What a day was built from stays recorded when its rows are gone.
    """
    kept_from = records.expiries()
    tiles_kept_from = kept_from.get("features.user_day", date.min)
    return kept_from.get(contract.table, date.min) <= day and tiles_kept_from < read_from(contract, day)


@cache
def definition() -> Mapping[str, str]:
    """What a snapshot says of how its rows were made: a digest of the contract, and of the code of features."""
    files = [
        contracts.FOLDER / f"{definition_of.TABLE}.yml",
        *(PROJECT / "spark_jobs" / "features").glob("*.py"),
    ]
    return {SAYS: code.digest(files)}


# Which tiles


def windows(contract: Contract) -> set[tuple[int | None, int]]:
    """Width of each window that adds up tiles, None for ever, and how many days before the day it ended."""
    found = {(one.width, one.since) for one in definition_of.sums(contract).values()}
    return found | {(w, 0) for w in contract.windows(definition_of.EVENT_COUNTS)}


def edges(contract: Contract, day: date) -> list[date]:
    """Dates that enter or leave a window between the day before and the day."""
    found = windows(contract)
    back = {since for _, since in found} | {since + width for width, since in found if width is not None}
    return sorted(day - timedelta(days) for days in back)


def read_from(contract: Contract, day: date) -> date:
    """The first delivery that is read: the one before the earliest edge may hold the first minutes of it."""
    return edges(contract, day)[0] - ONE_DAY


def may_be_of_unnamed(spark: SparkSession, day: date) -> Column | None:
    """
    Which deliveries may hold tiles of a user who is in the day's features and not in those of the day before; None if none may.

    Before the day nobody had named such a user, so each of these deliveries counted rows of unknown users, unless users came
    again since. One who is named already registers within the tolerance after midnight: then it may be any delivery.
    """
    yesterday = day - ONE_DAY
    registered_on = F.to_date("registered_at")
    if read_days(spark, "raw.users", Days.one(yesterday)).where(registered_on > F.lit(yesterday)).limit(1).count():
        return F.lit(True)
    told = read_between(spark, "raw.deliveries", None, yesterday).where("unknown_user_rows > 0")
    of_facts = told.where(F.col("source").isin([table.removeprefix("raw.") for table in FACTS]))
    days = {row["day"] for row in of_facts.select("day").distinct().collect()} | loaded_before_users(yesterday)
    return F.col("day").isin(sorted({*days, day})) if days else None


def loaded_before_users(last: date) -> set[date]:
    """Deliveries of facts that were loaded before one of users up to the same day, and counted as unknown whom that had named."""
    built = records.builds("raw.users", date.min, last)
    users = sorted((day, build.built_at) for day, build in built.items() if build.built_at)
    named_until = list(accumulate((at for _, at in users), max))
    named_on = [day for day, _ in users]
    found = set()
    for table in FACTS:
        for day, build in records.builds(table, date.min, last).items():
            named = bisect_right(named_on, day)
            if named and build.built_at and named_until[named - 1] > build.built_at:
                found.add(day)
    return found


def changed(moved: DataFrame, of_new: DataFrame | None, registered: DataFrame, day: date) -> DataFrame:
    """
    Tiles that make the day differ from the one before: `is_counted` are those that this one's windows may hold.

    `moved` are those that enter or leave, `of_new` those of users who are new to the features, where there may be any from
    before the day: of these all enter, because the day before has nothing of them.
    """
    new = registered.where("is_new").select("user_id")
    others = moved if of_new is None else moved.join(new, "user_id", "left_anti")
    tiles = others.withColumn("is_counted", F.lit(True))
    if of_new is not None:
        tiles = tiles.unionByName(of_new.join(new, "user_id", "left_semi").withColumn("is_counted", F.lit(False)))
    return tiles.withColumnRenamed("day", "delivered_on").withColumn("day", F.lit(day))


# What becomes of them


def newest(users: DataFrame, day: date) -> DataFrame:
    """
    The latest state of each user whom a delivery has named on the day, or who registers on it and was named the day before.

    Nobody is named earlier: a registration lies at most some minutes after its delivery's day.
    """
    states = users.withColumn("registered_on", F.to_date("registered_at")).withColumn(
        "attributes", F.coalesce("attributes", F.create_map().cast("map<string,string>"))
    )
    latest = states.groupBy("user_id").agg(F.max_by(F.struct("day", *STATE), "day").alias("newest"))
    return latest.where((F.col("newest.day") == F.lit(day)) | (F.col("newest.registered_on") == F.lit(day)))


def registered_from(before: DataFrame, newest: DataFrame, day: date) -> DataFrame:
    """Registered users of the day with the features of the day before, all null for those who are new."""
    new = newest.join(before.select("user_id"), "user_id", "left_anti")
    known = before.drop("day").join(newest, "user_id", "left").withColumn("is_new", F.lit(False))
    rows = known.unionByName(new.withColumn("is_new", F.lit(True)), allowMissingColumns=True)
    named = F.col("newest").isNotNull()
    state = {name: F.when(named, F.col(f"newest.{name}")).otherwise(F.col(name)) for name in STATE}
    rows = rows.withColumns(state).drop("newest").withColumn("day", F.lit(day))
    return rows.where(F.col("registered_on") <= F.col("day")).withColumn(
        "tenure_days", F.datediff("day", "registered_on")
    )


def is_in(width: int | None, since: int = 0) -> Column:
    """Condition that a tile of `changed` is in a window of the day."""
    return definition_of.has_entered(F.col("day")) & definition_of.within(width, since)


def was_in(width: int | None, since: int = 0) -> Column:
    """Condition that it was in that of the day before."""
    yesterday = F.date_sub("day", 1)
    return F.col("is_counted") & definition_of.has_entered(yesterday) & definition_of.within(width, since, yesterday)


def counts_more(width: int | None, since: int = 0) -> Column:
    """How many times more a tile of `changed` counts in a window of the day than in that of the day before: 1, 0 or -1."""
    return is_in(width, since).cast("int") - was_in(width, since).cast("int")


def stepped(registered: DataFrame, tiles: DataFrame, items: DataFrame, contract: Contract) -> DataFrame:
    """Features of the day: those of the day before, with what `changed` tiles add to them and take away."""
    summed, events = list(definition_of.sums(contract)), event_columns(contract)
    plus: dict[str, Callable[[Column, Column], Column]] = {
        **dict.fromkeys(summed, plus_number),
        **dict.fromkeys(events, plus_counts),
        "active_dates": plus_dates,
    }
    plus |= {name: either for name, (_, either) in definition_of.earliest_and_latest().items()}
    kept = registered.select(*definition_of.KEY, *STATE, "tenure_days", *plus)
    rows = definition_of.filled(registered.select(*kept.columns, "gap_spread_days"), contract)
    for change in (change_of_sums(tiles, contract), change_of_events(tiles, contract)):
        rows = rows.join(change, "user_id", "left")
    added = {name: add(F.col(name), F.col(changed_by(name))) for name, add in plus.items()}
    dates = F.col("active_dates"), F.col(changed_by("active_dates"))
    rows = rows.withColumns({**added, SQUARES: squares_after(*dates, F.col("gap_spread_days"))})
    distinct = definition_of.distinct(items, contract)
    rows = rows.select(*kept.columns, SQUARES).join(distinct, definition_of.KEY, "left")
    # Of the dates as they have become: asked of how they are made, each gap would make them anew.
    squares = F.coalesce(SQUARES, definition_of.squared_gaps(F.col("active_dates")))
    return definition_of.derived(definition_of.filled(rows, contract), squares).drop(SQUARES)


def event_columns(contract: Contract) -> list[str]:
    """Names of the columns that count events by type."""
    return [definition_of.EVENT_COUNTS.format(w=w) for w in contract.windows(definition_of.EVENT_COUNTS)]


def changed_by(column: str) -> str:
    return f"{column} changed by"


def change_of_sums(tiles: DataFrame, contract: Contract) -> DataFrame:
    """What each column that adds up gains or loses, and the active dates that were not known before. One row per user."""
    tiles, sums = definition_of.summed(tiles, definition_of.sums(contract), counts_more)
    known = definition_of.has_entered(F.col("day"))
    dates = {name: of(F.col("is_first") & known) for name, (of, _) in definition_of.earliest_and_latest().items()}
    dates["active_dates"] = definition_of.active_dates(known & ~was_in(None))
    return tiles.groupBy("user_id").agg(*[of.alias(changed_by(name)) for name, of in (sums | dates).items()])


def change_of_events(tiles: DataFrame, contract: Contract) -> DataFrame:
    """What the counts of events by type gain or lose; types without a change are left out. One row per user."""
    windows = contract.windows(definition_of.EVENT_COUNTS)
    by_type = (
        tiles.select(
            "user_id",
            *[counts_more(w).alias(f"times_{w}d") for w in windows],
            F.explode("event_counts").alias("type", "events"),
        )
        .groupBy("user_id", "type")
        .agg(*[F.sum(F.col("events") * F.col(f"times_{w}d")).alias(f"events_{w}d") for w in windows])
    )
    return definition_of.as_maps(
        by_type, ["user_id"], {w: changed_by(definition_of.EVENT_COUNTS.format(w=w)) for w in windows}
    )


def plus_number(before: Column, change: Column) -> Column:
    return before + F.coalesce(change, F.lit(0))


def plus_counts(before: Column, change: Column) -> Column:
    """Two maps of counts as one, in the order of the keys; what is counted no longer is left out."""
    added = F.map_zip_with(before, change, lambda _, a, b: F.coalesce(a, F.lit(0)) + F.coalesce(b, F.lit(0)))
    left = F.map_filter(added, lambda _, count: count > 0)
    return F.when(change.isNull(), before).otherwise(F.map_from_entries(F.sort_array(F.map_entries(left))))


def plus_dates(before: Column, change: Column) -> Column:
    """Active dates of the day: those that were known, and new ones, without what lies too far back."""
    is_later = F.get(change, F.lit(0)) > F.get(before, F.size(before) - 1)
    both = F.when(has_none(change), before).when(is_later, F.concat(before, change))
    both = both.otherwise(F.sort_array(F.array_union(before, change)))
    # Most days nobody's oldest date leaves, or one does: to look at each of a year's dates takes longer than all else.
    rest = F.slice(both, 2, F.greatest(F.size(both) - 1, F.lit(0)))
    return (
        F.when(is_within(F.get(both, F.lit(0))), both)
        .when(is_within(F.get(both, F.lit(1))), rest)
        .otherwise(F.filter(both, is_within))
    )


def has_none(dates: Column) -> Column:
    """Condition that there are no dates, or that nothing is said of any."""
    return F.coalesce(F.size(dates) == 0, F.lit(True))


def is_within(on: Column) -> Column:
    """Condition that an active date lies no further back than they are kept."""
    return on > F.date_sub("day", definition_of.ACTIVE_DATES_DAYS)


def squares_after(before: Column, change: Column, spread: Column) -> Column:
    """
    The squared gaps of the day, from the spread of the day before: a gap more, a gap less; null where that is not all.

    The spread is √(n Σg² - (Σg)²) / n of whole numbers below 10⁸: what is solved for Σg² is off by less than a millionth.
    """
    count, total = definition_of.gaps_between(before)
    known = F.round((F.pow(spread * count, F.lit(2)) + total * total) / count).cast("bigint")
    oldest, second, last = (F.get(before, at) for at in (F.lit(0), F.lit(1), count))
    comes = F.get(change, F.lit(0))
    less = F.when(~is_within(oldest), _squared(F.datediff(second, oldest))).otherwise(0)
    more = F.when(comes.isNotNull(), _squared(F.datediff(comes, last))).otherwise(0)
    is_one_at_most = has_none(change) | ((F.size(change) == 1) & (comes > last))
    return F.when((count > 0) & is_within(second) & is_one_at_most, known - less + more)


def _squared(days: Column) -> Column:
    return days.cast("bigint") * days
