"""
A sender as docs/tools/twilio.md describes one: it reads the list of a campaign as a reader does, and gives messages to a gateway.

Each message goes at the beginning of its window, after asking once more whether its user may still be texted.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from loop.gateway import Gateway

    Answers = Callable[[str, str], str | None]
    """What a phone answers to a message, if anything."""

LISTED = """
select c.rank, c.user_id, a.phone_e164, a.send_window_start, a.send_window_end
from sms.campaign_list as c join sms.audience as a using (user_id)
where c.campaign_id = %(campaign_id)s and not c.is_control and a.eligible and a.valid_until > %(at)s
order by a.send_window_start, c.rank
"""
STILL = "select from sms.audience where user_id = %s and eligible and valid_until > %s"

ANSWERED_AFTER = timedelta(minutes=5)
STOPS = ("STOP", "stop.", "Stop it please", "unsubscribe", "S T O P", "Quit")
STOP_SHARE, THANKS_SHARE = 0.06, 0.04


def send(gateway: Gateway, url: str, campaign_id: str, body: str, answers: Answers) -> Counter[int]:
    """
    Send what a campaign's list says, as who logs in at `url` may read it; returns how often the gateway gave which answer.

    The gateway's time moves on to each window.
    """
    told: Counter[int] = Counter()
    with psycopg.connect(url, autocommit=True) as reader:
        for row in _listed(reader, campaign_id, gateway.at):
            gateway.at = max(gateway.at, row["send_window_start"])
            # Somebody may have said stop since the list was read.
            if reader.execute(STILL, [row["user_id"], gateway.at]).fetchone() is None:
                continue
            message_id = f"{campaign_id}-{row['rank']}"
            status = post(gateway.url, _message(row, campaign_id, message_id, body))
            told[status] += 1
            answer = answers(row["phone_e164"], message_id) if status == http.client.CREATED else None
            if answer is not None:
                gateway.receive(row["phone_e164"], answer, gateway.at + ANSWERED_AFTER)
    return told


def post(url: str, message: dict[str, Any]) -> int:
    """Give a message to the gateway; returns the status of its answer."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    try:
        connection.request("POST", target.path, json.dumps(message), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def some_say_stop(phone: str, message_id: str) -> str | None:
    """Let a few answer, always the same: most of those with stop, in spellings that people use."""
    lot = hashlib.sha256(f"{phone} {message_id}".encode()).digest()
    share = int.from_bytes(lot[:4]) / 2**32
    if share < STOP_SHARE:
        return STOPS[lot[4] % len(STOPS)]
    return "thank you" if share < STOP_SHARE + THANKS_SHARE else None


def _listed(reader: psycopg.Connection[Any], campaign_id: str, at: datetime) -> Iterator[dict[str, Any]]:
    cursor = reader.cursor(row_factory=dict_row)
    yield from cursor.execute(LISTED, {"campaign_id": campaign_id, "at": at}).fetchall()


def _message(row: dict[str, Any], campaign_id: str, message_id: str, body: str) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "campaign_id": campaign_id,
        "user_id": row["user_id"],
        "to": row["phone_e164"],
        "body": body,
        "send_window_start": row["send_window_start"].isoformat(),
        "send_window_end": row["send_window_end"].isoformat(),
    }
