"""While others ask: a new day takes the place of the old one, and Postgres goes away."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from rekindle import platform as local_platform
from rekindle import postgres
from rekindle.platform import postgres as postgres_server
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import settings
from serving import keys
from tests.homes import HOMES
from tests.rekindle.publishing.test_publishing import MONDAY, TUESDAY
from tests.serving.conftest import SOON_S, eventually, publish_day, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKING = 4


@pytest.fixture
def renewing(service):
    """The threads that look whether there is something new, ten times a second."""
    threads = service.holding.renewing(every_seconds=0.1)
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.end()


@pytest.mark.usefixtures("renewing")
def test_a_day_is_swapped_under_load_without_an_answer_of_two_days(service):
    asked, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            asked.append(service.ask("/v1/scores/recall/u03"))
            asked.append(service.ask("/v1/scores/recall", {"users": ["u03", "u04"]}))

    with ThreadPoolExecutor(ASKING) as pool:
        each = [pool.submit(ask) for _ in range(ASKING)]
        for day in (TUESDAY, MONDAY.replace(day=7)):
            publish_day(day)
            eventually(lambda day=day: service.holding.held.offers["recall"].day == day)
            before = len(asked)
            eventually(lambda before=before: len(asked) > before + 10 * ASKING)
        ended.set()
        for one in each:
            one.result()

    assert {status for status, _ in asked} == {200}
    assert {told["day"] for _, told in asked} == {"2017-06-05", "2017-06-06", "2017-06-07"}
    # A current row says on which day it last changed, so no later one than the answer's.
    assert all(told["score"]["day"] <= told["day"] for _, told in asked if "score" in told)


@pytest.fixture
def own_server(server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:  # noqa: ARG001 - says that it is one
    """A Postgres that nobody else uses, with a published Monday."""
    home = Home(HOMES.new())
    passwords = credentials(home)
    port = postgres_server.start(home, passwords.postgres)
    url = f"postgresql://postgres:{passwords.postgres}@127.0.0.1:{port}/postgres"
    monkeypatch.setenv("REKINDLE_DATABASE_URL", url)
    settings.cache_clear()
    postgres.migrate()
    publish_day()
    yield home
    postgres.disconnect()
    local_platform.delete(home.path)
    settings.cache_clear()


def test_postgres_is_killed_and_answers_go_on_until_it_is_back(own_server):
    token = keys.add("a test", ["score"])
    with running() as service:
        service.token = token
        renewing = service.holding.renewing(every_seconds=0.1)
        for thread in renewing:
            thread.start()
        killed_at = service.holding.known.at
        processes = [server := postgres_server.postmaster(own_server), *server.children()]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=SOON_S)
        asked = [
            service.ask(path)[0] for path in ("/v1/scores/recall/u03", "/v1/models/ltv", "/health") for _ in range(20)
        ]
        assert set(asked) == {200}

        postgres_server.start(own_server, credentials(own_server).postgres)
        publish_day(TUESDAY)
        eventually(lambda: service.holding.known.at > killed_at)
        eventually(lambda: service.ask("/v1/scores/recall/u03")[1]["day"] == str(TUESDAY))
        for thread in renewing:
            thread.end()


def test_whatever_goes_wrong_it_looks_again(service, caplog, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("u03")

    monkeypatch.setattr("serving.holding.read_known", broken)
    (known, _) = service.holding.renewing(every_seconds=0.01)
    known.start()
    eventually(lambda: caplog.text.count("renew_known did not succeed, and what is held stays: ZeroDivisionError") > 1)
    assert known.is_alive() and "u03" not in caplog.text
    known.end()
