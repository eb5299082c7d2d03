"""
What stands around each request: who asks, how much is sent and how fast, an answer where ours has failed, a count, and a line.

The line in the log names the page's pattern, not the page, for that names a user; and the key's id, not the key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from http import HTTPMethod, HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from serving.asking import GUARDED, admitted
from serving.problems import NoAnswerError, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.holding import Holding
    from serving.limits import Limits
    from serving.metrics import Metrics

LOG = logging.getLogger("serving.requests")

MAX_BODY_BYTES = 4 * 1024**2
MAX_BODY_SECONDS = 10.0
UNKNOWN = "-"
METHODS = frozenset(HTTPMethod)
TOO_LARGE = f"More than {MAX_BODY_BYTES // 1024**2} MiB were sent: send fewer rows at once."
TOO_SLOW = f"What was to be sent had not come after {MAX_BODY_SECONDS:.0f} seconds."
BROKEN = NoAnswerError(500, "broken", "The service has failed.", "Its log says where; ask again.")


class Around:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, holding: Holding, limits: Limits, metrics: Metrics) -> None:
        self._app, self._holding, self._limits, self._metrics = app, holding, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, has_begun = time.perf_counter(), 500, False

        async def sent(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
            await send(message)

        try:
            await self._answer(scope, receive, sent)
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked gets an answer
            # Its text, and what stands around it in a traceback, may hold what was sent.
            LOG.error("A request has failed: %s at %s", type(error).__name__, _place(error))  # noqa: TRY400 - see above
            if not has_begun:
                await problem(BROKEN)(scope, receive, sent)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look who asks before a byte of the body is read."""
        headers = dict(scope["headers"])
        if scope["path"].startswith(GUARDED):
            try:
                key = admitted(headers.get(b"authorization", b"").decode("latin-1"), self._holding, self._limits)
            except NoAnswerError as error:
                await problem(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["key"] = key
        await self._app(scope, _limited(headers.get(b"content-length", b"0"), receive), send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN)
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        self._metrics.count(route, method, status, seconds)
        if scope["path"].startswith(GUARDED):
            key = scope.get("state", {}).get("key")
            line = {"route": route, "method": method, "status": status, "ms": round(1000 * seconds, 2)}
            LOG.info("%s", json.dumps(line | {"key": key.key_id if key else UNKNOWN}))


def _limited(told: bytes, receive: Receive) -> Receive:
    """What is received, if it is not too much or too slow; what a header says of it is believed if it is too much."""
    left, until = MAX_BODY_BYTES, time.monotonic() + MAX_BODY_SECONDS
    is_whole = False

    async def limited() -> Message:
        nonlocal left, is_whole
        if told.isdigit() and int(told) > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        if is_whole:
            # What comes after the body is that who asked has gone.
            return await receive()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW) from None
        left -= len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return message

    return limited


def _place(error: Exception) -> str:
    """Where an error was raised, without anything of what it was about."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
