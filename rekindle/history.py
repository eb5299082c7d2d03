"""
What is built, what is stale, and which days a history needs.

Tables are built in one order, and each partition's record says what it was built from; both questions are answered from
the records, without looking into a table.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import contracts, records, tables
from rekindle.days import Days
from rekindle.dbt import MARTS
from rekindle.deliveries import LandingZone, no_delivery
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from rekindle.publishing import ScoreProduct

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

RECENT_DAYS = 10
"""Days at the end of a history that get features each: a check of moves needs the week before the first daily run."""

FEATURES = ("features.user_day", "features.user_item_day", "features.user")


def build_order() -> tuple[str, ...]:
    """All tables whose partitions are recorded, each after what it is built from."""
    raw = tuple(f"raw.{source}" for source in contracts.landing_sources())
    scores = tuple(table for table in contracts.tables() if table.startswith("scores."))
    return (*raw, *FEATURES, *MARTS, *scores)


def stale_partitions() -> dict[str, list[date]]:
    """Partitions that were built from deliveries or tables that have changed since, by table in build order."""
    return tables.stale(build_order())


def redelivered() -> dict[str, list[date]]:
    """Deliveries in the landing zone that differ from what was ingested of them, or came after it was looked for."""
    zone = LandingZone()
    # Every source is looked for on the days that have tiles, also one that had delivered nothing then.
    tiled = records.builds(FEATURES[0], *tables.ALWAYS)
    found = {}
    for source in contracts.landing_sources():
        contract = contracts.landing_contract(source)
        built = records.builds(contract.table, *tables.ALWAYS)
        looked_for = {*tiled, *built}
        days = [day for day in zone.days_of(source) if day in looked_for]
        if not days:
            continue
        changed = [
            d.day
            for d in zone.deliveries(contract, Days(tuple(days)))
            if d.day not in built or not built[d.day].build_id.endswith(d.content_digest)
        ]
        if changed:
            found[source] = changed
    return found


def absent(zone: LandingZone, days: Days) -> dict[str, list[date]]:
    """
    Days of a range on which a source was expected and has no complete delivery, by source.

    A history may have such holes: what was built without a delivery is stale when it arrives. Raises InputError
    `no_delivery` where nothing at all was delivered, or never anything of a source that is required.
    """
    expected = zone.expected(days.last)
    if never := [source for source in expected if not zone.has_begun(source, days.last)]:
        raise no_delivery(zone, days.last, never)
    found, is_empty = {}, True
    for source in expected:
        first = zone.first_day(source)
        delivered = {delivery.day for delivery in zone.deliveries(contracts.landing_contract(source), days)}
        is_empty = is_empty and not delivered
        if holes := [day for day in days if day >= first and day not in delivered]:
            found[source] = holes
    if is_empty:
        raise no_delivery(zone, days.last, expected)
    return found


def is_scored(day: date, products: Iterable[ScoreProduct], stale: Mapping[str, list[date]]) -> bool:
    """Whether runs that ended have scored a day for all of the products, from what still stands."""
    ended = {run.run_id for run in records.runs(day) if run.status == "done"}
    for product in products:
        build = records.builds(product.table, day, day).get(day)
        if build is None or build.run_id not in ended or day in stale.get(product.table, ()):
            return False
        changes = [p for p in records.promotions(product.name) if p.effective_from_day <= day]
        # A rollback concerns days that are scored: it says that their champion should not have been.
        if changes and changes[-1].promoted_at > build.built_at:
            return False
    return True


def weekly_days(days: Days) -> list[date]:
    """The days of a range that training samples are taken from."""
    weekday = WEEKDAYS.index(settings().training_weekday)
    return [day for day in days if day.weekday() == weekday]


def feature_days(days: Days, scored: set[date]) -> Days:
    """The days of a history that get features: the weekly ones, the last ten, and those that are to be scored."""
    recent = [day for day in days if day > days.last - timedelta(RECENT_DAYS)]
    return Days(tuple({*weekly_days(days), *recent, *scored}))


def unbuilt(table: str, days: Days) -> Days | None:
    """Those of the days that have no partition yet, or a stale one; None if there are none."""
    built = records.builds(table, days.first, days.last)
    outdated = set(stale_partitions().get(table, ()))
    todo = tuple(day for day in days if day not in built or day in outdated)
    return Days(todo) if todo else None
