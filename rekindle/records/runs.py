"""Runs, the stages they went through with their durations by a monotonic clock, and the Iceberg snapshots they read."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from rekindle.errors import RekindleError
from rekindle.points import durable
from rekindle.postgres import held, transact
from rekindle.records.rows import OF_RUN_AND_DAY, SAME_AGAIN, insert_many, jsonb_of, select, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from rekindle.days import Days
    from rekindle.postgres import Connection


@dataclass(frozen=True)
class Run:
    run_id: str
    kind: str
    first_day: date
    last_day: date
    status: Literal["running", "done", "failed", "unchanged"]
    """`unchanged`: an earlier run had done all that this one would have."""
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    dag_run_id: str | None


@dataclass(frozen=True)
class Stage:
    """One step of a run for one day."""

    run_id: str
    day: date
    stage: str
    status: Literal["done", "failed"]
    seconds: float
    row_count: int | None
    detail: dict[str, Any]
    recorded_at: datetime


@dataclass
class StageNotes:
    """What a stage wants to have recorded about itself."""

    row_count: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def new_run_id() -> str:
    return uuid4().hex


def run_id_of(dag_run_id: str, day: date) -> str:
    """Our id of a DAG run's day: the same in each of its tasks, another one for another run."""
    return uuid5(NAMESPACE_URL, f"airflow {dag_run_id} {day}").hex


def start_run(kind: str, days: Days, *, dag_run_id: str | None = None, run_id: str | None = None) -> str:
    """Record that a run has begun and return its id. A given id that exists begins again."""
    run_id = run_id or new_run_id()
    with durable("start of a run", kind):
        transact(
            lambda connection: connection.execute(
                """
                insert into rekindle.run (run_id, kind, first_day, last_day, dag_run_id) values (%s, %s, %s, %s, %s)
                on conflict (run_id) do update set status = 'running', finished_at = null, error = null
                """,
                [run_id, kind, days.first, days.last, dag_run_id],
            )
        )
    return run_id


def finish_run(run_id: str, status: Literal["done", "failed", "unchanged"], error: str | None = None) -> None:
    """Record how a run ended. `error` is text for people and holds neither personal data nor secrets."""
    with durable("end of a run"):
        transact(
            lambda connection: connection.execute(
                "update rekindle.run set status = %s, finished_at = clock_timestamp(), error = %s where run_id = %s",
                [status, None if error is None else text_of(error), run_id],
            )
        )


@contextmanager
def own_run(kind: str, days: Days) -> Iterator[str]:
    """
    A run of this process alone: recorded as it begins, and how it ends.

    Who is killed records nothing. So its process holds a lock while it lives, and whoever begins next finds that it is free.
    """
    run_id = new_run_id()
    with held(f"run {run_id}"):
        close_dead_runs()
        start_run(kind, days, run_id=run_id)
        try:
            yield run_id
        except BaseException as error:
            finish_run(run_id, "failed", str(error) if isinstance(error, RekindleError) else type(error).__name__)
            raise
        finish_run(run_id, "done")


DIED = "its process ended before the run did"

CLOSE_DEAD = """
    update rekindle.run set status = 'failed', finished_at = clock_timestamp(), error = %(why)s
    where status = 'running' and (
        (dag_run_id is null and pg_try_advisory_xact_lock(hashtextextended('rekindle run ' || run_id, 0)))
        or (dag_run_id ~ %(of_command)s and (
            first_day = %(held_day)s
            or pg_try_advisory_xact_lock(hashtextextended('rekindle run of ' || first_day, 0))
        ))
    )
"""

OF_COMMAND = r"^\w+__\d{4}-\d\d-\d\d__[0-9a-f]{8}$"
"""How the command line calls its runs of a DAG: the process that does one holds the lock of its day."""


def close_dead_runs(held_day: date | None = None) -> int:
    """
    Record that runs have failed whose process is gone; returns how many they were. Those of Airflow's scheduler are its own.

    `held_day` is the day of which the caller is the only run: another that is said to be running is dead.
    """
    values = {"why": DIED, "of_command": OF_COMMAND, "held_day": held_day}
    return transact(lambda connection: connection.execute(CLOSE_DEAD, values).rowcount)


def close_run_of(dag_run_id: str, why: str) -> Run | None:
    """Record that a run of Airflow has failed, unless its end is recorded; returns it as it was, None where it was."""
    found = select(Run, "rekindle.run where dag_run_id = %s and status = 'running'", [dag_run_id])
    for run in found:
        finish_run(run.run_id, "failed", why)
    return found[0] if found else None


def find_run(run_id: str) -> Run | None:
    """Find what is recorded of a run; None where nothing is."""
    found = select(Run, "rekindle.run where run_id = %s", [run_id])
    return found[0] if found else None


def runs(day: date) -> list[Run]:
    """Find the runs that `day` belongs to, oldest first."""
    return select(Run, "rekindle.run where %s between first_day and last_day order by started_at", [day])


RECORD_STAGE = """
    insert into rekindle.stage (run_id, day, stage, status, seconds, row_count, detail)
    values (%s, %s, %s, %s, %s, %s, %s)
    on conflict (run_id, day, stage) do update
    set status = excluded.status, seconds = excluded.seconds, row_count = excluded.row_count,
        detail = excluded.detail, recorded_at = excluded.recorded_at
"""


@contextmanager
def stage(run_id: str, day: date, name: str) -> Iterator[StageNotes]:
    """Record how long a step of a run took, also when it failed. A re-run replaces the record."""
    notes, begun = StageNotes(), time.monotonic()

    def record(status: str) -> None:
        values = [run_id, day, name, status, time.monotonic() - begun, notes.row_count, jsonb_of(notes.detail)]
        with durable("stage", name):
            transact(lambda connection: connection.execute(RECORD_STAGE, values))

    try:
        yield notes
    except Exception:
        record("failed")
        raise
    record("done")


def stages(*, run_id: str | None = None, day: date | None = None) -> list[Stage]:
    """Find the stages of a run, of a day, or of a run's day, in the order in which they ended."""
    return select(Stage, f"rekindle.stage where {OF_RUN_AND_DAY} order by recorded_at", {"run_id": run_id, "day": day})


def durations(name: str) -> list[tuple[int, float]]:
    """How many days the last stages of a name went over that ended well, and their seconds; the latest first."""
    return transact(
        lambda connection: connection.execute(
            """
            select coalesce((stage.detail ->> 'days')::int, run.last_day - run.first_day + 1), stage.seconds
            from rekindle.stage join rekindle.run using (run_id)
            where stage.stage = %s and stage.status = 'done' and not stage.detail ? 'kept'
            order by stage.recorded_at desc limit 20
            """,
            [name],
        ).fetchall()
    )


def run_seconds(kind: str) -> float | None:
    """How long a day's run of a kind took, the median of the last ones that ended well; None before there is one."""
    sql = """
        select percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at))
        from (
            select * from rekindle.run where kind = %s and status = 'done' and first_day = last_day
            order by started_at desc limit 5
        ) as last
    """
    ((seconds,),) = transact(lambda connection: connection.execute(sql, [kind]).fetchall())
    return seconds


def record_snapshots(run_id: str, snapshots: Mapping[str, int]) -> None:
    """Record which Iceberg snapshots a run read, by table."""
    transact(
        lambda connection: insert_many(
            connection,
            "rekindle.run_snapshot (run_id, table_name, snapshot_id)",
            [(run_id, table, snapshot_id) for table, snapshot_id in snapshots.items()],
            again=SAME_AGAIN,
        )
    )


def snapshots(run_id: str) -> dict[str, list[int]]:
    """Find the Iceberg snapshots that a run read, by table."""

    def work(connection: Connection) -> dict[str, list[int]]:
        return dict(
            connection.execute(
                """
                select table_name, array_agg(snapshot_id order by snapshot_id)
                from rekindle.run_snapshot where run_id = %s group by table_name order by table_name
                """,
                [run_id],
            ).fetchall()
        )

    return transact(work)
