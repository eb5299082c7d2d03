"""
Running DAGs through Airflow from the command line.

Airflow runs in a process of its own: its start, its settings and its log lines stay there. What happened is read from the
run records, so that an error reaches the person who asked with its three sentences.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rekindle import errors, records
from rekindle.days import Days
from rekindle.deliveries import LandingZone, no_delivery
from rekindle.errors import InputError, RekindleError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from rekindle.records import Run, Stage

POLL_SECONDS = 1


def run_days(
    dag_id: str,
    days: Days,
    parameters: dict[str, Any],
    tell: Callable[[Stage], None] = lambda _stage: None,
    *,
    wait_minutes: float = 0,
) -> list[Run]:
    """
    Run a DAG for each day, one after the other, and stop at the first that fails.

    `tell` hears of each stage when it is over; `wait_minutes` is how long a run waits for deliveries. Raises the error
    that a task has raised; raises `already_running` where another command runs one of the days.
    """
    log = settings().home / "logs" / f"{dag_id}-{days.first}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    before = {run.run_id for day in days for run in records.runs(day)}
    command = [sys.executable, "-m", "rekindle.airflow_run", dag_id]
    command += [json.dumps({**parameters, "day": str(day)}) for day in days]
    environment = {**os.environ, "REKINDLE_DELIVERY_DEADLINE_MINUTES": str(wait_minutes)}
    for day in days:
        # Only asked for here, so that the refusal is ours; the process that does the work holds it, and outlives us.
        with records.run_lock(day):
            pass
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603 - our own module
        told: set[tuple[str, str]] = set()
        try:
            while process.returncode is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                _tell_news(days, before, told, tell)
        finally:
            process.kill()
    runs = [run for day in days for run in records.runs(day) if run.run_id not in before]
    if process.returncode:
        raise _what_failed(days, runs, log)
    return runs


def _tell_news(days: Days, before: set[str], told: set[tuple[str, str]], tell: Callable[[Stage], None]) -> None:
    for day in days:
        for stage in records.stages(day=day):
            key = (stage.run_id, stage.stage)
            if stage.run_id not in before and key not in told:
                told.add(key)
                tell(stage)


def _what_failed(days: Sequence[date] | Days, runs: list[Run], log: os.PathLike[str]) -> RekindleError:
    """The error of the first task that failed, as it was raised there."""
    for run in runs:
        for stage in records.stages(run_id=run.run_id):
            if stage.status == "failed" and "error" in stage.detail:
                return errors.again(stage.detail["error"])
    zone = LandingZone()
    for day in days:
        if missing := zone.missing(day):
            return no_delivery(zone, day, missing)
        try:
            zone.refuse_unusable(Days.one(day))
        except InputError as error:
            return error
    why = next((run.error for run in runs if run.error), "Airflow did not get as far as a task")
    return RekindleError(
        f"The run failed: {why}.",
        todo=f"Read {log}.",
        safe="What was released or published before is unchanged.",
        code="run_failed",
    )
