"""Databases for tests, on a real Postgres."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from rekindle import postgres
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = os.environ.get("TEST_POSTGRES_URL")
"""An administrator's URL of a Postgres to use instead of the session's local platform, whose start takes a while."""


@dataclass(frozen=True)
class Database:
    """A database as its administrator sees it."""

    url: str

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, **options)

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with self.connect(row_factory=dict_row) as connection:
            return connection.execute(sql, values).fetchall()

    def value(self, sql: str, *values: Any) -> Any:
        (row,) = self.rows(sql, *values)
        (value,) = row.values()
        return value

    def execute(self, sql: str, *values: Any) -> None:
        with self.connect(autocommit=True) as connection:
            connection.execute(sql, values)

    def clear(self) -> None:
        """Empty all tables: many times faster than another database."""
        tables = self.rows(
            "select schemaname || '.' || tablename as name from pg_tables"
            " where schemaname in ('sms', 'rekindle', 'serving') and tablename <> 'migration'"
        )
        self.execute(f"truncate {', '.join(table['name'] for table in tables)} restart identity")

    def use(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
        """Point Rekindle at this database, with other connection options where they are given."""
        url = make_conninfo(self.url, **options)
        monkeypatch.setenv("REKINDLE_DATABASE_URL", url)
        settings.cache_clear()
        return url


@contextmanager
def _database(server_url: str) -> Iterator[Database]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as administrator:
        administrator.execute(f"create database {name}")
        try:
            yield Database(make_conninfo(server_url, dbname=name))
        finally:
            administrator.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest, server: None) -> str:  # noqa: ARG001 - says that it is one
    """Where an administrator of a Postgres gets in."""
    if SERVER:
        return SERVER
    request.getfixturevalue("platform")
    from rekindle.platform.credentials import credentials
    from rekindle.platform.home import Home
    from rekindle.platform.postgres import running_port

    home = Home(settings().home)
    return make_conninfo(
        host="127.0.0.1",
        port=running_port(home),
        user="postgres",
        password=credentials(home).postgres,
        dbname="postgres",
    )


@pytest.fixture(scope="session")
def migrated_database(server_url: str) -> Iterator[Database]:
    with _database(server_url) as database:
        with pytest.MonkeyPatch.context() as monkeypatch:
            database.use(monkeypatch)
            postgres.migrate()
        # Other tests of the session use the platform's own database.
        settings.cache_clear()
        yield database


@pytest.fixture
def database(migrated_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A migrated database without rows that Rekindle is pointed at."""
    migrated_database.clear()
    migrated_database.use(monkeypatch)
    yield migrated_database
    settings.cache_clear()


@pytest.fixture
def empty_database(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of the test's own that nobody has migrated, and that Rekindle is pointed at."""
    with _database(server_url) as database:
        database.use(monkeypatch)
        yield database
    settings.cache_clear()
