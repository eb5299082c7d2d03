"""What an export of a tool tells: messages that it sent, replies that it received, and rows that tell nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

OPTED_OUT = "21610"
"""What Twilio answers, and Braze passes on, when a message is to go to who has said stop (twilio.com/docs/api/errors/21610)."""

STOP = "STOP"
"""The text of a reply that stands for an opt-out of which a tool tells in another way."""


@dataclass(frozen=True)
class Sent:
    """A message as its tool knows it: of the user, the campaign and the number, those that it tells."""

    message_id: str
    at: datetime
    status: str
    phone: str
    user_id: str | None = None
    campaign_id: str | None = None
    cost: Decimal | None = None


@dataclass(frozen=True)
class Reply:
    """A reply, or an opt-out of which a tool tells in another way."""

    reply_id: str
    phone: str
    at: datetime
    text: str


@dataclass
class Told:
    """What was read so far. A later row of a message is newer; of several rows of a reply the first counts."""

    sent: dict[str, Sent] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    """Rows that are left out, by the reason why."""
    opt_out_count: int = 0
    """Messages that failed because their number had said stop."""

    def add_reply(self, reply: Reply) -> None:
        """Note a reply."""
        self.replies.setdefault(reply.reply_id, reply)

    def add_opt_out(self, message_id: str, phone: str, at: datetime) -> None:
        """Note that a message failed because its number had said stop."""
        reply_id = f"{message_id}-{OPTED_OUT}"
        self.opt_out_count += reply_id not in self.replies
        self.add_reply(Reply(reply_id, phone, at, STOP))


def time_of(text: object) -> datetime | None:
    """Read a time with its zone, written in ISO 8601, as RFC 2822 has it, or as seconds since 1970; None where it is none."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return datetime.fromtimestamp(text, UTC)
    if not isinstance(text, str) or not text.strip():
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text.strip())
        except ValueError:
            continue
        return at.astimezone(UTC) if at.tzinfo else None
    return None
