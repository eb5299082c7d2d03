"""
Answers to auctions: what ten million devices take in memory, and what an answer costs the server. `python -m bench.auctions`.

The service runs in a process of its own, over made-up devices and without Postgres: of what is asked half is bid for. Processor
time is what getrusage says of that process, before and after.
"""

from __future__ import annotations

import http.client
import json
import logging
import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from serving.bidding import Bids

DEVICES, ASKED, REQUESTS, PER_SECOND = 10_000_000, 1000, 4000, 100
SOON = datetime(2100, 1, 1, tzinfo=UTC)
TOKEN = f"rk_benchkey_{'a' * 43}"


@dataclass(frozen=True)
class Seen:
    """What was measured."""

    bytes_held: int
    grown: int
    cpu_ms: float
    half_ms: float
    nearly_all_ms: float
    bids: int


def made_up(devices: int) -> Bids:
    """Devices with hashes by lot, and among them those that are asked for."""
    from serving.bidding import HASH_BYTES, Bids, hash_of, user_key

    lots = np.random.default_rng(0)
    hashes = lots.bytes(HASH_BYTES * devices)
    known = b"".join(hash_of(device(n)) for n in range(ASKED))
    ordered = np.frombuffer(known + hashes[len(known) :], f"S{HASH_BYTES}")
    ordered = np.sort(ordered)
    users = lots.integers(0, 2**63, devices, np.uint64)
    users[0] = user_key("u0")
    codes, hundredths = lots.integers(0, 2, devices, np.uint8), lots.integers(50, 200, devices, np.uint16)
    return Bids(ordered, users, codes, hundredths, ("recall_value", "acquisition_value"), SOON)


def device(number: int) -> str:
    return f"38400000-8cf0-11bd-b23e-{number:012x}"


def serve(tell: Connection, devices: int) -> None:
    """Answer over made-up devices; tell the port and the sizes, and the processor time each time somebody asks."""
    import socket
    import threading

    import uvicorn

    from serving.app import application
    from serving.held import Held, Known
    from serving.holding import Holding
    from serving.keys import Key
    from serving.limits import Limits
    from serving.metrics import Metrics
    from serving.running import Discreet

    # As `rekindle serve` does: a line for each request.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    before = held_bytes()
    bids = made_up(devices)
    key = Key("benchkey", sha256(b"a" * 43).hexdigest(), frozenset({"rta"}))
    now = datetime.now(UTC)
    holding = Holding(Held({}, None, now, bids=bids), Known(frozenset(), frozenset(), {"benchkey": key}, now))
    listening = socket.create_server(("127.0.0.1", 0))
    app = application(holding, Limits(100_000), Metrics())
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http=Discreet))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    tell.send((listening.getsockname()[1], bids.size, held_bytes() - before))
    while tell.recv():
        used = resource.getrusage(resource.RUSAGE_SELF)
        tell.send(used.ru_utime + used.ru_stime)


def held_bytes() -> int:
    """Bytes of this process in memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def seen(devices: int = DEVICES, requests: int = REQUESTS) -> Seen:
    """Measure it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, devices), daemon=True)
    process.start()
    try:
        port, size, grown = ours.recv()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        ask(connection, 0)
        before, taken, bids = cpu_s(ours), [], 0
        begun = time.monotonic()
        for number in range(requests):
            due = begun + number / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            asked = time.perf_counter()
            bids += ask(connection, number)
            taken.append(time.perf_counter() - asked)
        cpu = (cpu_s(ours) - before) / requests
    finally:
        process.terminate()
        process.join()
    half, nearly_all = np.quantile(taken, [0.5, 0.99])
    return Seen(size, grown, 1000 * cpu, 1000 * float(half), 1000 * float(nearly_all), bids)


def cpu_s(ours: Connection) -> float:
    ours.send(1)
    return float(ours.recv())


def ask(connection: http.client.HTTPConnection, number: int) -> bool:
    """Ask in OpenRTB's form for a device that is bid for, and for one that is not, in turn; returns whether there was a bid."""
    named = device(number % ASKED) if number % 2 == 0 else f"unknown {number}"
    body: dict[str, Any] = {"id": f"r{number}", "imp": [{"id": "1", "tagid": "top", "banner": {"w": 320, "h": 50}}]}
    body |= {"device": {"ifa": named, "os": "iOS", "ua": "Mozilla/5.0"}, "at": 2, "tmax": 120}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/rta", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in {http.client.OK, http.client.NO_CONTENT}:
        raise AssertionError(f"{answer.status} {text[:300]!r}")
    return answer.status == http.client.OK


def main() -> None:
    found = seen()
    load = os.getloadavg()[0]
    print(f"{DEVICES:,} devices: {found.bytes_held:,} bytes held, the process grew by {found.grown:,}")
    print(
        f"{REQUESTS:,} requests, {PER_SECOND} a second, {found.bids:,} bids; load {load:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"processor time {found.cpu_ms:.2f} ms a request; half within {found.half_ms:.1f} ms, 99 % {found.nearly_all_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
