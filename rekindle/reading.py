"""
For notebooks and scripts: what was published, and what models see, as Arrow tables.

    from rekindle import features, scores

    recall = scores("recall", "2017-12-31")  # a row per user that was scored
    known = features("2017-12-31", columns=["orders_90d"], users=recall["user_id"].to_pylist())
    recall.to_pandas().merge(known.to_pandas(), on=["day", "user_id"])

They read and change nothing. They find their servers as the command line does: by the environment, else those of the local
platform. A table comes whole into memory: name columns, or users, where a day is larger than that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    import pyarrow as pa

    from rekindle.errors import InputError
    from rekindle.warehouse.contracts import Contract


def scores(product: str, day: date | str, users: Collection[str] | None = None) -> pa.Table:
    """
    Return what was published of a score product for a day, from Postgres: a row per user, or only those of `users`.

    The columns are those of `sms.<product>_scores_history`; a user who was not scored has no row. Raises InputError as
    `rekindle scores` does: for a product that there is not, and `not_published` for a day that was not published.
    """
    from rekindle.publishing import history

    of_day, publication = _day(day), history.product_publication(product)
    _refuse_users(publication.key, product, users)
    _attach("REKINDLE_DATABASE_URL")
    return history.history_table(publication, of_day, users)


def features(
    day: date | str,
    table: str = "features.user",
    columns: Sequence[str] | None = None,
    users: Collection[str] | None = None,
) -> pa.Table:
    """
    Return a day of a table of features, from Iceberg through Spark: what was known at the end of the day.

    A row per user, or what else is the table's key, which is always among the columns. The contract of the table says what
    each column is. Raises InputError for a table or a column that there is not, and `no_rows` for a day that was not built.
    """
    from rekindle.days import Days
    from rekindle.warehouse import contracts, spark, tables

    of_day = _day(day)
    contract = _features_contract(contracts.tables(), table)
    wanted = _columns(contract, columns)
    _refuse_users(contract.key, table, users)
    _attach("REKINDLE_DATABASE_URL", "SPARK_REMOTE")
    if not _is_built(table, of_day):
        raise _never_built(table, of_day)
    session = spark.session()
    rows = tables.read_days(session, table, Days.one(of_day))
    if users is not None:
        import pyarrow as pa

        named = session.createDataFrame(pa.table({"user_id": pa.array(list(users), pa.string())}))
        rows = rows.join(named.distinct(), "user_id", "left_semi")
    return rows.select(*wanted).orderBy(*contract.key).toArrow()


def _day(day: date | str) -> date:
    from rekindle.days import NotADayError, parse_day
    from rekindle.errors import InputError

    try:
        return parse_day(day) if isinstance(day, str) else day
    except NotADayError as error:
        raise InputError(str(error), todo="Give a date, or a text like 2017-12-31.", code="usage") from error


def _refuse_users(key: Sequence[str], what: str, users: Collection[str] | None) -> None:
    from rekindle.errors import InputError

    if isinstance(users, str):
        raise InputError("users is one text, and would be read letter by letter.", todo="Give a list.", code="usage")
    if users is not None and "user_id" not in key:
        raise InputError(f"{what} is not about users.", todo="Ask without users.", code="usage")


def _attach(*needed: str) -> None:
    """Find the servers of the local platform, unless the environment names those that are needed."""
    if any(name not in os.environ for name in needed):
        from rekindle import platform

        platform.attach()


def _features_contract(known: Sequence[str], table: str) -> Contract:
    from rekindle.errors import InputError
    from rekindle.warehouse import contracts

    of_features = [name for name in known if name.startswith("features.")]
    if table not in of_features:
        raise InputError(f"There is no table of features {table!r}.", todo=f"Choose one of: {', '.join(of_features)}.")
    return contracts.load(table)


def _columns(contract: Contract, columns: Sequence[str] | None) -> list[str]:
    from rekindle.errors import InputError

    wanted = list(dict.fromkeys([*contract.key, *(contract.names if columns is None else columns)]))
    if unknown := [name for name in wanted if name not in contract.names]:
        raise InputError(
            f"{contract.table} has no column {', '.join(map(repr, unknown))}.",
            todo=f"contracts/{contract.table}.yml says which there are.",
        )
    return wanted


def _is_built(table: str, day: date) -> bool:
    from rekindle import records

    return day in records.builds(table, day, day)


def _never_built(table: str, day: date) -> InputError:
    from rekindle.errors import InputError

    return InputError(
        f"{table} has no rows of {day}: it was never built.",
        todo=f"Build it: rekindle backfill --from {day} --to {day}",
        safe="Nothing was changed.",
        code="no_rows",
    )
