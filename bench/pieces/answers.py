"""Answers over REST: what a request costs the server, and how long it takes while a hundred come a second."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import psutil

from bench.measured import Measured
from bench.world import YEAR, learned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRODUCTS = "recall", "ltv"
PER_SECOND, SECONDS, ASKING = 100, 20, 4
"""Requests a second, for how long, over so many connections."""
BY_FEATURES = 100
AT_ONCE = 1000
ALIKE = 1e-6
CPU_MS, CPU_MS_BY_FEATURES, P99_MS = 1, 3, 50
PATIENCE_S = 120
WITHOUT_LIMIT = 100_000
SERVE = "from rekindle.cli import main; main()"


@dataclass(frozen=True)
class Request:
    """A request, and what it asks for in words."""

    what: str
    path: str
    body: bytes | None = None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True)
class Service:
    """`rekindle serve` in a process of its own."""

    port: int
    token: str
    process: psutil.Process

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, connection: http.client.HTTPConnection, request: Request) -> Any:
        """Return an answer, which must be one."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise AssertionError(f"{request.what}: {answer.status} {text[:300]!r}")
        return text

    def has_read(self) -> bool:
        """Whether it has read a day; it listens before that."""
        try:
            self.ask(self.connect(), Request("the model", f"/v1/models/{PRODUCTS[0]}"))
        except AssertionError:
            return False
        return True

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


def measured() -> Iterator[Measured]:
    """Yield the lines of what answers over REST cost."""
    from rekindle import publishing

    world = learned()
    if not publishing.days_published():
        world.run(world.days(YEAR + 1, YEAR + 1).last)
    with _serving() as service:
        compared = sum(_same_as_the_day(service, product) for product in PRODUCTS)
        print(f"  {compared:,} scores by id are those of the daily tables, to {ALIKE:g}", flush=True)
        for requests, limit in _kinds(service):
            yield from _under_load(service, requests, limit)
        held = service.process.memory_info().rss / 1024**3
        yield Measured("g", f"the service, with a day of {world.delivered.split(',')[0]} in memory", held, unit="GiB")


@contextmanager
def _serving() -> Iterator[Service]:
    from rekindle.platform.processes import free_port, listens
    from serving import keys

    token, port = keys.add("make bench", ["score"]), free_port()
    command = [sys.executable, "-c", SERVE, "serve", "--port", str(port), "--per-second", str(WITHOUT_LIMIT)]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own program
        try:
            service, until = Service(port, token, psutil.Process(process.pid)), time.monotonic() + PATIENCE_S
            while not (listens(port) and service.has_read()):
                if process.poll() is not None or time.monotonic() > until:
                    raise AssertionError("the service does not answer")
                time.sleep(0.1)
            yield service
        finally:
            process.terminate()


def _same_as_the_day(service: Service, product: str) -> int:
    """Compare each user's scores on request with the unrounded ones of the day; returns how many users these were."""
    from ml.products import product_named
    from rekindle import publishing
    from rekindle.days import Days
    from rekindle.publishing import publications
    from rekindle.warehouse.spark import session
    from rekindle.warehouse.tables import read_days

    table = product_named(product).table
    day = publishing.days_published()[publications.of_table(table).table]
    scored = {row["user_id"]: row for row in read_days(session(), table, Days.one(day)).toArrow().to_pylist()}
    users, connection = sorted(scored), service.connect()
    for at in range(0, len(users), AT_ONCE):
        body = json.dumps({"users": users[at : at + AT_ONCE]}).encode()
        for answered in json.loads(service.ask(connection, Request(product, f"/v1/scores/{product}", body)))["scores"]:
            ours = scored[answered["user_id"]]
            for name in set(answered) & set(ours):
                if not _alike(answered[name], ours[name]):
                    raise AssertionError(f"{product}: {name} on request is not that of the day {day}")
    return len(users)


def _alike(answered: Any, ours: Any) -> bool:
    if ours is None or isinstance(ours, str):
        return answered == ours
    return abs(answered - float(ours)) <= ALIKE


def _kinds(service: Service) -> Iterator[tuple[Sequence[Request], float]]:
    """Requests of each kind, of users in turn, and what one may cost."""
    from rekindle import postgres

    users = [
        user
        for (user,) in postgres.transact(
            lambda c: c.execute("select user_id from sms.recall_scores where in_population order by 1").fetchall()
        )
    ]
    yield [Request("a published score", f"/v1/scores/recall/{user}") for user in users], CPU_MS
    by_id = [json.dumps({"users": [user]}).encode() for user in users]
    yield [Request("a score on request, by id", "/v1/scores/recall", body) for body in by_id], CPU_MS
    inputs = json.loads(service.ask(service.connect(), Request("", "/v1/models/recall")))["inputs"]
    body = json.dumps({"inputs": {name: [_made_up(type_)] * BY_FEATURES for name, type_ in inputs.items()}}).encode()
    what = f"scores of {BY_FEATURES} users by features ({len(inputs)} each)"
    yield [Request(what, "/v1/scores/recall", body)], CPU_MS_BY_FEATURES


def _made_up(type_: str) -> Any:
    if type_.startswith("map"):
        return {"view": 3} if "int" in type_ else {"plan": "a"}
    return {"string": "US", "bool": True}.get(type_, 3 if type_.startswith("int") else 1.5)


def _under_load(service: Service, requests: Sequence[Request], limit: float) -> Iterator[Measured]:
    """Ask so often a second, each over its own connection; what a request waits for its turn counts."""
    count, taken = PER_SECOND * SECONDS, []
    in_turn, lock = cycle(requests), threading.Lock()
    service.ask(service.connect(), requests[0])
    begun, before = time.monotonic(), service.cpu_s()

    def ask(first: int) -> None:
        connection = service.connect()
        for number in range(first, count, ASKING):
            due = begun + number / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            with lock:
                request = next(in_turn)
            service.ask(connection, request)
            taken.append(time.monotonic() - due)

    with ThreadPoolExecutor(ASKING) as pool:
        for one in [pool.submit(ask, first) for first in range(ASKING)]:
            one.result()
    cpu = (service.cpu_s() - before) / count * 1000
    taken.sort()
    half, nearly_all = (taken[int(len(taken) * share)] * 1000 for share in (0.5, 0.99))
    what = f"{requests[0].what}, {PER_SECOND} a second"
    yield Measured("g", f"{what}: processor time of the server", cpu, at_most=limit, unit="ms")
    yield Measured("g", f"{what}: half are answered within", half, unit="ms")
    yield Measured("g", f"{what}: 99 % are answered within", nearly_all, at_most=P99_MS, unit="ms")
