"""
Whether all that permission is made of was there on a day: else nobody is permitted anew, and who was may stay so.

Answered from the landing zone and the records, without looking into a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle import records
from rekindle.landing.zone import LandingZone
from rekindle.warehouse import builds, contracts, lineage
from rekindle.warehouse.builds import ALWAYS

if TYPE_CHECKING:
    from datetime import date

TABLES = ("permission.numbers", "permission.opt_outs", "marts.permission", "marts.recent_assignments")
"""What is made of the sources, in the order in which it is."""


def why_no_new_permission(day: date, zone: LandingZone | None = None) -> str | None:
    """
    Say why the marts of a day may permit nobody anew; None where all that was ever delivered of it was delivered that day,
    loaded, and the marts are made of it.

    A source that has never delivered is not missed; a landing zone that has been emptied since is no excuse.
    """
    zone = zone or LandingZone()
    begun = [source for source in contracts.permission_sources() if _has_begun(zone, source, day)]
    if missing := [source for source in begun if day not in records.builds(f"raw.{source}", day, day)]:
        return f"{' and '.join(missing)} of {day} {'is' if len(missing) == 1 else 'are'} not loaded"
    known = builds.Known(lineage.graph(), {})
    outdated = [table for table in TABLES if begun and not _is_made_of_what_is_there(known, table, day)]
    return f"{outdated[0]} of {day} is not made of what was delivered" if outdated else None


def _has_begun(zone: LandingZone, source: str, day: date) -> bool:
    return zone.has_begun(source, day) or bool(records.builds(f"raw.{source}", ALWAYS[0], day))


def _is_made_of_what_is_there(known: builds.Known, table: str, day: date) -> bool:
    """Whether a day of a table was built, and so of all that it is built from, of what these are now."""
    build = records.builds(table, day, day).get(day)
    if build is None:
        return False
    return all(
        known.fingerprint(name, used.from_day, used.to_day) == used.fingerprint for name, used in build.inputs.items()
    )
