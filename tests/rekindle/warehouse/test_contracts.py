"""Contracts: read from YAML, refused where they say something that nobody reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from rekindle.errors import InputError
from rekindle.settings import settings
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from pathlib import Path

RATINGS = """
table: drafts.ratings
is: What users' visits are worth.
owner: crm-data
key: [day, user_id]
partition: day
columns:
  day: shared
  user_id: shared
  stars: {type: double, between: [0, 5], is: "It's what they gave."}
"""


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Write a contract into a folder that is read instead of the project's."""
    (tmp_path / "shared.yml").write_text((contracts.FOLDER / "shared.yml").read_text())
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    forget()

    def written(text: str) -> contracts.Contract:
        (tmp_path / "drafts.ratings.yml").write_text(text)
        contracts.load.cache_clear()
        return contracts.load("drafts.ratings")

    yield written
    forget()


def forget() -> None:
    for cached in (contracts.tables, contracts.landing_sources, contracts.load):
        cached.cache_clear()


@pytest.mark.parametrize("table", contracts.tables())
def test_a_contract_says_what_its_table_is(table: str):
    """Key and partition are columns that are never null, and each column says what it is."""
    contract = contracts.load(table)

    assert contract.table == table
    assert contract.description
    assert contract.owner
    assert "day" in contract.key
    assert not [name for name in (*contract.key, *contract.partition) if contract.column(name).nullable]
    assert all(column.description.endswith((".", "?")) for column in contract.columns)


@pytest.mark.parametrize("table", contracts.tables())
def test_checks_name_columns_that_exist(table: str):
    contract = contracts.load(table)
    named = {
        name
        for conditions in (contract.stop_if, contract.warn_if)
        for condition in ("constant", "null_share", "mean_moves_by", "sums_differ")
        for name in conditions.get(condition, ())
    }

    assert named <= set(contract.names)


@pytest.mark.parametrize("table", contracts.tables())
def test_a_contract_says_what_is_personal(table: str):
    """From that alone it is masked: who adds a table with people in it says so."""
    columns = contracts.load(table).columns
    names = {"user_id", "phone", "text", "email", "address", "id_hash"}
    about_people = [c for c in columns if c.name in names or c.of_phone]

    assert [column.name for column in about_people if column.personal is None] == []


def test_phones_stand_as_they_are_in_one_table():
    columns = [(table, column) for table in contracts.tables() for column in contracts.load(table).columns]

    assert [t for t, column in columns if column.personal == "phone" and not column.of_phone] == ["raw.contacts"]


def test_a_way_of_being_personal_that_nobody_knows_is_refused(write):
    with pytest.raises(InputError, match="user_id is personal in a way that nobody knows: rather"):
        write(RATINGS.replace("  user_id: shared", "  user_id: {type: id, personal: rather, is: The user.}"))


def test_a_create_table_has_all_that_the_contract_says(write):
    assert write(RATINGS).create_table() == (
        "CREATE TABLE IF NOT EXISTS drafts.ratings (\n"
        "  `day` date COMMENT 'UTC day whose delivery is processed; the partition.',\n"
        "  `user_id` string COMMENT 'The user.',\n"
        "  `stars` double COMMENT 'It\\'s what they gave.'\n"
        ") USING iceberg\n"
        "PARTITIONED BY (day)\n"
        "COMMENT 'What users\\' visits are worth.'\n"
        "TBLPROPERTIES ('rekindle.owner' = 'crm-data', 'write.wap.enabled' = 'true', "
        "'write.metadata.metrics.column.user_id' = 'none')"
    )


def test_a_shared_column_is_the_same_everywhere():
    users = {
        contracts.load(table).column("user_id")
        for table in contracts.tables()
        if "user_id" in contracts.load(table).names
    }

    assert len(users) == 1


@pytest.mark.parametrize(
    ("right", "misspelt"),
    [
        ("owner: crm-data", "owner: crm-data\nstop_when: {}"),
        ("between: [0, 5]", "betwen: [0, 5]"),
        ("owner: crm-data", "owner: crm-data\nstop_if: {rows_changes_by: 0.4}"),
    ],
)
def test_a_key_that_nobody_reads_is_refused(write, right: str, misspelt: str):
    """A check that is misspelt must not be no check."""
    assert write(RATINGS)

    with pytest.raises(InputError, match="which nothing reads"):
        write(RATINGS.replace(right, misspelt))


def test_an_unknown_table_is_answered_with_those_that_exist():
    with pytest.raises(InputError, match=r"There is no table 'raw.order'.*raw\.orders"):
        contracts.load("raw.order")


def test_users_are_the_first_source():
    """Rows of other sources are looked up in them."""
    assert contracts.landing_sources() == (
        *("users", "blocked_items", "contacts", "devices", "items", "messages"),
        *("ad_exposures", "consents", "events", "orders", "replies"),
    )


def test_an_unknown_source_is_answered_with_those_that_exist():
    with pytest.raises(InputError, match=r"There is no landing source 'order'.*users, .*contacts, .*orders, replies"):
        contracts.landing_contract("order")


def test_files_hold_neither_the_day_nor_what_is_derived():
    names = [column.name for column in contracts.landing_contract("events").delivered]

    assert names[:3] == ["event_id", "user_id", "occurred_at"]
    assert not {"day", "occurred_on"} & set(names)


def test_the_currency_is_that_of_the_deployment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REKINDLE_CURRENCY", "EUR")
    settings.cache_clear()
    forget()
    try:
        assert contracts.load("raw.orders").column("currency").one_of == ("EUR",)
    finally:
        monkeypatch.undo()
        settings.cache_clear()
        forget()


def test_identity_is_the_key_without_the_day():
    assert contracts.load("raw.orders").identity == ("order_id", "line_id", "kind", "occurred_on")


@pytest.mark.parametrize("source", ["devices", "ad_exposures"])
def test_an_advertising_id_in_the_place_of_its_hash_is_neither_loaded_nor_shown(source: str):
    """It is of the wrong format, and quarantine masks what is personal of a confidential source."""
    contract = contracts.landing_contract(source)
    column = contract.column("id_hash")

    assert contract.is_confidential
    assert column.personal == "device"
    assert column.matches is not None
    assert re.search(column.matches, "38400000-8cf0-11bd-b23e-10b96e40000d") is None
    assert re.search(column.matches, "a" * 64)
