"""While others ask: a new day takes the place of the old one, and Postgres goes away."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rekindle.settings import settings
from serving.holding import Renewing
from tests.rekindle.publishing.test_publishing import MONDAY, TUESDAY
from tests.serving.conftest import eventually, publish_day

ASKING = 4


@pytest.fixture
def renewing(service):
    """The thread that looks whether there is something new, ten times a second."""
    thread = Renewing(service.holding, every_seconds=0.1)
    thread.start()
    yield thread
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


def test_without_postgres_it_goes_on_and_comes_back_by_itself(service, renewing, monkeypatch):
    url = settings().database_url
    monkeypatch.setenv("REKINDLE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("rekindle.postgres.RETRY_PAUSES_SECONDS", ())
    settings.cache_clear()
    known = service.holding.known
    _end_all_sessions(url)
    eventually(lambda: renewing.is_alive() and service.holding.known is not None)
    time.sleep(0.5)

    assert service.ask("/v1/scores/recall/u03")[0] == 200
    stale = service.holding.known
    monkeypatch.setenv("REKINDLE_DATABASE_URL", url)
    settings.cache_clear()
    eventually(lambda: service.holding.known.at > max(stale.at, known.at))


def _end_all_sessions(url):
    import psycopg

    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
