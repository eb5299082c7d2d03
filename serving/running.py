"""The service as a process: read what is published, listen, and renew what is held beside it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import uvicorn

from rekindle.postgres import connect
from serving.app import application
from serving.holding import Holding, Renewing
from serving.limits import Limits
from serving.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.held import Held

WAITING_REQUESTS = 512
"""Beyond so many at once the answer is 503: to be late is to be of no use."""

KEEP_ALIVE_SECONDS = 30


def serve(host: str, port: int, per_second: int, tell: Callable[[Holding], None]) -> None:
    """
    Answer until the process is told to end; `tell` hears what is held when it begins to listen.

    Raises RekindleError where Postgres does not answer, and OSError where nobody can listen there.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    holding, metrics = Holding(on_new_day=_say), Metrics()
    with connect() as connection:
        holding.renew(connection)
    config = uvicorn.Config(
        application(holding, Limits(per_second), metrics),
        host,
        port,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=WAITING_REQUESTS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off",
    )
    # Before anything is told: who cannot listen has said nothing yet.
    sockets = [config.bind_socket()]
    renewing = Renewing(holding)
    renewing.start()
    try:
        tell(holding)
        uvicorn.Server(config).run(sockets=sockets)
    finally:
        renewing.end()


def _say(held: Held) -> None:
    told = ", ".join(f"{name} of {offer.day}" for name, offer in held.offers.items())
    logging.getLogger("serving").info("From now on answers are made of: %s.", told)
