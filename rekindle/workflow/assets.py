"""
Airflow Assets of what is published, so that DAGs of others can be scheduled on it.

The task that publishes offers an alias for each publication, and adds the asset itself once a table was renewed: an asset that is
an outlet would have an event whenever the task succeeds, also where a backfill wrote history only, and where a product has no
scores yet. And an outlet that is an asset fails the task where Airflow has not activated it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from rekindle.publishing import publications

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def outlets() -> list[AssetAlias]:
    """An alias for each publication, called as its asset is."""
    return [AssetAlias(uri_of(publication.table)) for publication in publications.declared()]


def uri_of(table: str) -> str:
    """Name and address of the asset of a published table: no host and no database, which are configuration."""
    return f"rekindle://sms/{table}"


def announce(outlet_events: Any, renewed: Iterable[Mapping[str, Any]], run_id: str) -> None:
    """Add an event for each table that was renewed: which day it is about now, its rows, and our id of the run."""
    for row in renewed:
        uri = uri_of(row["table_name"])
        extra = {"day": str(row["day"]), "rows": row["row_count"], "run_id": run_id}
        outlet_events[AssetAlias(uri)].add(Asset(uri), extra=extra)
