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
from rekindle.deliveries import LandingZone
from rekindle.settings import settings

if TYPE_CHECKING:
    from datetime import date

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
    """Deliveries in the landing zone that differ from what was ingested of them, by source."""
    zone = LandingZone()
    found = {}
    for source in contracts.landing_sources():
        contract = contracts.landing_contract(source)
        built = records.builds(contract.table, *tables.ALWAYS)
        if not built:
            continue
        # A delivery that arrived for a day in the middle of what was ingested counts too: something looked for it.
        days = [day for day in zone.days_of(source) if min(built) <= day <= max(built)]
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
