"""Sources that are tables, as conf declares them: what nobody could follow is refused by name, and no secret is quoted."""

from __future__ import annotations

import json
from datetime import date

import pytest

from rekindle.errors import InputError
from rekindle.landing.declared import Declared, declared
from rekindle.landing.zone import LandingZone
from rekindle.settings import settings

DAY = date(2024, 3, 1)
SECRET = "hunter2-correct-horse"  # noqa: S105 - of nobody
ICEBERG = {"iceberg": "lake.sales.orders", "delivered": "snapshots", "occurred_at": "ordered_at"}
JDBC = {"jdbc": "jdbc:postgresql://db:5432/shop", "table": "public.orders", "delivered": "loaded_at"}


def orders(**spec: object) -> Declared:
    return declared({"orders": spec})["orders"]


def test_a_table_is_named_with_the_columns_that_are_called_otherwise():
    found = orders(**ICEBERG)

    assert (found.table, found.delivered, dict(found.columns)) == (
        "lake.sales.orders",
        "snapshots",
        {"occurred_at": "ordered_at"},
    )
    assert found.database is None


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@db:5432/shop?sslmode=require",
        f"postgres://ann:{SECRET}@db:5432/shop?sslmode=require",
        f"jdbc:postgresql://db:5432/shop?user=ann&password={SECRET}&sslmode=require",
    ],
)
def test_the_url_of_a_database_may_be_a_variables_and_is_shown_without_its_secret(monkeypatch, url):
    monkeypatch.setenv("SHOP_URL", url)

    database = orders(**(JDBC | {"jdbc": "SHOP_URL"})).database

    assert database is not None
    assert (database.url, database.user) == ("jdbc:postgresql://db:5432/shop?sslmode=require", "ann")
    assert database.password == SECRET
    assert SECRET not in repr(database)


def test_the_password_may_be_a_variables_beside_a_url(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)

    database = orders(**JDBC, user="ann", password="SHOP_PASSWORD").database  # noqa: S106 - a name

    assert database is not None
    assert (database.url, database.user, database.password) == ("jdbc:postgresql://db:5432/shop", "ann", SECRET)


@pytest.mark.parametrize(
    "spec",
    [
        JDBC | {"jdbc": f"postgresql://ann:{SECRET}@db/shop"},
        JDBC | {"jdbc": f"jdbc:postgresql://db/shop?password={SECRET}"},
        JDBC | {"password": SECRET},
    ],
)
def test_a_secret_in_conf_is_refused_and_not_repeated(spec):
    with pytest.raises(InputError, match=r"secret_in_conf.*orders") as refused:
        orders(**spec)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"iceberg": "lake.sales.orders"}, "orders does not say by what a row of lake.sales.orders arrives"),
        (JDBC | {"delivered": "snapshots"}, "orders does not say by what a row"),
        (ICEBERG | JDBC, "orders names no table, or two"),
        ({"delivered": "snapshots"}, "orders names no table, or two"),
        ({"jdbc": "jdbc:postgresql://db/shop", "delivered": "at"}, "orders names a database and no table"),
        (ICEBERG | {"occured_at": "x"}, "'occured_at'.* Did you mean 'occurred_at'"),
        (ICEBERG | {"ready": "select true"}, "ready query of orders asks for no day"),
        (ICEBERG | {"closes_after_hours": 24}, "closes_after_hours: 24"),
        (JDBC | {"jdbc": "NOWHERE_SET"}, "orders needs the environment variable NOWHERE_SET"),
    ],
)
def test_what_nobody_could_follow_is_refused_by_name(spec, match):
    with pytest.raises(InputError, match=f"source_misdeclared: .*{match}"):
        orders(**spec)


def test_only_sources_can_be_declared():
    with pytest.raises(InputError, match="no landing source 'order'"):
        declared({"order": ICEBERG})


def test_what_is_read_is_another_when_its_declaration_is():
    """Then the day is loaded again; who else says that it is complete changes nothing."""
    assert orders(**ICEBERG).digest(1, 2) == orders(**ICEBERG, ready="select '{day}'").digest(1, 2)
    assert orders(**ICEBERG).digest(1, 2) != orders(**(ICEBERG | {"occurred_at": "shipped_at"})).digest(1, 2)
    assert orders(**ICEBERG).digest(1, 2) != orders(**ICEBERG).digest(1, 3)


def test_the_environment_overrides_what_conf_declares(monkeypatch):
    assert not LandingZone().asks_spark
    monkeypatch.setenv("REKINDLE_SOURCES", json.dumps({"orders": ICEBERG}))
    settings.cache_clear()
    try:
        assert LandingZone().asks_spark
        assert str(LandingZone().folder("users", DAY)).endswith("users/day=2024-03-01")
        assert LandingZone().folder("orders", DAY) == "lake.sales.orders/day=2024-03-01"
        assert LandingZone().sign("orders", DAY) == ("a snapshot of lake.sales.orders of 2024-03-02 00:00 or later")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
