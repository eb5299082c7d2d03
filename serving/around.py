"""
What stands around each request: a limit on what is sent, a count, and a line in the log.

The line names the page's pattern, not the page, for that names a user; and the key's id, not the key.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.metrics import Metrics

LOG = logging.getLogger("serving.requests")

MAX_BODY_BYTES = 4 * 1024**2
UNKNOWN = "-"
TOO_LARGE = json.dumps(
    {
        "error": {
            "code": "too_large",
            "what": f"More than {MAX_BODY_BYTES // 1024**2} MiB were sent.",
            "todo": "Send fewer rows at once.",
        }
    }
).encode()


class _TooLargeError(Exception):
    """More was sent than is read."""


class Around:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        # Where the key's id is found by whoever checks it.
        scope.setdefault("state", {})

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), sent)
        except _TooLargeError:
            await _refuse(sent)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", UNKNOWN)
            self._metrics.count(route, scope["method"], status, seconds)
            if route.startswith("/v1"):
                line = {"route": route, "method": scope["method"], "status": status, "ms": round(1000 * seconds, 2)}
                LOG.info("%s", json.dumps(line | {"key": scope["state"].get("key_id", UNKNOWN)}))


def _limited(scope: Scope, receive: Receive) -> Receive:
    """What is received, as long as it is not too much; what a header says of it is believed if it is too much."""
    told = dict(scope["headers"]).get(b"content-length", b"0")
    left = MAX_BODY_BYTES

    async def limited() -> Message:
        nonlocal left
        if told.isdigit() and int(told) > MAX_BODY_BYTES:
            raise _TooLargeError
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLargeError
        return message

    return limited


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(TOO_LARGE)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": TOO_LARGE})
