"""The metrics over HTTP, at /metrics: read anew at most every 15 seconds, however many ask."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from rekindle.metrics.exposition import CONTENT_TYPE, exposition
from rekindle.metrics.gathering import gather_or_down

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rekindle.metrics.exposition import Metric

KEPT_SECONDS = 15.0
PATH = "/metrics"


class Kept:
    """An answer that is used again for a while. Who asks meanwhile waits for the one question that is under way."""

    def __init__(self, ask: Callable[[], str], seconds: float = KEPT_SECONDS) -> None:
        self._ask, self._seconds = ask, seconds
        self._lock, self._answer, self._until = threading.Lock(), "", 0.0

    def answer(self) -> str:
        """Return the answer that is kept, or ask anew."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._answer = self._ask()
                self._until = time.monotonic() + self._seconds
            return self._answer


def server(host: str, port: int, gather: Callable[[], Sequence[Metric]] = gather_or_down) -> ThreadingHTTPServer:
    """Return a server that answers at /metrics once it is run."""
    kept = Kept(lambda: exposition(gather()))

    class Handler(BaseHTTPRequestHandler):
        # Who sends half a request and waits holds no thread for longer.
        timeout = 10
        server_version, sys_version = "rekindle", ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, f"It is {PATH}.")
                return
            body = kept.answer().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """A line every few seconds tells nobody anything."""

    return ThreadingHTTPServer((host, port), Handler)


def serve(host: str, port: int) -> None:
    """Answer at /metrics until the process ends."""
    with server(host, port) as answering:
        answering.serve_forever()
