"""Time zones of addresses."""

from __future__ import annotations

from rekindle.permission import places


def test_a_country_has_the_zones_of_the_time_zone_database():
    assert places.zones_by_country()["DE"] == "Europe/Berlin|Europe/Busingen"
    assert len(places.zones_by_country()) > 240


def test_each_zone_of_a_country_is_one():
    named = {zone for names in places.zones_by_country().values() for zone in names.split("|")}

    assert named <= set(places.zones())
    assert not {"Factory", "localtime"} & set(places.zones())
