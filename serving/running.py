"""The service as a process: it listens, and reads and renews what is held beside that."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rekindle.platform.processes import not_served
from serving.app import application
from serving.holding import Holding
from serving.limits import Limits
from serving.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.held import Held

WAITING_REQUESTS = 2048
"""Beyond so many connections at once the answer is 503: to be late is to be of no use."""

KEEP_ALIVE_SECONDS = 30
MAX_HEADER_BYTES = 64 * 1024


class Discreet(H11Protocol):
    """
    HTTP that logs no request, for a path names a user: whatever handlers others have given to the logger of it.

    The quicker protocol of uvicorn takes headers of any size into memory, of whoever sends them; this one does not.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # The option of uvicorn only takes the logger's handlers away, and asks later whether it has some again.
        self.access_log = False


def serve(host: str, port: int, per_second: int, tell: Callable[[], None]) -> None:
    """
    Answer until the process is told to end; `tell` is called when it listens, before anything was read.

    Raises InputError where nobody can listen there.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    holding, metrics = Holding(on_new_day=_say), Metrics()
    config = uvicorn.Config(
        application(holding, Limits(per_second), metrics),
        host,
        port,
        log_config=None,
        server_header=False,
        limit_concurrency=WAITING_REQUESTS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off",
        http=Discreet,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    listening = _listening(host, port)
    renewing = holding.renewing()
    for thread in renewing:
        thread.start()
    try:
        tell()
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        for thread in renewing:
            thread.end()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=WAITING_REQUESTS
        )
    except OSError as error:
        raise not_served(host, port, error) from error


def _say(held: Held) -> None:
    told = ", ".join(f"{name} of {offer.day}" for name, offer in held.offers.items())
    logging.getLogger("serving").info("From now on answers are made of: %s.", told)
