"""
What stands around each request: a limit on what is sent, an answer where ours has failed, a count, and a line in the log.

The line names the page's pattern, not the page, for that names a user; and the key's id, not the key.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.metrics import Metrics

LOG = logging.getLogger("serving.requests")

MAX_BODY_BYTES = 4 * 1024**2
UNKNOWN = "-"
TOO_LARGE = f"More than {MAX_BODY_BYTES // 1024**2} MiB were sent: send fewer rows at once."
BROKEN = b'{"error":{"code":"broken","what":"The service has failed.","todo":"Its log says where; ask again."}}'


class Around:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, has_begun = time.perf_counter(), 500, False
        # Where the key's id is found by whoever checks it.
        scope.setdefault("state", {})

        async def sent(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), sent)
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked gets an answer
            # Its text, and what stands around it in a traceback, may hold what was sent.
            LOG.error("A request has failed: %s at %s", type(error).__name__, _place(error))  # noqa: TRY400 - see above
            if not has_begun:
                await _send_broken(sent)
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
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return message

    return limited


def _place(error: Exception) -> str:
    """Where an error was raised, without anything of what it was about."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


async def _send_broken(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BROKEN)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": BROKEN})
