"""What is answered, and why something is not: everything in the same form."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoAnswerError(Exception):
    """Why something is not answered, for whoever asked."""

    def __init__(self, status: int, code: str, what: str, todo: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.what, self.todo, self.headers = status, code, what, todo, headers or {}


def answer(told: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    text = json.dumps(told, default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(text.encode(), status, dict(headers or {}), "application/json")


def problem(error: NoAnswerError) -> Response:
    """Return the answer that says why there is none."""
    told = {"code": error.code, "what": error.what, "todo": error.todo}
    return answer({"error": told}, error.status, error.headers)


def _plain(value: object) -> str | float:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
