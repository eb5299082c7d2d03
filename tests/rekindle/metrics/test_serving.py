"""The metrics over HTTP: one path, and one question at a time."""

from __future__ import annotations

import threading
import time
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

import pytest

from rekindle.metrics import Metric, Sample
from rekindle.metrics.serving import Kept, server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server answers that counts how often it was asked anew."""
    asked: list[int] = []

    def gather() -> list[Metric]:
        asked.append(1)
        return [Metric("rekindle_asked", "Times.", (Sample(len(asked)),))]

    with server("127.0.0.1", 0, gather) as answering:
        thread = threading.Thread(target=answering.serve_forever)
        thread.start()
        yield answering.server_port
        answering.shutdown()
        thread.join()


def get(port: int, path: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse()


def test_it_answers_at_its_path_and_keeps_the_answer(port: int):
    for path in ("/metrics", "/metrics?x=1"):
        page = get(port, path)

        assert page.status == 200
        assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert page.read().decode().endswith("rekindle_asked 1\n")


def test_nothing_is_elsewhere(port: int):
    assert get(port, "/").status == 404


def test_an_answer_is_asked_anew_when_it_is_old():
    asked = iter("ab")
    kept = Kept(lambda: next(asked), seconds=0.05)

    assert (kept.answer(), kept.answer()) == ("a", "a")
    time.sleep(0.06)
    assert kept.answer() == "b"


def test_many_who_ask_at_once_ask_once():
    asked: list[int] = []

    def slowly() -> str:
        time.sleep(0.05)
        asked.append(1)
        return "a"

    kept = Kept(slowly, seconds=60)
    threads = [threading.Thread(target=kept.answer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asked) == 1
