"""
What Rekindle records about its runs, in Postgres (schema `rekindle`), and the locks that runs hold.

Every time comes from Postgres' clock, durations from a monotonic one.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from rekindle.days import Days

RETRY_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Pauses before each further attempt: a restart of Postgres takes a few seconds, an outage is a person's work."""

LOCK_WAIT_SECONDS = 600.0
"""A table is branched, written, audited and released within minutes: who waits longer waits for something broken."""

LOCK_POLL_SECONDS = 0.2

SESSION = {
    "application_name": "rekindle",
    "timezone": "UTC",
    # Who waited for a lock must then see what its holder has committed, whatever the database's default is.
    "default_transaction_isolation": "read committed",
    "statement_timeout": "300s",
    "lock_timeout": "60s",
    # A client whose machine vanished is noticed within a minute, so that its locks do not outlive it by hours.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "4",
}

TRANSIENT = ("08", "40", "53", "57P")
"""Classes of SQLSTATE that may pass by themselves: connection, serialization or deadlock, resources, shutdown."""

REFUSALS = (
    psycopg.OperationalError,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
)
"""What Postgres says when it, and not our SQL, is the matter. Their texts name relations and roles, never values."""

Connection = psycopg.Connection[Any]
T = TypeVar("T")

Severity = Literal["stop", "warn"]


# Connections


def connect() -> Connection:
    """Open a session on the database of the published scores; `with` commits it and closes it."""
    target = _target()
    for pause in (*RETRY_PAUSES_SECONDS, None):
        try:
            connection = psycopg.connect(settings().database_url, connect_timeout=target.get("connect_timeout", 10))
            with connection.transaction():
                connection.execute(
                    "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as s(name, value)",
                    [list(SESSION), list(SESSION.values())],
                )
        except psycopg.OperationalError as error:
            if pause is None:
                raise refused(error) from error
            time.sleep(pause)
        else:
            return connection
    raise AssertionError("the last attempt returns or raises")


def transact(work: Callable[[Connection], T]) -> T:
    """
    Do `work` in one transaction, again if the connection or the transaction was lost.

    After a lost connection nobody knows whether the commit arrived, so doing `work` twice must be doing it once. What
    `work` sets for longer than its transaction, the process's next transaction finds.
    """
    # A connection that was kept may have ended since, which says nothing about the server.
    pauses = (0.0, *RETRY_PAUSES_SECONDS, None) if _KEPT else (*RETRY_PAUSES_SECONDS, None)
    for pause in pauses:
        try:
            with _kept_connection() as connection:
                return work(connection)
        except REFUSALS as error:
            if pause is None or not _is_transient(error):
                raise refused(error) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _kept_connection() -> Iterator[Connection]:
    """
    Hand out the connection that this process keeps, or open one; commit what was done with it.

    A log-in takes longer than most questions.

    Who holds one has it alone. One is kept, so that threads that ask at once do not leave theirs behind; one that something
    went wrong with is closed.
    """
    url = settings().database_url
    kept_url, connection = _KEPT.pop() if _KEPT else ("", None)
    if connection is None or connection.closed or kept_url != url:
        if connection is not None:
            connection.close()
        connection = connect()
        # A table that is migrated meanwhile would break the plans that this session has prepared.
        connection.prepare_threshold = None
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.close()
        raise
    if _KEPT:
        connection.close()
    else:
        _KEPT.append((url, connection))


_KEPT: list[tuple[str, Connection]] = []
"""The connection that waits for the next transaction, with its URL. Lists are taken from and added to by one thread at a time."""

_PARENTS: list[tuple[str, Connection]] = []
"""What a forked process finds, and must neither use nor end: the parent still speaks on it."""


def disconnect() -> None:
    """Close the connection that is kept; the next transaction opens another."""
    while _KEPT:
        _KEPT.pop()[1].close()


def _leave_to_parent() -> None:
    _PARENTS.extend(_KEPT)
    _KEPT.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
atexit.register(disconnect)


def refused(error: psycopg.Error) -> InputError:
    """Say which server refused and why, without the secret that the URL holds."""
    target = _target()
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = error.diag.message_primary or (lines[-1].strip() if lines else type(error).__name__)
    where = f"host {target.get('host', 'local socket')}, port {target.get('port', 5432)}, database {_database(target)}"
    return InputError(
        f"Postgres did not do what was asked ({where}): {reason}.",
        todo="See that it runs, that REKINDLE_DATABASE_URL is right and that `rekindle up` has migrated it.",
        safe="The transaction was rolled back: readers keep what they had.",
        code="postgres_unavailable",
    )


def _target() -> dict[str, Any]:
    try:
        target = conninfo_to_dict(settings().database_url)
    except psycopg.ProgrammingError:
        target = None  # the parser's error quotes the URL, and so the password
    if not target:
        raise InputError(
            "REKINDLE_DATABASE_URL is empty or not a libpq URL.",
            todo="Write it as postgresql://user:password@host:port/database, with special characters percent-encoded.",
        )
    return target


def _database(target: Mapping[str, Any]) -> str:
    return target.get("dbname") or target.get("user") or "of the user's name"


def _is_transient(error: psycopg.Error) -> bool:
    """An OperationalError without SQLSTATE is libpq's own: the connection is gone."""
    return error.sqlstate is None or error.sqlstate.startswith(TRANSIENT)


def migrate() -> None:
    """Bring the schemas `rekindle` and `sms` up to date. Does nothing where they are."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(PROJECT / "rekindle" / "migrations"))
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        if isinstance(error.orig, REFUSALS):
            raise refused(error.orig) from error
        raise
    except CommandError as error:
        raise InputError(
            f"The database cannot be migrated by this version of Rekindle: {error}.",
            todo="A newer Rekindle has migrated it: use that one.",
        ) from error


def today() -> date:
    """Return the current UTC day by Postgres' clock."""
    return transact(lambda connection: _one(connection.execute("select (clock_timestamp() at time zone 'utc')::date")))


# Locks


class Lock:
    """A lock that Postgres holds for this process for as long as its session lives."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name, self._connection = name, connection

    def verify(self) -> None:
        """Fail when the session was lost, and with it the lock: someone else may be writing. Ask before releasing."""
        try:
            self._connection.execute("select 1")
        except psycopg.OperationalError as error:
            raise InputError(
                f"The lock on {self.name} was lost: its Postgres session ended while it was held.",
                todo="Run again.",
                safe="Nothing was released under a lost lock.",
                code="lock_lost",
            ) from error


@contextmanager
def table_lock(name: str, *, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[Lock]:
    """Be the only one, on any machine, that branches, writes, audits, releases or tidies the table `name`."""
    with _lock(f"table {name}", wait_seconds) as lock:
        yield lock


@contextmanager
def run_lock(day: date, *, wait_seconds: float = 0.0) -> Iterator[Lock]:
    """Be the only run of `day`."""
    with _lock(f"run of {day}", wait_seconds) as lock:
        yield lock


@contextmanager
def _lock(name: str, wait_seconds: float) -> Iterator[Lock]:
    # The session belongs to the lock alone: a session-level lock ends with it, also by kill -9.
    with connect() as connection:
        connection.autocommit = True
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(connection, name):
            if time.monotonic() >= deadline:
                raise InputError(
                    f"Another process holds the {name}.",
                    todo="Wait for it to end, or end it, and run again; the lock of a dead process frees itself.",
                    code="already_running",
                )
            time.sleep(LOCK_POLL_SECONDS)
        lock = Lock(name, connection)
        yield lock
        lock.verify()


def _try_lock(connection: Connection, name: str) -> bool:
    question = "select pg_try_advisory_lock(hashtextextended('rekindle ' || %s, 0))"
    return _one(connection.execute(question, [name]))


# Runs and their stages


@dataclass(frozen=True)
class Run:
    run_id: str
    kind: str
    first_day: date
    last_day: date
    status: Literal["running", "done", "failed"]
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


def finish_run(run_id: str, status: Literal["done", "failed"], error: str | None = None) -> None:
    """Record how a run ended. `error` is text for people and holds neither personal data nor secrets."""
    transact(
        lambda connection: connection.execute(
            "update rekindle.run set status = %s, finished_at = clock_timestamp(), error = %s where run_id = %s",
            [status, None if error is None else _text(error), run_id],
        )
    )


def find_run(run_id: str) -> Run | None:
    """Find what is recorded of a run; None where nothing is."""
    found = _select(Run, "rekindle.run where run_id = %s", [run_id])
    return found[0] if found else None


def runs(day: date) -> list[Run]:
    """Find the runs that `day` belongs to, oldest first."""
    return _select(Run, "rekindle.run where %s between first_day and last_day order by started_at", [day])


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
        values = [run_id, day, name, status, time.monotonic() - begun, notes.row_count, _json(notes.detail)]
        transact(lambda connection: connection.execute(RECORD_STAGE, values))

    try:
        yield notes
    except Exception:
        record("failed")
        raise
    record("done")


def stages(*, run_id: str | None = None, day: date | None = None) -> list[Stage]:
    """Find the stages of a run, of a day, or of a run's day, in the order in which they ended."""
    return _select(Stage, f"rekindle.stage where {OF_RUN_AND_DAY} order by recorded_at", {"run_id": run_id, "day": day})


# Checks


@dataclass(frozen=True)
class CheckResult:
    """What a rule of a contract said about one day of a table."""

    rule: str
    severity: Severity
    outcome: Literal["passed", "failed", "not_judged"]
    failed_rows: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedCheck:
    """A check's result with the run, day and table it is about."""

    run_id: str
    day: date
    table_name: str
    rule: str
    severity: Severity
    outcome: Literal["passed", "failed", "not_judged"]
    failed_rows: int | None
    detail: dict[str, Any]
    recorded_at: datetime


def record_checks(run_id: str, day: date, table: str, results: Sequence[CheckResult]) -> None:
    """Record what the checks of a table's day said, instead of what this run recorded of them before."""

    def work(connection: Connection) -> None:
        connection.execute(
            "delete from rekindle.check_result where run_id = %s and day = %s and table_name = %s", [run_id, day, table]
        )
        _insert_many(
            connection,
            "rekindle.check_result (run_id, day, table_name, rule, severity, outcome, failed_rows, detail)",
            [(run_id, day, table, r.rule, r.severity, r.outcome, r.failed_rows, _json(r.detail)) for r in results],
        )

    transact(work)


def checks(*, run_id: str | None = None, day: date | None = None) -> list[RecordedCheck]:
    """Find the check results of a run, of a day, or of a run's day, in the order in which they were recorded."""
    return _select(
        RecordedCheck,
        f"rekindle.check_result where {OF_RUN_AND_DAY} order by recorded_at, table_name, rule",
        {"run_id": run_id, "day": day},
    )


# What tables are built from


@dataclass(frozen=True)
class Input:
    """The days of an input that a partition used, or looked for, and their state at that time."""

    from_day: date
    to_day: date
    fingerprint: str


@dataclass(frozen=True)
class Build:
    """Where a released partition comes from."""

    table: str
    day: date
    build_id: str
    run_id: str
    snapshot_id: int | None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    built_at: datetime | None = None


def record_builds(builds: Iterable[Build]) -> None:
    """Record where partitions come from, all or none, instead of what was recorded of them before."""
    builds = list(builds)

    def work(connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "delete from rekindle.build where table_name = %s and day = %s", [(b.table, b.day) for b in builds]
            )
        _insert_many(
            connection,
            "rekindle.build (table_name, day, build_id, run_id, snapshot_id)",
            [(b.table, b.day, b.build_id, b.run_id, b.snapshot_id) for b in builds],
        )
        _insert_many(
            connection,
            "rekindle.build_input (table_name, day, input, from_day, to_day, fingerprint)",
            [
                (b.table, b.day, name, used.from_day, used.to_day, used.fingerprint)
                for b in builds
                for name, used in b.inputs.items()
            ],
        )

    transact(work)


def builds(table: str, first_day: date, last_day: date) -> dict[date, Build]:
    """Find the builds of a table's partitions from `first_day` to `last_day`, both included."""

    def work(connection: Connection) -> dict[date, Build]:
        rows = connection.cursor(row_factory=dict_row).execute(
            """
            select b.table_name as table, b.day, b.build_id, b.run_id, b.snapshot_id, b.built_at,
                i.input, i.from_day, i.to_day, i.fingerprint
            from rekindle.build as b left join rekindle.build_input as i using (table_name, day)
            where b.table_name = %s and b.day between %s and %s
            order by b.day, i.input
            """,
            [table, first_day, last_day],
        )
        found: dict[date, Build] = {}
        for row in rows:
            name, used = row.pop("input"), Input(row.pop("from_day"), row.pop("to_day"), row.pop("fingerprint"))
            build = found.setdefault(row["day"], Build(**row, inputs={}))
            if name is not None:
                found[row["day"]] = replace(build, inputs={**build.inputs, name: used})
        return found

    return transact(work)


def last_served(table: str) -> date | None:
    """The last day of a score table that a daily run has scored and published."""

    def work(connection: Connection) -> date | None:
        found = connection.execute(
            """
            select max(day) from rekindle.build join rekindle.run using (run_id)
            where table_name = %s and kind = 'daily' and status = 'done'
            """,
            [table],
        )
        return _one(found)

    return transact(work)


def record_snapshots(run_id: str, snapshots: Mapping[str, int]) -> None:
    """Record which Iceberg snapshots a run read, by table."""
    transact(
        lambda connection: _insert_many(
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


# Promotions


@dataclass(frozen=True)
class Promotion:
    """A model version became the champion for scoring days from `effective_from_day` on."""

    promotion_id: int
    product: str
    version: str
    digest: str
    effective_from_day: date
    reason: str
    run_id: str
    promoted_at: datetime


def append_promotion(  # noqa: PLR0917 - the record's columns, in their order
    product: str, version: str, digest: str, effective_from_day: date, reason: str, run_id: str
) -> None:
    """Record a promotion or a rollback. Rows are only ever added."""
    transact(
        lambda connection: _insert_many(
            connection,
            "rekindle.promotion (product, version, digest, effective_from_day, reason, run_id)",
            [(product, version, digest, effective_from_day, _text(reason), run_id)],
            again=SAME_AGAIN,
        )
    )


def promotions(product: str) -> list[Promotion]:
    """Find a product's promotions, oldest first: the last one that a day allows is its champion."""
    return _select(Promotion, "rekindle.promotion where product = %s order by promotion_id", [product])


# Gates


@dataclass(frozen=True)
class Gate:
    """What the gate said of a version of a product's model, and of which bytes."""

    product: str
    version: str
    digest: str
    passed: bool
    why: str
    figures: Mapping[str, Any] = field(hash=False)
    sample_digest: str | None
    """Of the rows that it was trained and judged on; None where `from_tags`."""
    trained_day: date
    from_tags: bool = False
    """Whether it was registered before gates were kept here, and taken over from MLflow."""
    recorded_at: datetime | None = None


def record_gate(gate: Gate) -> None:
    """Record what the gate said. Rows are only ever added; one that says something else of the same version is refused."""

    def work(connection: Connection) -> tuple[str, bool]:
        _insert_gates(connection, [gate])
        (found,) = connection.execute(
            "select digest, passed from rekindle.gates where product = %s and version = %s",
            [gate.product, gate.version],
        )
        return found

    if transact(work) != (gate.digest, gate.passed):
        raise InputError(
            f"Another version {gate.version} of {gate.product} was judged before: MLflow counts its versions anew.",
            todo="Connect the MLflow that goes with this database, or give both a new start.",
            safe="The version just registered can neither score nor be promoted.",
            code="gate_recorded_otherwise",
        )


def gates(product: str) -> dict[str, Gate]:
    """Find what the gate said of a product's versions, by version."""
    found = _select(Gate, "rekindle.gates where product = %s", [product])
    return {gate.version: gate for gate in found}


def has_taken_over_gates() -> bool:
    """Whether the verdicts of versions that were registered before gates were kept are taken over, or there were none."""
    return transact(lambda c: _one(c.execute("select exists (select from rekindle.gates_taken_over)")))


def take_over_gates(gates: Sequence[Gate]) -> bool:
    """Record the verdicts of versions that were registered before, which happens once; False where it had happened."""

    def work(connection: Connection) -> bool:
        first = connection.execute(f"insert into rekindle.gates_taken_over default values {SAME_AGAIN}").rowcount == 1
        if first:
            _insert_gates(connection, gates)
        return first

    return transact(work)


def _insert_gates(connection: Connection, gates: Sequence[Gate]) -> None:
    _insert_many(
        connection,
        "rekindle.gates (product, version, digest, passed, why, figures, sample_digest, trained_day, from_tags)",
        [
            (
                *(g.product, g.version, g.digest, g.passed, _text(g.why)),
                *(_json(g.figures), g.sample_digest, g.trained_day, g.from_tags),
            )
            for g in gates
        ],
        again=SAME_AGAIN,
    )


# SQL

OF_RUN_AND_DAY = "(%(run_id)s::text is null or run_id = %(run_id)s) and (%(day)s::date is null or day = %(day)s)"

SAME_AGAIN = "on conflict do nothing"
"""A row that is there already was added by an attempt whose answer got lost."""


# Rows of small marts


def replace_days(table: str, days: Days, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep a mart's rows of some days in a table of schema `rekindle`, instead of those that it has of them."""

    def work(connection: Connection) -> None:
        schema, name = table.split(".")
        connection.execute(
            sql.SQL("delete from {} where day between %s and %s").format(sql.Identifier(schema, name)),
            [days.first, days.last],
        )
        _insert_many(connection, f"{table} ({', '.join(columns)})", [[row[name] for name in columns] for row in rows])

    transact(work)


@dataclass(frozen=True)
class Outcome:
    """What came true of a decile of a day's scores: sums over its users, a row of marts.score_outcomes."""

    day: date
    """The delivery that completed the label."""
    product: str
    label: str
    scored_on: date
    decile: int
    is_backfilled: bool
    users: int
    predicted: float
    actual: float
    squared_error: float


def outcomes(product: str, first_day: date, last_day: date) -> list[Outcome]:
    """List what became known of a product's scores with the deliveries of some days, the latest scored day first."""
    return _select(
        Outcome,
        "rekindle.score_outcome where product = %s and day between %s and %s order by scored_on desc, label, decile",
        [product, first_day, last_day],
    )


def _select(row: type[T], source: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[T]:
    columns = ", ".join(row.__dataclass_fields__)  # type: ignore[attr-defined]

    def work(connection: Connection) -> list[T]:
        with connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(f"select {columns} from {source}", parameters).fetchall()

    return transact(work)


def _insert_many(connection: Connection, into: str, rows: Sequence[Sequence[Any]], *, again: str = "") -> None:
    marks = ", ".join(["%s"] * (into.count(",") + 1))
    with connection.cursor() as cursor:
        cursor.executemany(f"insert into {into} values ({marks}) {again}", rows)


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    ((value,),) = cursor
    return value


def _text(text: str) -> str:
    """Postgres' text holds anything but NUL."""
    return text.replace("\x00", "\ufffd")


def _json(value: Any) -> Jsonb:
    return Jsonb(_plain(value), dumps=lambda plain: json.dumps(plain, allow_nan=False, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Turn what a check may find (dates, decimals, NaN, NUL in an id) into what jsonb can hold."""
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(str(value))
