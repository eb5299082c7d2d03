"""
Forms of an export: how rows become lines of a file.

- `csv` is for tools that import files, and for spreadsheets: one row a line, text neutralised.
- `braze` is what Braze's Cloud Data Ingestion takes: one JSON object a line with updated_at, external_id and payload, which
  is itself JSON in a text (braze.com/docs, "File storage integrations").
- `braze-users` is what its endpoint /users/track takes: each line is the body of one request, of at most 75 users
  (braze.com/docs, "Create and update users").
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rekindle.spreadsheets import neutral, neutral_phone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

USERS_A_REQUEST = 75
"""More objects in one request to /users/track are refused."""

PHONE = "phone_e164"
CHANGED_AT = "changed_at"
"""When a row has changed, as the export follows it: `updated_at`, or `content_updated_at`."""

PERMITTED = "may_be_texted"
"""Whether the user may be texted at the moment of the export."""


@dataclass(frozen=True)
class Form:
    """A form of export: its files' suffix, whether it follows changes or holds who may be texted now, and how it is written."""

    suffix: str
    is_of_changes: bool
    lines: Callable[[Sequence[str], Iterable[Row]], Iterator[str]]
    """Columns and rows to lines."""


def csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """
    Head and rows as CSV, all cells quoted: a semicolon in a text divides no cell, wherever semicolons divide cells.

    Times are in UTC, ISO 8601.
    """
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line([_cell(name, row[name]) for name in columns])


def braze_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """One object a user; the payload is JSON in a text."""
    for row in rows:
        line = {"updated_at": _plain(row[CHANGED_AT]), "external_id": row["user_id"]}
        yield json.dumps({**line, "payload": json.dumps(_attributes(columns, row))}) + "\n"


def braze_users_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Bodies of requests, of 75 users each and the last of what is left."""
    users = ({"external_id": row["user_id"], **_attributes(columns, row)} for row in rows)
    while batch := list(islice(users, USERS_A_REQUEST)):
        yield json.dumps({"attributes": batch}) + "\n"


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "braze": Form("jsonl", is_of_changes=True, lines=braze_lines),
        "braze-users": Form("jsonl", is_of_changes=True, lines=braze_users_lines),
        "csv": Form("csv", is_of_changes=False, lines=csv_lines),
    }
)


def _attributes(columns: Sequence[str], row: Row) -> dict[str, Any]:
    """
    Attributes of a profile in Braze. A null takes an attribute away there, so what is over is over.

    A phone is only ever set: where there is none, whatever number Braze has from elsewhere is not ours to take away.
    """
    own = {name: _plain(row[name]) for name in columns if name != PHONE}
    phone = row.get(PHONE)
    return {**own, "phone": phone} if phone is not None else own


def _plain(value: Any) -> Any:
    """A value as JSON has it: money and chances are numbers, times are texts in UTC."""
    if isinstance(value, Decimal):
        return float(value)
    return _text_of_time(value) if isinstance(value, date) else value


def _text_of_time(value: date) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value.isoformat()


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, date):
        return _text_of_time(value)
    return neutral_phone(value) if name == PHONE else neutral(value)


def _csv_line(cells: Sequence[Any]) -> str:
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return text.getvalue()
