"""
Twilio: its log of messages, as the Bulk Export API writes it (JSON lines, compressed) or the console (CSV).

Both name the fields of the Message resource, the one as REST does (date_sent), the other without underscores (SentDate); see
twilio.com/docs/usage/bulkexport/day and twilio.com/docs/messaging/api/message-resource. Twilio knows no user and no campaign.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rekindle.landing.filling.messages.files import records
from rekindle.landing.filling.messages.told import OPTED_OUT, Reply, Sent, Told, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONSOLE = MappingProxyType(
    {
        "Sid": "sid",
        "From": "from",
        "To": "to",
        "Body": "body",
        "Status": "status",
        "SentDate": "date_sent",
        "Direction": "direction",
        "ErrorCode": "error_code",
        "Price": "price",
        "PriceUnit": "price_unit",
    }
)
"""The console's names of columns, and those of REST."""


def read(path: Path, currency: str) -> Told:
    """Read an export. A price in another currency than the deployment's is left out, and counted."""
    told = Told()
    for _, record in records(path):
        _add(told, {CONSOLE.get(name, name): value for name, value in record.items()}, currency)
    return told


def _add(told: Told, row: Mapping[str, Any], currency: str) -> None:
    is_inbound = str(row.get("direction")) == "inbound"
    # A message that never left has no time of sending.
    at = next((at for name in ("date_sent", "date_created", "date_updated") if (at := time_of(row.get(name)))), None)
    phone = str(row.get("from" if is_inbound else "to") or "")
    sid = str(row.get("sid") or "")
    if reason := _why_unusable(row, sid, phone, has_time=at is not None):
        told.unusable[reason] += 1
    elif at is not None and is_inbound:
        told.add_reply(Reply(sid, phone, at, str(row.get("body") or "")))
    elif at is not None:
        if str(row.get("error_code") or "") == OPTED_OUT:
            told.add_opt_out(sid, phone, at)
        cost = _cost(row, currency)
        if cost is None and row.get("price"):
            told.unusable["prices that are none, or in another currency"] += 1
        told.sent[sid] = Sent(sid, at, str(row.get("status") or "").lower(), phone, cost=cost)


def _why_unusable(row: Mapping[str, Any], sid: str, phone: str, *, has_time: bool) -> str | None:
    if not sid or not row.get("direction"):
        return "rows that are no messages"
    if ":" in phone:
        return "rows of other channels"
    if not any(map(str.isdigit, phone)):
        return "rows without a number"
    return None if has_time else "rows without a time and its zone"


def _cost(row: Mapping[str, Any], currency: str) -> Decimal | None:
    """What a message cost: Twilio writes prices as what they take from an account, below zero."""
    try:
        price = Decimal(str(row.get("price") or ""))
    except InvalidOperation:
        return None
    unit = str(row.get("price_unit") or currency).upper()
    return abs(price) if price.is_finite() and unit == currency else None
