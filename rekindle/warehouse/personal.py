"""
Which columns of a table are about a person, and how.

Contracts say it of the tables that they describe (`personal: id`), ymls of marts (`meta: {personal: id}`). A column that is named
like one that is an id or a phone everywhere is one wherever it stands, also in a table that nobody declares: whoever forgets
to say so does not thereby keep somebody.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rekindle import yml
from rekindle.warehouse import contracts, dbt, lineage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rekindle.warehouse.contracts import Personal

BY_NAME: Mapping[str, Personal] = {"user_id": "id", "phone": "phone", "phone_hmac": "phone", "phone_e164": "phone"}
"""Of columns that no declaration calls personal."""


def columns_of(table: str, names: Iterable[str]) -> dict[str, Personal]:
    """Return which of a table's columns are personal, by kind."""
    said = _declared(table)
    kinds = {name: said.get(name) or by_name(name) for name in names}
    return {name: kind for name, kind in kinds.items() if kind}


def by_name(column: str) -> Personal | None:
    """How a column is personal because of its name."""
    return _shared().get(column) or BY_NAME.get(column)


@cache
def _shared() -> Mapping[str, Personal]:
    """Columns that mean the same wherever they appear."""
    shared = yml.read(contracts.FOLDER / "shared.yml")
    return {name: spec["personal"] for name, spec in shared.items() if "personal" in spec}


def _declared(table: str) -> Mapping[str, Personal]:
    if table in contracts.tables():
        return {c.name: c.personal for c in contracts.load(table).columns if c.personal}
    if table not in lineage.graph().tables:
        return {}
    found = {}
    described: dict[str, Any] = dict(dbt.columns(table))
    for name, column in described.items():
        meta = (column.get("config") or {}).get("meta") or column.get("meta") or {}
        if "personal" in meta:
            found[name] = meta["personal"]
    return found
