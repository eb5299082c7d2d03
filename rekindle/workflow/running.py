"""
Running DAGs through Airflow from the command line.

Airflow runs in a process of its own: its start, its settings and its log lines stay there. What happened is read from the
run records, and from nothing else: Airflow calls a run without tasks a success. So an error reaches the person who asked
with its three sentences.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rekindle import errors, postgres, records
from rekindle.days import Days
from rekindle.errors import InputError, RekindleError
from rekindle.landing.zone import LandingZone, no_delivery
from rekindle.progress import SILENT
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from rekindle.progress import Progress, Step
    from rekindle.records import Run, Stage

POLL_SECONDS = 1
WAITS = "wait_for_deliveries"
"""The task that is no stage, so that its error is not on record: what it found wrong is still in the landing zone."""
KEPT = "What was released or published before is unchanged."


@dataclass(frozen=True)
class _Plan:
    """The runs of one command: known before they begin, and told apart from those of any other command."""

    dag_id: str
    days: Days
    mark: str

    def name(self, day: date) -> str:
        """Airflow's id of the run of a day."""
        return f"{self.dag_id}__{day}__{self.mark}"

    def run_id(self, day: date) -> str:
        """Our id of the run of a day."""
        return records.run_id_of(self.name(day), day)

    @property
    def log(self) -> Path:
        """What Airflow's process says, and no other's."""
        return settings().home / "logs" / f"{self.dag_id}-{self.days.first}-{self.mark}.log"

    @property
    def failure(self) -> Path:
        """Where that process leaves an error that no task has raised."""
        return self.log.with_suffix(".error.json")


def run_days(
    dag_id: str,
    days: Days,
    parameters: dict[str, Any],
    tell: Callable[[Stage], None] = lambda _stage: None,
    *,
    of_day: Callable[[date], dict[str, Any]] = lambda _day: {},
    wait_minutes: float = 0,
    progress: Progress = SILENT,
) -> list[Run]:
    """
    Run a DAG for each day, one after the other, and stop at the first that fails; returns the runs, all of them done, or
    `unchanged` where there was nothing to do.

    `of_day` gives further parameters of a day; `tell` hears of each stage when it is over; `wait_minutes` is how long a run
    waits for deliveries. Raises the error that a task has raised, or Airflow's process outside of a task; `already_running`
    where another command runs one of the days; `not_run` where the record does not say that a run has ended well.
    """
    records.close_dead_runs()
    plan = _Plan(dag_id, days, uuid4().hex[:8])
    plan.log.parent.mkdir(parents=True, exist_ok=True)
    for day in days:
        # Asked for here so that the refusal comes at once; the process that does the work holds it, and outlives us.
        with postgres.run_lock(day):
            pass
    command = [sys.executable, "-m", "rekindle.workflow.airflow_run", dag_id, str(plan.failure)]
    command += [
        json.dumps({"run_id": plan.name(day), "conf": {**parameters, **of_day(day), "day": str(day)}}) for day in days
    ]
    each = records.run_seconds(parameters["kind"])
    with progress.step(f"{dag_id} of {days}", total=len(days), expected=each and each * len(days)) as step:
        exit_code = _watch(plan, command, tell, wait_minutes, step)
    runs = {day: records.find_run(plan.run_id(day)) for day in days}
    done = []
    for day, run in runs.items():
        if run is None or run.status not in {"done", "unchanged"}:
            raise _what_failed(plan, day, run, exit_code)
        done.append(run)
    if exit_code:
        raise _outside_of_tasks(plan, exit_code)
    return done


def _watch(plan: _Plan, command: list[str], tell: Callable[[Stage], None], wait_minutes: float, step: Step) -> int:
    """Run Airflow's process and tell of each stage as it ends; returns the exit code."""
    environment = {**os.environ, "REKINDLE_DELIVERY_DEADLINE_MINUTES": str(wait_minutes)}
    told: set[tuple[str, str]] = set()
    with plan.log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603 - our own module
        try:
            while process.returncode is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                _tell_news(plan, told, tell)
                step.reached(_days_over(plan, step.done), len(plan.days))
        finally:
            process.kill()
            process.wait()
            _close_records(plan)
    return process.returncode


def _tell_news(plan: _Plan, told: set[tuple[str, str]], tell: Callable[[Stage], None]) -> None:
    for day in plan.days:
        for stage in records.stages(run_id=plan.run_id(day)):
            key = (stage.run_id, stage.stage)
            if key not in told:
                told.add(key)
                tell(stage)


def _days_over(plan: _Plan, known: int) -> int:
    """How many days' runs are over, of which so many are known to be: they run one after the other."""
    for day in plan.days.all[known:]:
        run = records.find_run(plan.run_id(day))
        if run is None or run.status == "running":
            return known
        known += 1
    return known


def _close_records(plan: _Plan) -> None:
    """A process that was killed could not record that its run is over."""
    for day in plan.days:
        run = records.find_run(plan.run_id(day))
        if run and run.status == "running":
            records.finish_run(run.run_id, "failed", records.DIED)


def _what_failed(plan: _Plan, day: date, run: Run | None, exit_code: int) -> RekindleError:
    """The error of the first task that failed, as it was raised there; else what kept the run from its end."""
    for stage in records.stages(run_id=plan.run_id(day)):
        if stage.status == "failed" and "error" in stage.detail:
            return errors.again(stage.detail["error"])
    if exit_code and (run is None or plan.failure.exists()):
        return _outside_of_tasks(plan, exit_code)
    if run is None:
        return RekindleError(
            f"Airflow ran no task of {plan.dag_id} for {day}: nothing is recorded of the run.",
            todo=f"See whether the DAG starts after {day}; {plan.log} says what Airflow did.",
            safe=KEPT,
            code="not_run",
        )
    if (run.error or "").startswith(WAITS) and (error := _unusable(day)):
        return error
    return RekindleError(
        f"The run of {day} failed: {run.error or f'its record says {run.status}'}.",
        todo=f"Read {plan.log}.",
        safe=KEPT,
        code="run_failed",
    )


def _unusable(day: date) -> InputError | None:
    zone = LandingZone()
    if missing := zone.holding_up(day):
        return no_delivery(zone, day, missing)
    try:
        zone.refuse_unusable(Days.one(day))
    except InputError as error:
        return error
    return None


def _outside_of_tasks(plan: _Plan, exit_code: int) -> RekindleError:
    """The error that ended Airflow's process while no task ran."""
    told = json.loads(plan.failure.read_text(encoding="utf-8")) if plan.failure.exists() else {}
    if "what" in told:
        return errors.again(told)
    why = told.get("name") or (signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}")
    return RekindleError(
        f"Airflow's process ended outside of a task: {why}.",
        todo=f"Read {plan.log}.",
        safe=KEPT,
        code="run_failed",
    )
