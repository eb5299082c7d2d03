"""
A stand-in for an SMS gateway on 127.0.0.1: it takes messages as one does, and sends none.

    POST /messages  {"message_id", "campaign_id", "user_id", "to", "body", "send_window_start", "send_window_end"}

It answers 201 when a message is taken, 400 with Twilio's code 21610 when its number has said stop, 409 for a message that it
has, 422 when it is outside of the window that was given with it, and 429 when it has taken all that it takes. Its time is
what the loop says, because the days are simulated. It keeps a STOP list of its own, and delivers at the end of a day what
was sent and what came back as the sources `messages` and `replies`.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from rekindle.landing.filling.messages import MESSAGE, REPLY
from rekindle.landing.filling.writer import History, deliver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rekindle.days import Days

HOST = "127.0.0.1"
OPTED_OUT = 21610
MOST_MESSAGES = 100_000
MOST_BYTES = 16_384
"""Of one message; a longer request is refused unread."""
PATIENCE_SECONDS = 10
"""For a client that says it sends something and does not."""

STOP_WORDS = frozenset({"stop", "stopall", "quit", "end", "revoke", "optout", "cancel", "unsubscribe"})
"""Twilio's own list; Rekindle has to take more for an opt-out than the gateway does."""

PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
NEEDED = ("message_id", "campaign_id", "user_id", "to", "body", "send_window_start", "send_window_end")


@dataclass(frozen=True)
class Answer:
    """What the gateway says to a request: a status of HTTP, and a code of its own for what it refuses."""

    status: HTTPStatus
    code: int | str | None = None


TAKEN = Answer(HTTPStatus.CREATED)


@dataclass
class Gateway:
    """A gateway that runs as long as its block. `at` is its time, which the loop moves on."""

    at: datetime
    cost: Decimal = Decimal("0.04")
    most_messages: int = MOST_MESSAGES
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was taken, and what failed because its number had said stop, by message."""
    replies: list[dict[str, Any]] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    """Numbers that have said stop."""
    refused: dict[int | str, int] = field(default_factory=dict)
    """How many requests were refused, by code."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer((HOST, 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=PATIENCE_SECONDS)

    @property
    def url(self) -> str:
        """Where messages are posted to."""
        return f"http://{HOST}:{self._server.server_port}/messages"

    def take(self, message: Mapping[str, Any]) -> Answer:
        """Take a message, or refuse it."""
        with self._lock:
            answer = self._judged(message)
            if answer.code is not None:
                self.refused[answer.code] = self.refused.get(answer.code, 0) + 1
            if answer == TAKEN or answer.code == OPTED_OUT:
                self.sent[message["message_id"]] = self._noted(message, failed=answer != TAKEN)
            return answer

    def receive(self, phone: str, text: str, at: datetime) -> None:
        """Let a phone reply: who says stop gets nothing from now on."""
        with self._lock:
            self.replies.append(
                {"reply_id": f"r{len(self.replies):08}", "phone": phone, "received_at": at, "text": text}
            )
            if re.sub(r"[^a-z]", "", text.lower()) in STOP_WORDS:
                self.stopped.add(phone)

    def deliver(self, zone: Path, days: Days, more: Sequence[Mapping[str, Any]] = ()) -> None:
        """
        Deliver what was sent and what came back on days, each on its own; `more` are messages that were not to be sent.

        Those are of the controls: a campaign's log holds them, too.
        """
        messages = [row for row in (*self.sent.values(), *more) if row["sent_at"].date() in days.all]
        replies = [row for row in self.replies if row["received_at"].date() in days.all]
        deliver(
            zone,
            [
                _history("messages", messages, MESSAGE, "sent_at"),
                _history("replies", replies, REPLY, "received_at"),
            ],
            days,
            replace=True,
        )

    def _judged(self, message: Mapping[str, Any]) -> Answer:
        if any(not isinstance(message.get(name), str) for name in NEEDED) or not PHONE.fullmatch(message["to"]):
            return Answer(HTTPStatus.BAD_REQUEST, "not_a_message")
        if message["message_id"] in self.sent:
            return Answer(HTTPStatus.CONFLICT, "had_before")
        if len(self.sent) >= self.most_messages:
            return Answer(HTTPStatus.TOO_MANY_REQUESTS, "full")
        if message["to"] in self.stopped:
            return Answer(HTTPStatus.BAD_REQUEST, OPTED_OUT)
        start, end = _time(message["send_window_start"]), _time(message["send_window_end"])
        if start is None or end is None or not start <= self.at < end:
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "outside_of_window")
        return TAKEN

    def _noted(self, message: Mapping[str, Any], *, failed: bool) -> dict[str, Any]:
        return {
            **{name: message[name] for name in ("message_id", "campaign_id", "user_id")},
            "message_channel": "sms",
            "sent_at": self.at,
            "arm": "treatment",
            "status": "failed" if failed else "delivered",
            "cost": Decimal(0) if failed else self.cost,
        }


def _history(source: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema, time: str) -> History:
    table = pa.Table.from_pylist([dict(row) for row in rows], schema).sort_by([(time, "ascending")])
    return History(source, table, table[time].to_numpy().astype("datetime64[D]"))


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _handler_of(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if self.path != "/messages":
                self._answer(Answer(HTTPStatus.NOT_FOUND, "not_found"))
            elif not 0 < size <= MOST_BYTES:
                self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"))
            else:
                self._answer(gateway.take(_object(self.rfile.read(size))))

        def _answer(self, answer: Answer) -> None:
            body = json.dumps({"code": answer.code, "status": answer.status.value}).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: requests hold phones."""

    return Handler


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
