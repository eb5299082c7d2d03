"""
Braze: events about text messages, as Currents delivers them, as JSON lines.

An event comes flat, as in storage (converted from Avro), or with `properties` and `user`, as over HTTP; its type stands in it,
or in the name of its file or folder. See braze.com/docs, "Message engagement events".
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from rekindle.landing.filling.messages.files import records
from rekindle.landing.filling.messages.told import OPTED_OUT, STOP, Reply, Sent, Told, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

TYPE = re.compile(r"users\.messages\.sms\.(\w+)")

STATUS = ("Send", "CarrierSend", "Delivery", "Rejection", "DeliveryFailure")
"""What becomes of a message, in this order: what comes later says more."""

IS_REPLY = "InboundReceive"
UNSUBSCRIBED = "Unsubscribed"
"""Braze's own word for what it took a reply for, also where a keyword of the sender's own was texted."""


def read(path: Path) -> Told:
    """Read events. All events about one message are one message, with what became of it in the end."""
    told = Told()
    for file, record in records(path):
        event = {**record, **(record.get("properties") or {}), **(record.get("user") or {})}
        kind = _kind(event, file)
        at, event_id = time_of(event.get("time")), str(record.get("id") or "")
        if kind not in (*STATUS, IS_REPLY):
            told.unusable["events about something else"] += 1
        elif at is None or not event_id:
            told.unusable["rows without a time and its zone" if at is None else "rows that are no messages"] += 1
        elif kind == IS_REPLY:
            _add_reply(told, event, event_id, at)
        else:
            _add_sent(told, event, event_id, at, kind)
    return told


def _kind(event: Mapping[str, Any], file: Path) -> str | None:
    named = TYPE.search(str(event.get("event_type") or "")) or TYPE.search(f"{file.parent.name}/{file.name}")
    return named[1] if named else None


def _add_reply(told: Told, event: Mapping[str, Any], event_id: str, at: datetime) -> None:
    phone = str(event.get("user_phone_number") or "")
    if not phone:
        told.unusable["rows without a number"] += 1
        return
    text = STOP if event.get("action") == UNSUBSCRIBED else str(event.get("message_body") or "")
    told.add_reply(Reply(event_id, phone, at, text))


def _add_sent(told: Told, event: Mapping[str, Any], event_id: str, at: datetime, kind: str) -> None:
    user_id, phone = str(event.get("external_user_id") or ""), str(event.get("to_phone_number") or "")
    message_id = _message_id(event, event_id, user_id)
    if phone and str(event.get("provider_error_code") or "") == OPTED_OUT:
        told.add_opt_out(message_id, phone, at)
    if not user_id:
        told.unusable["messages without an external user id"] += 1
        return
    campaign_id = str(event.get("campaign_name") or event.get("canvas_name") or "") or None
    new = Sent(message_id, at, kind, phone, user_id, campaign_id)
    old = told.sent.setdefault(message_id, new)
    status = max(old.status, kind, key=STATUS.index)
    told.sent[message_id] = replace(old, at=min(old.at, at), status=status, campaign_id=old.campaign_id or campaign_id)


def _message_id(event: Mapping[str, Any], event_id: str, user_id: str) -> str:
    """Braze numbers what it dispatches, not each message of it: who it is to makes the difference, and is not to be read."""
    dispatch = event.get("dispatch_id")
    return sha256(f"{dispatch} {user_id}".encode()).hexdigest()[:32] if dispatch else event_id
