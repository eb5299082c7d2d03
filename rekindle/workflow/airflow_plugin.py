"""What Airflow learns of Rekindle where it is installed: by the entry point `airflow.plugins` of pyproject.toml."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from rekindle.workflow.timetable import DayTimetable


class RekindlePlugin(AirflowPlugin):
    name = "rekindle"
    timetables = [DayTimetable]  # noqa: RUF012 - Airflow declares it so
