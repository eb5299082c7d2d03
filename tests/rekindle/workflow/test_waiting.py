"""Waiting for the deliveries of a day, with a landing zone of files; Airflow's own loop is tried by the workflow's tests."""

from __future__ import annotations

import asyncio
import threading
from datetime import date
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from rekindle.landing.zone import LandingZone
from rekindle.settings import settings
from rekindle.workflow import waiting
from rekindle.workflow.waiting import DeliveryTrigger, WaitForDeliveries
from tests.bad_inputs import bad_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = date(2023, 5, 4)


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a day's delivery of users, which is not complete; a blank in the path, because people's have them."""
    zone = tmp_path / "landing zone"
    # As a URL: what reads it reads an object store in the same way.
    monkeypatch.setenv("REKINDLE_LANDING", zone.as_uri())
    settings.cache_clear()
    folder = zone / "users" / f"day={DAY}"
    folder.mkdir(parents=True)
    events = zone / "events" / folder.name
    events.mkdir(parents=True)
    (events / "_SUCCESS").touch()
    yield folder
    settings.cache_clear()


@pytest.fixture
def wait() -> WaitForDeliveries:
    return WaitForDeliveries(task_id="wait", day=str(DAY))


def event_of(trigger: DeliveryTrigger) -> list[str]:
    """What a trigger yields, made again as the triggerer does."""
    _, arguments = trigger.serialize()
    return asyncio.run(anext(aiter(DeliveryTrigger(**arguments).run()))).payload


def test_a_day_that_is_there_is_not_waited_for(users, wait, capsys):
    (users / "_SUCCESS").touch()

    line = f"All that is expected for {DAY} has been delivered: users, events."
    assert wait.execute({}) == line
    assert line in capsys.readouterr().out, "Airflow logs what a function returns, and not what an operator does."


@pytest.mark.usefixtures("users")
def test_a_day_that_is_not_there_gives_the_worker_back(wait):
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({})

    assert deferred.value.trigger.day == str(DAY)
    assert deferred.value.trigger.deadline_seconds == settings().delivery_deadline_minutes * 60


@pytest.mark.usefixtures("users")
def test_a_history_goes_on_where_a_delivery_is_absent():
    line = WaitForDeliveries(task_id="wait", day=str(DAY), kind="backfill").execute({})

    assert line == f"A backfill waits for nothing. Delivered for {DAY}: events."


def test_what_comes_in_time_ends_the_wait(users):
    coming = threading.Timer(0.3, (users / "_SUCCESS").touch)
    coming.start()

    assert event_of(DeliveryTrigger(str(DAY), deadline_seconds=30, poll_seconds=0.1)) == []
    assert coming.finished.is_set()


@bad_input("no `_SUCCESS`", gets="E")
@pytest.mark.usefixtures("users")
def test_what_never_comes_is_named_when_the_deadline_is_over(wait):
    missing = event_of(DeliveryTrigger(str(DAY), deadline_seconds=0.2, poll_seconds=0.1))

    assert missing == ["users"]
    with pytest.raises(AirflowFailException, match=rf"no_delivery: .*users/day={DAY}/_SUCCESS"):
        wait.arrived({}, missing)


@bad_input("an opt-out delivery that is missing", gets="fine")
def test_what_permission_is_made_of_is_waited_for_and_stops_no_scores(users, wait):
    """Once consents have come they are waited for; where they do not come, or cannot be used, the day is scored all the same."""
    (users / "_SUCCESS").touch()
    for day, content in (("2023-05-03", "consent_id\n"), (users.name.removeprefix("day="), "consent_id\n")):
        folder = users.parents[1] / "consents" / f"day={day}"
        folder.mkdir(parents=True)
        (folder / "rows.csv").write_text(content)
    (folder.parent / "day=2023-05-03" / "_SUCCESS").touch()

    missing = event_of(DeliveryTrigger(str(DAY), deadline_seconds=0.2, poll_seconds=0.1))
    assert missing == ["consents"]
    line = f"Nobody is permitted anew on {DAY}: consents did not come. Delivered: users, events."
    assert wait.arrived({}, missing) == line

    (folder / "_SUCCESS").touch()
    assert wait.execute({}) == f"All that is expected for {DAY} has been delivered: users, consents, events."


def test_a_source_that_cannot_be_used_stops_the_day_before_another_is_loaded(users, wait):
    (users / "_SUCCESS").touch()
    orders = users.parents[1] / "orders" / users.name
    orders.mkdir(parents=True)
    (orders / "_SUCCESS").touch()
    (orders / "rows.csv").write_text("order_id,userId\no,ada\n")

    with pytest.raises(AirflowFailException, match=r"rows\.csv has no column 'user_id'.*Did you mean 'userId'"):
        wait.execute({})


@pytest.mark.usefixtures("users")
def test_a_landing_zone_that_does_not_answer_for_a_while_does_not_end_the_wait(wait, monkeypatch):
    """In a trigger an error would end it, and `dag.test` would wait for ever. At the end the task says what is."""
    looks = iter([OSError("endpoint"), ["users"], OSError("endpoint"), []])

    def look(_day):
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(waiting, "missing_sources", look)
    trigger = DeliveryTrigger(str(DAY), deadline_seconds=30, poll_seconds=0.01)

    assert asyncio.run(anext(aiter(trigger.run()))).payload == []
    looks = iter([OSError("endpoint"), OSError("endpoint")])
    trigger = DeliveryTrigger(str(DAY), deadline_seconds=0, poll_seconds=0.01)
    event = asyncio.run(anext(aiter(trigger.run()))).payload
    with pytest.raises(OSError, match="endpoint"):
        wait.arrived({}, event)


def test_where_a_source_is_a_table_the_task_itself_looks_again_and_gives_the_worker_back_in_between(wait, monkeypatch):
    """A triggerer does not reach Spark, which alone knows what has arrived there."""
    looks = iter([["orders"], ["orders"], OSError("Spark"), []])

    def look(_day):
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(waiting, "missing_sources", look)
    monkeypatch.setattr(LandingZone, "asks_spark", True)
    monkeypatch.setattr(WaitForDeliveries, "arrived", lambda _task, _context, missing: f"missing: {missing}")
    poll, left = settings().delivery_poll_seconds, settings().delivery_deadline_minutes * 60

    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({})
    for _ in range(2):
        left -= poll
        asleep = deferred.value
        assert type(asleep.trigger).__name__ == "TimeDeltaTrigger"
        assert (asleep.method_name, asleep.kwargs) == ("look_again", {"seconds": left})
        with pytest.raises(TaskDeferred) as deferred:
            wait.look_again({}, None, seconds=left)
    assert wait.look_again({}, None, seconds=left - poll) == "missing: []"

    monkeypatch.setattr(waiting, "missing_sources", lambda _day: ["orders"])
    assert wait.look_again({}, None, seconds=0.0) == "missing: ['orders']", "The deadline is over."


@pytest.mark.usefixtures("users")
def test_a_source_that_is_declared_wrongly_is_not_waited_for(wait, monkeypatch):
    monkeypatch.setenv("REKINDLE_SOURCES", '{"orders": {"iceberg": "lake.sales.orders"}}')
    settings.cache_clear()

    with pytest.raises(AirflowFailException, match="source_misdeclared"):
        wait.look_again({}, None, seconds=60.0)
