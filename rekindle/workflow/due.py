"""
What a history needs: which days of which tables, which deliveries came again, which days are scored.

Answered from the records and the landing zone, without looking into a table.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import records
from rekindle.days import Days
from rekindle.landing.zone import LandingZone, no_delivery
from rekindle.settings import settings
from rekindle.warehouse import builds, contracts, lineage
from rekindle.warehouse.builds import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from rekindle.landing.delivery import Delivery
    from rekindle.publishing import ScoreProduct
    from rekindle.records import Build

RECENT_DAYS = 10
"""Days at the end of a history that get features each: a check of moves needs the week before the first daily run."""


def stale_partitions() -> dict[str, list[date]]:
    """Partitions that were built from deliveries or tables that have changed since, by table in build order."""
    return dict(builds.state(lineage.graph()).stale)


def inputs_expired() -> dict[str, list[date]]:
    """Partitions that are stale, and not built again: what they were built from was deleted for its age."""
    return dict(builds.state(lineage.graph()).inputs_expired)


def built_days() -> dict[str, list[date]]:
    """The days that each table has which Spark jobs build from deliveries."""
    return {table: list(records.builds(table, *ALWAYS)) for table in lineage.graph().written_by("build")}


def redelivered(zone: LandingZone | None = None) -> dict[str, list[date]]:
    """
    Deliveries in the landing zone that differ from what was ingested of them, or came after it was looked for.

    What `zone` has looked at for it, whoever loads them need not read again.
    """
    zone = zone or LandingZone()
    # Every source is looked for on the days that something was built, also one that had delivered nothing then.
    looked_at = {day for days in built_days().values() for day in days}
    found = {}
    for source in contracts.landing_sources():
        contract = contracts.landing_contract(source)
        built = records.builds(contract.table, *ALWAYS)
        looked_for = {*looked_at, *built}
        days = [day for day in zone.days_of(source) if day in looked_for]
        if not days:
            continue
        changed = [d.day for d in zone.deliveries(contract, Days(tuple(days))) if not _is_loaded(d, built.get(d.day))]
        if changed:
            found[source] = changed
    return found


def is_loaded(zone: LandingZone, source: str, day: date) -> bool:
    """Whether what a source has delivered of a day, or has not, is what was loaded of it."""
    contract = contracts.landing_contract(source)
    built = records.builds(contract.table, day, day).get(day)
    delivered = zone.deliveries(contract, Days.one(day))
    return all(_is_loaded(one, built) for one in delivered) if delivered else built is None


def _is_loaded(delivery: Delivery, built: Build | None) -> bool:
    return built is not None and built.build_id.endswith(delivery.content_digest)


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
        if first and (holes := [day for day in days if day >= first and day not in delivered]):
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
        if changes and build.built_at is not None and changes[-1].promoted_at > build.built_at:
            return False
    return True


def weekly_days(days: Days) -> list[date]:
    """The days of a range that training samples are taken from."""
    return [day for day in days if day.weekday() == settings().training_weekday_number]


def wanted(days: Days, scored: Iterable[date]) -> dict[str, Days]:
    """
    The days of a history that each table is wanted of: every one, or the weekly, the last ten and those to be scored.

    Of what daily runs alone have use for there is none.
    """
    recent = [day for day in days if day > days.last - timedelta(RECENT_DAYS)]
    some = Days((*weekly_days(days), *recent, *scored))
    of_kind = {"every": days, "weekly": some}
    return {table.name: of_kind[table.days] for table in _before_scores() if table.days in of_kind}


def wanted_again(days: Days) -> dict[str, Days]:
    """What a rebuild of a history that was built before is to consist of: of tables of some days those that there are."""
    found = {
        t.name: days.all if t.days == "every" else tuple(records.builds(t.name, *ALWAYS)) for t in _before_scores()
    }
    return {table: Days(there) for table, there in found.items() if there}


def _before_scores() -> list[lineage.Table]:
    """The tables that are built from deliveries alone, and not by ingestion itself."""
    graph = lineage.graph()
    made = {name for step in graph.steps({}) if step.kind != "ingest" for name in step.tables}
    return [graph.tables[name] for name in graph.order if name in made]
