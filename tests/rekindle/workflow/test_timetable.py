"""When runs are made, and what they are called; through Airflow's own writing and reading of a DAG's timetable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables import interval
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

from rekindle.workflow import timetable
from rekindle.workflow.timetable import DayTimetable

if TYPE_CHECKING:
    from collections.abc import Callable

DUE = pendulum.datetime(2018, 1, 1, 3)
THE_DAY = DataInterval(DUE.subtract(days=1), DUE)


@pytest.fixture
def daily() -> DayTimetable:
    """The timetable as Airflow's servers have it: read from what the DAG processor wrote, found by the plugin."""
    return decode_timetable(encode_timetable(DayTimetable("0 3 * * *", dag_id="daily_scores")))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock of the timetable, and of Airflow's beneath it."""

    def set_clock(now: datetime) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # noqa: ARG003 - UTC, as all of ours
                return now

        monkeypatch.setattr(timetable, "datetime", Clock)
        monkeypatch.setattr(interval, "utcnow", lambda: now)

    return set_clock


def run_id(daily: DayTimetable, run_type: DagRunType, data_interval: DataInterval | None = THE_DAY) -> str:
    return daily.generate_run_id(run_type=run_type, run_after=DUE, data_interval=data_interval)


def test_a_run_that_the_scheduler_makes_is_called_by_its_dag_and_its_day(daily):
    scheduled = run_id(daily, DagRunType.SCHEDULED)

    assert scheduled == "daily_scores__2017-12-31__scheduled__2018-01-01T03:00:00+00:00"


def test_a_weekly_run_is_called_by_the_day_that_has_just_finished():
    """Not by the first day of its interval."""
    weekly, week = DayTimetable("0 5 * * 1", dag_id="weekly_training"), DataInterval(DUE.subtract(days=7), DUE)

    assert run_id(weekly, DagRunType.SCHEDULED, week).startswith("weekly_training__2017-12-31__")


def test_a_run_by_hand_is_not_called_by_a_day_that_its_parameters_may_deny(daily):
    assert run_id(daily, DagRunType.MANUAL) == "manual__2018-01-01T03:00:00+00:00"
    assert run_id(daily, DagRunType.ASSET_TRIGGERED, None) == "asset_triggered__2018-01-01T03:00:00+00:00"


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (DUE + timedelta(hours=6), DUE + timedelta(days=1)),
        (DUE - timedelta(minutes=1), DUE),
        # Unpaused in time, and the scheduler is a little late.
        (DUE + timedelta(minutes=2), DUE),
    ],
)
def test_a_dag_that_was_never_scheduled_begins_with_the_next_time_to_come(daily, at, now, first):
    at(now)
    begun = TimeRestriction(pendulum.datetime(1990, 1, 1), None, catchup=False)

    due = daily.next_dagrun_info(last_automated_data_interval=None, restriction=begun)

    assert due.run_after == first
    assert due.data_interval == DataInterval(first - timedelta(days=1), first)


def test_a_scheduler_that_was_down_makes_up_the_last_day(daily, at):
    at(DUE + timedelta(days=3, hours=6))
    begun = TimeRestriction(pendulum.datetime(1990, 1, 1), None, catchup=False)

    due = daily.next_dagrun_info(last_automated_data_interval=THE_DAY, restriction=begun)

    assert due.run_after == DUE + timedelta(days=3)


def test_a_history_that_airflow_builds_begins_where_it_is_told_to(daily, at):
    at(datetime(2018, 3, 1, 12, tzinfo=UTC))
    history = TimeRestriction(DUE.subtract(days=1), DUE.add(days=1), catchup=True)

    due = daily.next_dagrun_info(last_automated_data_interval=None, restriction=history)

    assert due.run_after == DUE
