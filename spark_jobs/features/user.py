"""
What was known about each user at the end of a day: windows over tiles, never over events.

Reads:  features.user_day, features.user_item_day, raw.users
Writes: features.user

A feature is a line of the contract and an expression here: the contract says for which windows, of which type, what stands
where nothing was counted, and whether it adds up.

A tile enters a window of D at max(activity, delivery) and leaves it at activity + w. The tiles of a range are joined to
the days that are asked for, so a range is one plan, and one day is the same plan with one day. That is the definition. A day
whose day before stands is made of that one and of the tiles that enter and leave (spark_jobs.features.day_before), cell for
cell the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle.warehouse import builds, contracts, lineage
from rekindle.warehouse.tables import read_between, replace_days
from spark_jobs.features.states import holds_on, spans
from spark_jobs.features.user_day import PARTS, activities_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame, SparkSession

    from rekindle.days import Days
    from rekindle.warehouse.builds import Inputs, Known
    from rekindle.warehouse.contracts import Contract
    from rekindle.warehouse.tables import Release

TABLE = "features.user"
KEY = ["user_id", "day"]

HISTORY = ("day", "user_id", "activity_on", "is_first", "orders", "sale_amount", "refund_amount")
"""What is read of tiles of all time."""


def user(users: DataFrame, tiles: DataFrame, history: DataFrame, item_tiles: DataFrame, days: DataFrame) -> DataFrame:
    """
    Features of each user registered by the end of each of `days` (one column, `day`).

    `users` are all deliveries of users, `history` all tiles, of which little is looked at, `tiles` and `item_tiles` those of the
    deliveries that the windows within a year need.
    """
    days = F.broadcast(days)
    contract = contracts.load(TABLE)
    known = entered(tiles, days, YEAR)
    features = (
        registered(users, days)
        .join(behaviour(known, contract), KEY, "left")
        .join(lifetime(entered(history, days, None), contract), KEY, "left")
        .join(event_counts(known, contract.windows(EVENT_COUNTS)), KEY, "left")
    )
    features = features.join(distinct(entered_items(item_tiles, days, contract), contract), KEY, "left")
    return derived(filled(features, contract))


def entered(tiles: DataFrame, days: DataFrame, width: int | None) -> DataFrame:
    """
    Tiles joined to each day whose window of `width` days they are in, None for ever: one row per tile and such day.

    `day` is from then on the day that is described, `delivered_on` the tile's delivery.
    """
    # All that follows is by user and day: partitioned by user once, the many rows after the join are not moved again.
    mine = tiles.withColumnRenamed("day", "delivered_on").repartition("user_id")
    return mine.join(days, has_entered(F.col("day")) & (F.lit(True) if width is None else within(width)))


def has_entered(day: Column) -> Column:
    """
    Condition that a tile is known on a day, and has happened.

    What came a year after its date counts in no window, also not in those that are longer: nobody has looked which delivery
    was the first to bring that date.
    """
    came_in_time = F.datediff("delivered_on", "activity_on") < YEAR
    return (F.greatest("activity_on", "delivered_on") <= day) & came_in_time


def within(width: int | None, since: int = 0, day: Column | None = None) -> Column:
    """Condition that a tile which has entered is in the window of `width` days that ended `since` days before `day`."""
    day = F.col("day") if day is None else day
    if width is None:
        return F.lit(True)
    on = F.col("activity_on") > F.date_sub(day, width + since)
    return on & (F.col("activity_on") <= F.date_sub(day, since)) if since else on


def _active_days(times: Column) -> Column:
    return F.sum(F.when(F.col("is_first"), times).otherwise(0))


def _active_weekend_days(times: Column) -> Column:
    # Sunday is 1 and Saturday 7.
    return _active_days(F.when(F.dayofweek("activity_on").isin(1, 7), times).otherwise(0))


def _total(column: str) -> Callable[[Column], Column]:
    def of_window(times: Column) -> Column:
        return F.sum(F.col(column) * times)

    return of_window


def _money(column: str) -> Callable[[Column], Column]:
    """In whole cents on the way: Spark adds up decimals three times as slowly."""

    def of_window(times: Column) -> Column:
        return F.sum((F.col(column) * CENTS).cast("bigint") * times).cast("decimal(20,0)") * F.lit(CENT)

    return of_window


TILE_FAMILIES: Mapping[str, Callable[[Column], Column]] = {
    "active_days_{w}d": _active_days,
    "orders_{w}d": _total("orders"),
    "sale_amount_{w}d": _money("sale_amount"),
    "refund_amount_{w}d": _money("refund_amount"),
    "sessions_{w}d": _total("sessions"),
    "stay_seconds_{w}d": _total("stay_seconds"),
    **{f"{activities_in(part)}_{{w}}d": _total(activities_in(part)) for part in PARTS},
    "active_weekend_days_{w}d": _active_weekend_days,
}
"""
What a window makes of tiles, given how often each counts in it: 1 in it, 0 outside.

What adds up may be asked with -1, too: for a tile that has left it.
"""

CENTS, CENT = 100, Decimal("0.01")

ITEM_FAMILIES = {"distinct_items_{w}d": "item_id", "distinct_categories_{w}d": "category"}
"""Of which column of the item tiles a window counts the different values."""

EVENT_COUNTS = "event_counts_{w}d"

YEAR = 365
"""No window of items, of events by type or of gaps is longer, and no tile counts that came so long after its date."""

ACTIVE_DATES_DAYS = YEAR
"""For so long a user's active dates are kept one by one: recency and gaps follow from them."""

PRIOR = 28
"""Width of the two windows that are compared: four weeks, so that each weekday is in both four times."""

COMING = 28
"""So many days that come next are looked for in the years before …"""

YEAR_OF_WEEKS = 364
"""… that many days earlier for each year: whole weeks, so that the weekdays are the same."""


@dataclass(frozen=True)
class Sum:
    """A column that adds up tiles: what of them, and of which window; it ended `since` days before the day."""

    of: Callable[[Column], Column]
    """See `TILE_FAMILIES`."""
    width: int | None
    """None for all that has entered."""
    since: int = 0

    @property
    def is_of_a_year(self) -> bool:
        """Whether it reaches no further back than the tiles of a year, with all that they hold."""
        return self.width is not None and self.width + self.since <= YEAR


def sums(contract: Contract) -> dict[str, Sum]:
    """All columns that add up tiles, by name."""
    found = {family.format(w=w): Sum(of, w) for family, of in TILE_FAMILIES.items() for w in contract.windows(family)}
    for name, of in {"active_days": _active_days, "sale_amount": _money("sale_amount")}.items():
        found[f"{name}_prior_28d"] = Sum(of, PRIOR, since=PRIOR)
        for years in (1, 2):
            found[f"{name}_same_weeks_{years}y"] = Sum(of, COMING, since=years * YEAR_OF_WEEKS - COMING)
    for name, of in {
        "active_days": _active_days,
        "orders": _total("orders"),
        "sale_amount": _money("sale_amount"),
    }.items():
        found[f"{name}_ever"] = Sum(of, None)
    return found


def earliest_and_latest() -> dict[str, tuple[Callable[[Column], Column], Callable[..., Column]]]:
    """Columns of dates of all that has entered: of tiles with activity, and of two such dates."""
    on = F.col("activity_on")
    return {
        "first_active_on": (lambda condition: F.min(F.when(condition, on)), F.least),
        "last_active_on": (lambda condition: F.max(F.when(condition, on)), F.greatest),
    }


def behaviour(known: DataFrame, contract: Contract) -> DataFrame:
    """Active dates, and what windows add up. One row per user and day with a tile within the longest window."""
    tiles, totals = summed(known, {name: one for name, one in sums(contract).items() if one.is_of_a_year}, counts)
    return tiles.groupBy(*KEY).agg(
        active_dates(within(ACTIVE_DATES_DAYS)).alias("active_dates"), *_typed(totals, contract)
    )


def lifetime(known: DataFrame, contract: Contract) -> DataFrame:
    """What longer windows add up, and the first and the last active date. One row per user and day with any tile."""
    tiles, totals = summed(known, {name: one for name, one in sums(contract).items() if not one.is_of_a_year}, counts)
    dates = [of(F.col("is_first")).alias(name) for name, (of, _) in earliest_and_latest().items()]
    return tiles.groupBy(*KEY).agg(*dates, *_typed(totals, contract))


def counts(width: int | None, since: int) -> Column:
    """How often a tile that has entered counts in a window: 1 or 0."""
    return within(width, since).cast("int")


def summed(
    tiles: DataFrame, columns: Mapping[str, Sum], times: Callable[[int | None, int], Column]
) -> tuple[DataFrame, dict[str, Column]]:
    """Tiles with how many `times` each counts in each window, asked once for all columns of it, and the columns of them."""
    names = {(one.width, one.since): f"times in {one.width} since {one.since}" for one in columns.values()}
    counted = tiles.select("*", *[times(*window).alias(name) for window, name in names.items()])
    return counted, {name: one.of(F.col(names[one.width, one.since])) for name, one in columns.items()}


def _typed(totals: Mapping[str, Column], contract: Contract) -> list[Column]:
    return [total.cast(contract.column(name).spark_type).alias(name) for name, total in totals.items()]


def active_dates(condition: Column) -> Column:
    """Dates with activity, of tiles of which a condition holds, oldest first."""
    is_active = F.col("is_first") & condition
    return F.sort_array(F.collect_set(F.when(is_active, F.col("activity_on"))))


def event_counts(known: DataFrame, windows: Sequence[int]) -> DataFrame:
    """Events by type for each window, types that did not occur left out. One row per user and day with an event."""
    by_type = (
        known.select(*KEY, "activity_on", F.explode("event_counts").alias("type", "events"))
        .groupBy(*KEY, "type")
        .agg(*[F.sum(F.when(within(w), F.col("events")).otherwise(0)).alias(f"events_{w}d") for w in windows])
    )
    return as_maps(by_type, KEY, {w: EVENT_COUNTS.format(w=w) for w in windows})


def as_maps(by_type: DataFrame, key: Sequence[str], columns: Mapping[int, str]) -> DataFrame:
    """One map by type of each window's counts, in the order of the types; those of 0 are left out. One row per key."""

    def as_map(width: int) -> Column:
        counted = F.when(F.col(f"events_{width}d") != 0, F.struct("type", f"events_{width}d"))
        return F.map_from_entries(F.sort_array(F.collect_list(counted)))

    return by_type.groupBy(*key).agg(*[as_map(w).alias(name) for w, name in columns.items()])


def distinct(items: DataFrame, contract: Contract) -> DataFrame:
    """How many different values of each column of the item tiles each window holds. One row per user and day."""
    families = list(ITEM_FAMILIES.items())
    # All columns' values in one column: they are moved, sorted into groups and joined once.
    values = [F.struct(F.lit(at).alias("at"), F.col(column).alias("value")) for at, (_, column) in enumerate(families)]
    each = items.select(*KEY, "activity_on", F.inline(F.array(*values))).where(F.col("value").isNotNull())
    last = each.groupBy(*KEY, "at", "value").agg(F.max("activity_on").alias("activity_on"))
    return last.groupBy(*KEY).agg(
        *[
            F.count_if((F.col("at") == at) & within(w)).alias(family.format(w=w))
            for at, (family, _) in enumerate(families)
            for w in contract.windows(family)
        ]
    )


def entered_items(item_tiles: DataFrame, days: DataFrame, contract: Contract) -> DataFrame:
    """Item tiles joined to each day whose windows they are in."""
    return entered(item_tiles, days, max(w for family in ITEM_FAMILIES for w in contract.windows(family)))


def registered(users: DataFrame, days: DataFrame) -> DataFrame:
    """State of each user registered by the end of each day, as it was known then."""
    states = spans(users, "user_id").withColumn("registered_on", F.to_date("registered_at"))
    return (
        states.join(days, holds_on(F.col("day")) & (F.col("registered_on") <= F.col("day")))
        .select(
            *KEY,
            "registered_on",
            F.datediff("day", "registered_on").alias("tenure_days"),
            "country",
            "channel",
            F.coalesce("attributes", F.create_map().cast("map<string,string>")).alias("attributes"),
        )
        .repartition("user_id")
    )


def filled(features: DataFrame, contract: Contract) -> DataFrame:
    """What the contract says of a user of whom nothing is known, where nothing was counted."""

    def nothing(column: contracts.Column) -> Column:
        return (F.create_map() if column.empty == {} else F.lit(column.empty)).cast(column.spark_type)

    counted = [c for c in contract.columns if c.empty is not None and c.name in features.columns]
    return features.withColumns({c.name: F.coalesce(c.name, nothing(c)) for c in counted})


def derived(features: DataFrame, squares: Column | None = None) -> DataFrame:
    """What follows from other features; `squares` are those of `squared_gaps`, where they are known already."""
    return features.withColumns(rhythm(squares)).withColumns(
        {
            "current_gap_ratio": F.col("recency_days") / F.col("gap_mean_days"),
            "active_days_change_28d": F.col("active_days_28d") - F.col("active_days_prior_28d"),
            "sale_amount_change_28d": F.col("sale_amount_28d") - F.col("sale_amount_prior_28d"),
        }
    )


def gaps_between(dates: Column) -> tuple[Column, Column]:
    """How many gaps there are between dates in order, and their sum in days; null where there are none."""
    count = F.size(dates) - 1
    return count, F.datediff(F.get(dates, count), F.get(dates, F.lit(0))).cast("bigint")


def squared_gaps(dates: Column) -> Column:
    """The sum of the squares of the gaps between dates in order."""
    gaps = F.transform(F.slice(dates, 2, F.size(dates)), lambda on, before: F.datediff(on, F.get(dates, before)))
    return F.aggregate(gaps, F.lit(0).cast("bigint"), lambda so_far, gap: so_far + gap * gap)


def rhythm(squares: Column | None = None) -> dict[str, Column]:
    """
    Recency and gaps, from the active dates.

    Count, sum and sum of squares of the gaps are whole numbers, so two ways to the same dates agree to the bit.
    """
    dates = F.col("active_dates")
    count, total = gaps_between(dates)
    squares = squared_gaps(dates) if squares is None else squares
    # n Σg² - (Σg)² is n² times the variance.
    spread = F.sqrt(count * squares - total * total) / count
    lived = F.datediff("last_active_on", "first_active_on")
    return {
        "recency_days": F.datediff("day", "last_active_on"),
        "gap_mean_days": F.when(count > 0, total / count),
        "gap_spread_days": F.when(count > 0, spread),
        "gap_mean_ever_days": F.when(F.col("active_days_ever") > 1, lived / (F.col("active_days_ever") - 1)),
    }


def inputs(spark: SparkSession, days: Days) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame, DataFrame]:
    """What `user` takes for some days, read from no more partitions than their windows need."""
    first = {name: window[0] for name, window in lineage.graph().windows(TABLE, days.first).items()}
    tiles = read_between(spark, "features.user_day", days.first - timedelta(YEAR), days.last)
    history = read_between(spark, "features.user_day", None, days.last).select(*HISTORY)
    item_tiles = read_between(spark, "features.user_item_day", first["features.user_item_day"], days.last)
    asked = spark.createDataFrame([(day,) for day in days], "day date")
    return read_between(spark, "raw.users", None, days.last), tiles, history, item_tiles, asked


def defined(spark: SparkSession, days: Days) -> DataFrame:
    """Features of some days by their definition."""
    return user(*inputs(spark, days))


def inputs_of(days: Days) -> Inputs:
    """What each of some days is stale by: the same for both ways to them."""
    return {day: lineage.graph().windows(TABLE, day) for day in days}


def release(spark: SparkSession, days: Days, run_id: str, rows: DataFrame, known: Known | None = None) -> Release:
    """Replace some days. `known` is the state of their inputs, where it was asked for before the rows were decided on."""
    from spark_jobs.features.day_before import definition

    return replace_days(spark, TABLE, rows, days, run_id=run_id, inputs=inputs_of(days), known=known, says=definition())


def main(spark: SparkSession, days: Days, run_id: str) -> Release:
    """Build the features of some days: of a single one from the day before, where that stands."""
    from spark_jobs.features import day_before

    # Before the day before is looked at: tiles of it that are released from then on make the day stale.
    known = builds.before(lineage.graph(), TABLE, inputs_of(days))
    stepped = day_before.user(spark, days.first) if len(days) == 1 else None
    return release(spark, days, run_id, defined(spark, days) if stepped is None else stepped, known)
