"""
A reader that reads without a pause, as a tool does that sends texts, and tells whole tables from torn ones.

Each read is one statement over all that is published, so it sees one moment. What it finds must be one of the states that the
drill knows to be whole: that before a step or that after it, of all tables together.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_SECONDS = 0.06
"""Between two reads: without one the reader would have one of two cores to itself."""

STAMPS = "run_id", "updated_at", "published_at", "status"
"""What differs between two attempts of one publish, and says nothing of its content."""

TABLES = """
select table_name from information_schema.tables
where table_schema = 'sms' and has_table_privilege(quote_ident(table_schema) || '.' || quote_ident(table_name), 'select')
    and table_name not in (select inhrelid::regclass::name from pg_inherits)
order by table_name
"""


@dataclass(frozen=True)
class State:
    """What is published at one moment: a digest of each table."""

    digests: tuple[tuple[str, str], ...]

    def differing(self, other: State) -> list[str]:
        ours, theirs = dict(self.digests), dict(other.digests)
        return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def question(connection: psycopg.Connection[Any], since: frozenset[str]) -> str:
    """SQL of a row with a digest of each table that the role may read, without what two attempts differ in."""
    tables = [name for (name,) in connection.execute(TABLES)]
    without = ", ".join(f"'{name}'" for name in (*STAMPS, *sorted(since)))
    parts = [
        f"(select count(*) || ' ' || coalesce(sum(hashtextextended((to_jsonb(t) - array[{without}])::text, 0)), 0)"
        f' from sms.{name} as t) as "{name}"'
        for name in tables
    ]
    return f"select {', '.join(parts)}"


def since_columns() -> frozenset[str]:
    """Columns that move with the time of a publish."""
    from rekindle.publishing import publications

    return frozenset(p.since.column for p in publications.declared() if p.since)


def read_once(url: str) -> State:
    """What is published now."""
    with psycopg.connect(url) as connection:
        return _read(connection, question(connection, since_columns()))


def _read(connection: psycopg.Connection[Any], sql: str) -> State:
    cursor = connection.execute(sql)
    (row,) = cursor.fetchall()
    return State(tuple(zip((column.name for column in cursor.description or ()), row, strict=True)))


@dataclass
class Reader:
    """
    Reads until it is stopped; `whole` are the states that it may find, and whatever else it finds is torn.

    Of a step that changes one table after the other, each may be as in any of them: `by_table`.
    """

    url: Callable[[], str]
    whole: set[State] = field(default_factory=set)
    by_table: bool = False
    reads: int = 0
    torn: list[State] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _is_away: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()

    def expect_nothing(self) -> None:
        """Count no read from now on until it is said what is whole: what the drill before knew says nothing of the next."""
        with self._turn:
            self.whole = set()

    def away(self) -> _Away:
        """Read nothing during the block: the drill brings back what was, which no publish does."""
        return _Away(self)

    def _run(self) -> None:
        sql = ""
        while not self._is_over.is_set():
            # A server that was killed, or a database that is being brought back, is no torn read.
            with (
                suppress(psycopg.Error, OSError, AssertionError),
                psycopg.connect(self.url(), autocommit=True) as connection,
            ):
                sql = sql or question(connection, since_columns())
                while not self._is_over.is_set():
                    self._one(connection, sql)
                    time.sleep(PAUSE_SECONDS)
            time.sleep(PAUSE_SECONDS)

    def _one(self, connection: psycopg.Connection[Any], sql: str) -> None:
        with self._turn:
            if self._is_away.is_set() or not self.whole:
                return
            found = _read(connection, sql)
            self.reads += 1
            if not self._is_whole(found):
                self.torn.append(found)
                nearest = min((found.differing(state) for state in self.whole), key=len)
                print(f"        a read was torn: {', '.join(nearest)}", flush=True)

    def _is_whole(self, found: State) -> bool:
        if found in self.whole:
            return True
        known = {digest for state in self.whole for digest in state.digests}
        return self.by_table and known.issuperset(found.digests)


class _Away:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __enter__(self) -> None:
        self.reader._is_away.set()  # noqa: SLF001 - of the same module
        with self.reader._turn:  # noqa: SLF001 - waits for the read that runs
            pass

    def __exit__(self, *_error: object) -> None:
        self.reader._is_away.clear()  # noqa: SLF001 - of the same module
