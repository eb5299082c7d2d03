"""How rows of schema `rekindle` are read and written, whatever they say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from rekindle.postgres import transact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.postgres import Connection

T = TypeVar("T")

OF_RUN_AND_DAY = "(%(run_id)s::text is null or run_id = %(run_id)s) and (%(day)s::date is null or day = %(day)s)"

SAME_AGAIN = "on conflict do nothing"
"""A row that is there already was added by an attempt whose answer got lost."""


def select(row: type[T], source: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[T]:
    columns = ", ".join(row.__dataclass_fields__)  # type: ignore[attr-defined]

    def work(connection: Connection) -> list[T]:
        with connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(f"select {columns} from {source}", parameters).fetchall()

    return transact(work)


def insert_many(connection: Connection, into: str, rows: Sequence[Sequence[Any]], *, again: str = "") -> None:
    marks = ", ".join(["%s"] * (into.count(",") + 1))
    with connection.cursor() as cursor:
        cursor.executemany(f"insert into {into} values ({marks}) {again}", rows)


def text_of(text: str) -> str:
    """Postgres' text holds anything but NUL."""
    return text.replace("\x00", "\ufffd")


def jsonb_of(value: Any) -> Jsonb:
    return Jsonb(_plain(value), dumps=lambda plain: json.dumps(plain, allow_nan=False, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Turn what a check may find (dates, decimals, NaN, NUL in an id) into what jsonb can hold."""
    if isinstance(value, Mapping):
        return {text_of(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return text_of(str(value))
