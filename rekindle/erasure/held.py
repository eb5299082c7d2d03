"""What is held on a person: every row of every table that names them, as one JSON text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from rekindle.erasure import people, personal, warehouse
from rekindle.landing import tombstones
from rekindle.postgres import transact
from rekindle.publishing import answers, bids, recommended
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from rekindle.erasure.people import People
    from rekindle.postgres import Connection


def held(spark: SparkSession, user_id: str) -> dict[str, Any]:
    """
    Return what is held on a user, by table, and whether they were erased.

    Quarantine is looked through for their id and phones, so that a row there may be about somebody whose id contains theirs.
    """
    wanted = user_id.strip(tombstones.BLANKS)
    holdings = personal.in_warehouse(spark)
    found = people.find(spark, holdings, [wanted], tombstones.key(), people.People(frozenset()))
    found.show(spark)
    tables: dict[str, list[dict[str, Any]]] = {}
    for holding in holdings:
        conditions = [warehouse.condition(holding), *map(warehouse.quotes, warehouse.texts_to_blank(holding))]
        if where := " or ".join(f"({one})" for one in conditions if one):
            rows = spark.table(f"{CATALOG}.{holding.table}").where(where).toArrow().to_pylist()
            tables[holding.table] = rows
    tables |= transact(lambda connection: _in_postgres(connection, found))
    erased = tombstones.of_user(wanted) in tombstones.standing()
    return {"user_id": wanted, "is_erased": erased, "tables": {table: rows for table, rows in tables.items() if rows}}


def as_text(told: dict[str, Any]) -> str:
    """Write what is held as JSON that people can read."""
    return json.dumps(told, default=str, ensure_ascii=False, indent=1) + "\n"


def _in_postgres(connection: Connection, found: People) -> dict[str, list[dict[str, Any]]]:
    tables = {}
    for holding in (*personal.in_postgres(connection), *personal.in_postgres(connection, "sms")):
        conditions = [f"{name} = any(%(ids)s)" for name in holding.of("id")]
        if not conditions:
            conditions = [f"{name} = any(%(hmacs)s)" for name in holding.of("phone") if people.is_hmac(name)]
        if conditions:
            rows = connection.cursor(row_factory=dict_row).execute(
                f"select * from {holding.table} where {' or '.join(conditions)}",
                {"ids": sorted(found.user_ids), "hmacs": sorted(found.phone_hmacs)},
            )
            tables[holding.table] = rows.fetchall()
    return tables | {
        answers.INPUTS: answers.of_users(connection, found.user_ids),
        recommended.TABLE: recommended.of_users(connection, found.user_ids),
        bids.TABLE: bids.of_users(connection, found.user_ids),
    }
