"""
Messages and replies that a tool has exported become deliveries of the sources `messages` and `replies`.

Whose message it was and of which campaign says the ledger of assignments. What it cannot tell is counted and said, never
guessed. Controls have no message: that they were held back stands in the ledger. No text here names a person.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from rekindle.days import Days
from rekindle.errors import InputError
from rekindle.landing.filling.fill import Filled
from rekindle.landing.filling.messages import assignments, braze, twilio
from rekindle.landing.filling.writer import History, deliver, delivered_days, local_folder
from rekindle.landing.phones import phone_hmac
from rekindle.progress import SILENT
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from rekindle.landing.filling.messages.told import Reply, Sent, Told
    from rekindle.progress import Progress

Tool = Literal["twilio", "braze"]

READERS: Mapping[Tool, Callable[[Path], Told]] = MappingProxyType(
    {"twilio": lambda path: twilio.read(path, settings().currency), "braze": braze.read}
)

UTC_TIME = pa.timestamp("us", "UTC")
MESSAGE = pa.schema(
    [
        ("message_id", pa.string()),
        ("campaign_id", pa.string()),
        ("user_id", pa.string()),
        ("message_channel", pa.string()),
        ("sent_at", UTC_TIME),
        ("arm", pa.string()),
        ("status", pa.string()),
        ("cost", pa.decimal128(18, 6)),
    ]
)
REPLY = pa.schema([("reply_id", pa.string()), ("phone", pa.string()), ("received_at", UTC_TIME), ("text", pa.string())])

ARMS = {True: "control", False: "treatment"}


def import_messages(
    tool: Tool, path: Path, *, last: date | None = None, replace: bool = False, progress: Progress = SILENT
) -> Filled:
    """
    Deliver what a tool exported: each message and reply on the UTC day of its time, from the first of them to the last.

    Days between them without any are declared empty, and with `last` those up to it.
    """
    zone = local_folder(settings().landing_zone)
    with progress.step(f"Reading {path.name}"):
        told = READERS[tool](path)
        messages, notes = _messages(told.sent.values())
    replies = [_reply_row(reply) for reply in told.replies.values()]
    if not messages and not replies:
        raise InputError(
            f"{path.name} has no message and no reply that can be told: {'; '.join([*notes, *_unusable(told)]) or 'no rows'}.",
            todo="See docs/for-sms-tools.md for what is read. A message is told by an assignment of its number before it.",
            code="nothing_told",
        )
    histories = (_history("messages", messages, MESSAGE, "sent_at"), _history("replies", replies, REPLY, "received_at"))
    delivered_on = np.concatenate([history.days for history in histories])
    days = Days.between(delivered_on.min().item(), max(delivered_on.max().item(), last or delivered_on.max().item()))
    with progress.step("Writing deliveries") as step:
        written = deliver(zone, histories, days, replace=replace, advance=step.reached)
    return Filled(zone, days, written, (*_opt_outs(told), *notes, *_unusable(told)), delivered_days(zone))


def _messages(sent: Iterable[Sent]) -> tuple[list[dict[str, object]], list[str]]:
    """Rows of messages by their assignments, and what is to be said of them."""
    known, unknown = [one for one in sent if one.user_id], [one for one in sent if not one.user_id]
    by_user = assignments.of("user_id", {one.user_id for one in known if one.user_id}) if known else {}
    key = _phone_key() if unknown else ""
    phones = {one.phone: phone_hmac(one.phone, key) for one in unknown}
    by_phone = assignments.of("phone_hmac", {hmac for hmac in phones.values() if hmac}) if phones else {}
    rows, untold, to_controls = [], 0, 0
    for one in sent:
        if one.user_id:
            assignment = assignments.latest(by_user.get(one.user_id, ()), one.at, one.campaign_id)
        else:
            assignment = assignments.latest(by_phone.get(phones[one.phone] or "", ()), one.at)
        campaign_id = assignment.campaign_id if assignment else one.campaign_id
        user_id = assignment.user_id if assignment else one.user_id
        if campaign_id is None or user_id is None:
            untold += 1
            continue
        is_control = assignment is not None and assignment.is_control
        to_controls += is_control
        rows.append(_message_row(one, campaign_id, user_id, is_control=is_control))
    return rows, [*_said(untold, UNTOLD), *_said(to_controls, TO_CONTROLS)]


UNTOLD = "{count} messages are left out: no assignment before them tells whose they were, or more than one does."
TO_CONTROLS = "{count} messages went to controls of their campaign, and its effect will look smaller than it was."
OPTED_OUT = "{count} messages failed because their number had said stop: they come back as opt-outs."


def _said(count: int, text: str) -> list[str]:
    return [text.format(count=f"{count:,}")] if count else []


def _opt_outs(told: Told) -> list[str]:
    return _said(told.opt_out_count, OPTED_OUT)


def _unusable(told: Told) -> list[str]:
    return [f"{count:,} {reason} are left out." for reason, count in sorted(told.unusable.items())]


def _message_row(one: Sent, campaign_id: str, user_id: str, *, is_control: bool) -> dict[str, object]:
    return {
        "message_id": one.message_id,
        "campaign_id": campaign_id,
        "user_id": user_id,
        "message_channel": settings().message_channel,
        "sent_at": one.at,
        "arm": ARMS[is_control],
        "status": one.status or None,
        "cost": one.cost,
    }


def _reply_row(reply: Reply) -> dict[str, object]:
    return {"reply_id": reply.reply_id, "phone": reply.phone, "received_at": reply.at, "text": reply.text or None}


def _history(source: str, rows: Sequence[Mapping[str, object]], schema: pa.Schema, time: str) -> History:
    """Rows in the order of their times: the same export again is the same bytes."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema).sort_by(
        [(time, "ascending"), (schema.names[0], "ascending")]
    )
    return History(source, table, table[time].to_numpy().astype("datetime64[D]"))


def _phone_key() -> str:
    if key := settings().phone_key.get_secret_value():
        return key
    raise InputError(
        "There is no key to look numbers up by: REKINDLE_PHONE_KEY is not set.",
        todo="Set it to what it was when the campaign was planned.",
        code="no_phone_key",
    )
