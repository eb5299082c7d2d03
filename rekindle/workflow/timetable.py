"""
When our DAGs run, and what Airflow calls their runs.

Airflow takes a timetable of one's own only from a plugin: `airflow_plugin`, which is there wherever Rekindle is installed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.types import DagRunType

if TYPE_CHECKING:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import DateTime

LATE = timedelta(minutes=15)
"""How late the scheduler may be with the first run of a DAG; the file is read again, and asks again, every half minute."""


class DayTimetable(CronDataIntervalTimetable):
    """
    Runs a DAG at the times of a cron expression (UTC), each time for the day that has just finished.

    In two things it is not Airflow's own. A run that the scheduler makes is called by its DAG and its day, as those of the
    command line are. And a DAG that was never scheduled begins with the next time to come: Airflow would make a
    run of the interval that has just passed at once, when somebody unpauses the DAG to run another day by hand.
    """

    def __init__(self, cron: str, *, dag_id: str) -> None:
        super().__init__(cron, timezone="UTC")
        self.dag_id = dag_id

    def serialize(self) -> dict[str, Any]:
        return {"cron": self._expression, "dag_id": self.dag_id}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DayTimetable:
        return cls(data["cron"], dag_id=data["dag_id"])

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """
        Put DAG and day before what Airflow would call the run.

        Of a run made by hand nobody says here which day it names, and for one of a backfill Airflow does not ask.
        """
        usual = super().generate_run_id(run_type=run_type, run_after=run_after, data_interval=data_interval, **extra)
        if run_type != DagRunType.SCHEDULED or data_interval is None:
            return usual
        return f"{self.dag_id}__{data_interval.end.date() - timedelta(1)}__{usual}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next run: for a DAG that was never scheduled none that is due longer than a scheduler may be late."""
        due = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        begins = last_automated_data_interval is None and not restriction.catchup
        if due is None or not begins or due.run_after > datetime.now(UTC) - LATE:
            return due
        return DagRunInfo.interval(start=due.run_after, end=self._get_next(due.run_after))
