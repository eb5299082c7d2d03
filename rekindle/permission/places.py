"""Time zones: which there are, and which an address in a country may be in, by the IANA time zone database."""

from __future__ import annotations

import zoneinfo
from functools import cache
from importlib import resources

NO_PLACES = {"Factory", "localtime", "posixrules"}
"""Names in the database that are no zone of anybody."""


@cache
def zones() -> tuple[str, ...]:
    """Names of all time zones, sorted."""
    return tuple(sorted(zoneinfo.available_timezones() - NO_PLACES))


@cache
def zones_by_country() -> dict[str, str]:
    """The zones of each country (ISO 3166), sorted, with | between."""
    found: dict[str, list[str]] = {}
    table = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found.setdefault(country, []).append(zone)
    return {country: "|".join(sorted(names)) for country, names in sorted(found.items())}
