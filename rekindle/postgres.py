"""
Postgres: the connection that a process keeps, the locks that runs hold, and the migrations of our schemas.

Every time comes from Postgres' clock.
"""

from __future__ import annotations

import atexit
import os
import time
from contextlib import contextmanager
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from rekindle.errors import InputError
from rekindle.settings import PROJECT, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date, datetime

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


# Connections


def connect() -> Connection:
    """Open a session on the database of the published scores; `with` commits it and closes it."""
    target = _target()
    for pause in (*RETRY_PAUSES_SECONDS, None):
        try:
            connection = psycopg.connect(
                settings().database_url,
                connect_timeout=target.get("connect_timeout", 10),
                # A server whose machine vanished is noticed, too: who waits for its answer would wait for hours.
                keepalives_idle=20,
                keepalives_interval=10,
                keepalives_count=4,
                tcp_user_timeout=60_000,
            )
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
    if _UNDONE:
        return _within_undone(work)
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
def undone() -> Iterator[None]:
    """
    Let all that this process transacts within the block be undone at its end: one transaction around them, rolled back.

    Each sees what those before it have done, and nobody else ever does. What they lock stays locked until then, so what is of
    use to others (a publish) belongs at the end. Locks of their own sessions, such as `table_lock`, hold as ever.
    """
    connection = connect()
    connection.prepare_threshold = None
    try:
        with connection.transaction(force_rollback=True):
            _UNDONE.append((connection, RLock()))
            try:
                yield
            finally:
                _UNDONE.clear()
    finally:
        connection.close()


def _within_undone(work: Callable[[Connection], T]) -> T:
    """Do `work` once, in the transaction that is undone: who has lost that begins anew."""
    connection, turn = _UNDONE[-1]
    try:
        with turn, connection.transaction():
            return work(connection)
    except REFUSALS as error:
        raise refused(error) from error


_UNDONE: list[tuple[Connection, RLock]] = []
"""The connection on which all is done that will be undone, and whose turn it is of this process's threads."""


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
    _PARENTS.extend([*_KEPT, *(("", connection) for connection, _ in _UNDONE)])
    _KEPT.clear()
    _UNDONE.clear()


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
    return transact(
        lambda connection: only_value(connection.execute("select (clock_timestamp() at time zone 'utc')::date"))
    )


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
def promotion_lock(product: str, *, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[Lock]:
    """Be the only one, on any machine, that promotes a version of a product or goes back to the one before."""
    with _lock(f"promotion of {product}", wait_seconds) as lock:
        yield lock


@contextmanager
def shadow_lock(*, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[Lock]:
    """Be the only shadow; who finds the lock free knows that no shadow lives."""
    with _lock("shadow", wait_seconds) as lock:
        yield lock


@contextmanager
def reports_lock(*, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[Lock]:
    """Be the only one that writes pages which link each other."""
    with _lock("reports", wait_seconds) as lock:
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


@contextmanager
def held(name: str) -> Iterator[None]:
    """
    Hold a lock of a name that nobody else takes, for as long as this process does something: others see that it lives.

    Where the session is lost meanwhile the lock is, too, and what is done goes on.
    """
    connection = connect()
    try:
        connection.autocommit = True
        _try_lock(connection, name)
        yield
    finally:
        connection.close()


def _try_lock(connection: Connection, name: str) -> bool:
    question = "select pg_try_advisory_lock(hashtextextended('rekindle ' || %s, 0))"
    return only_value(connection.execute(question, [name]))


COPIED_AT_ONCE_BYTES = 1 << 20


def copy_csv(connection: Connection, table: str, columns: Iterable[str], file: IO[bytes]) -> None:
    """Copy a file of CSV without a header into a table, from its beginning."""
    file.seek(0)
    with connection.cursor().copy(f"copy {table} ({', '.join(columns)}) from stdin (format csv)") as copy:
        while block := file.read(COPIED_AT_ONCE_BYTES):
            copy.write(block)


def clock(connection: Connection) -> datetime:
    """Return the time by Postgres' clock."""
    return only_value(connection.execute("select clock_timestamp()"))


def only_value(cursor: psycopg.Cursor[Any]) -> Any:
    """Return the one value of the one row that was found."""
    ((value,),) = cursor
    return value
