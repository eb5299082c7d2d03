"""A published day of made-up scores, with models that were really trained, and the service over it, on a real Postgres."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn

from ml.model import artifact
from ml.model.scorer import Scorer
from ml.products import product_named
from rekindle import postgres, records
from rekindle.days import Days
from rekindle.publishing import publish
from rekindle.publishing.answers import Material, Model
from rekindle.settings import settings
from serving import keys
from serving.app import application
from serving.holding import Holding
from serving.limits import Limits
from serving.metrics import Metrics
from serving.running import Discreet
from tests.ml.conftest import WORDING
from tests.ml.model.test_stored import STORED, stored_files
from tests.rekindle.conftest import database, migrated_database, server_url
from tests.rekindle.publishing.test_publishing import MONDAY, ltv, recall_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from email.message import Message

__all__ = ["database", "migrated_database", "server_url"]

RECALL, LTV = product_named("recall"), product_named("ltv")
SOON_S = 20
STORED_AS = {"recall": "recall_boosting", "ltv": "ltv"}
LAPSED = 12
"""So many of the stored models' 25 users are in recall's population."""


def rows_of(product: str) -> pa.Table:
    """What a stored model reads of 25 users, named as a day's users are."""
    table = pq.read_table(Path(STORED) / STORED_AS[product] / "rows.parquet")
    ids = pa.array([f"u{place:02}" for place in range(table.num_rows)])
    names = [name for name in table.column_names if name not in {"user_id", "day"}]
    return table.select(names).add_column(0, "user_id", ids)


def with_day(rows: pa.Table, day: date = MONDAY) -> pa.Table:
    return rows.append_column("day", pa.array([day] * rows.num_rows, pa.date32()))


def scorer_of(product: str) -> Scorer:
    return Scorer.from_files(stored_files(STORED_AS[product]))


def predicted(product: str, day: date = MONDAY) -> tuple[Any, list[str]]:
    """What the daily run's scorer says of the users, and who they are."""
    rows = with_day(rows_of(product), day)
    scorer = scorer_of(product)
    return scorer.predict(rows, product_named(product).besides(settings())), rows["user_id"].to_pylist()


def scored(product: str) -> np.ndarray:
    """Raw scores as the daily run has them: contributions added up."""
    table = scorer_of(product).score(with_day(rows_of(product)), WORDING)
    return table["raw_score"].to_numpy()


def percentiles(raw: np.ndarray) -> np.ndarray:
    """The percentile of each raw score, as the daily run has it."""
    ahead = np.argsort(np.argsort(-raw, kind="stable"))
    return 100 - ahead * 100 // len(raw)


def model_of(product: str, raw: np.ndarray) -> Model:
    files = stored_files(STORED_AS[product])
    cut_points = np.full(100, np.nan)
    for place in np.argsort(-raw):
        cut_points[percentiles(raw)[place] - 1] = raw[place]
    digest = artifact.digest_of(files)
    return Model(product, f"rekindle_{product}", "3", digest, artifact.pack(files), tuple(cut_points))


def material(users: int = 25) -> Material:
    """Models and inputs of a day: each user has what both models read."""
    inputs = rows_of("recall").slice(0, users)
    for name in (ltv_rows := rows_of("ltv").slice(0, users)).column_names:
        if name not in inputs.column_names:
            inputs = inputs.append_column(name, ltv_rows[name])
    models = (model_of("recall", scored("recall")[: min(LAPSED, users)]), model_of("ltv", scored("ltv")[:users]))
    return Material(models, inputs.to_reader())


def publish_day(day: date = MONDAY, users: int = 25) -> str:
    """Publish a day of made-up scores with what answers are made of."""
    run_id = records.start_run("daily", Days.one(day))
    ids = [f"u{place:02}" for place in range(users)]
    probabilities, raw = predicted("recall", day)[0].by_label["active_1_7"], scored("recall")[:LAPSED]
    lapsed = [
        {"user_id": user, "return_probability": float(probabilities[at]), "raw_score": float(raw[at])}
        | {"percentile": int(percentiles(raw)[at])}
        for at, user in enumerate(ids[:LAPSED])
    ]
    publish({RECALL: recall_rows(*lapsed, day=day), LTV: ltv(ids, day=day)}, day, run_id, material=material(users))
    return run_id


@dataclass
class Service:
    """The service as somebody with a key sees it."""

    url: str
    holding: Holding
    token: str = ""

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the answer as JSON."""
        status, text, _ = self.raw(path, None if body is None else json.dumps(body).encode(), **headers)
        return status, json.loads(text)

    def raw(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Message]:
        told = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        request = urllib.request.Request(self.url + path, body, told)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    def renew(self) -> None:
        """Let it look now whether there is something new."""
        with postgres.connect() as connection:
            self.holding.renew_known(connection)
            self.holding.renew_held(connection)


@contextmanager
def running(per_second: int = 10_000) -> Iterator[Service]:
    """The service over what is published now, at a port of its own."""
    holding, metrics = Holding(), Metrics()
    with postgres.connect() as connection:
        holding.renew_known(connection)
        holding.renew_held(connection)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = application(holding, Limits(per_second), metrics)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http=Discreet))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Service(f"http://127.0.0.1:{listening.getsockname()[1]}", holding)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def service(database: Any) -> Iterator[Service]:  # noqa: ARG001 - what is published is published there
    """The service over a published Monday, and a key that may ask for everything."""
    publish_day()
    token = keys.add("a test", ["score", "rta"])
    with running() as service:
        service.token = token
        yield service


def sent(
    service: Service, method: str, path: str, body: bytes | list[bytes] | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    """Send what no client library would."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
    told = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"} | headers
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in told.items():
            connection.putheader(name, value.encode("latin-1", "replace"))
        if isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(None if isinstance(body, list) else body)
        # Who is refused meanwhile is not read to the end.
        with suppress(OSError):
            for part in body if isinstance(body, list) else ():
                connection.send(part)
        answer = connection.getresponse()
        text = b""
        with suppress(OSError):
            text = answer.read()
        return answer.status, text
    finally:
        connection.close()


def eventually(condition):
    until = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()
