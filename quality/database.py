"""A Postgres of a check's own, migrated and empty; it ends with the check."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from rekindle import platform, postgres
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "REKINDLE_DATABASE_URL"


@contextmanager
def own_database() -> Iterator[str]:
    """Start it, point Rekindle at it, and return the URL of its administrator."""
    home, before = Home(Path(tempfile.mkdtemp(prefix="rekindle-quality-"))), os.environ.get(VARIABLE)
    try:
        password = credentials(home).postgres
        server = make_conninfo(
            host="127.0.0.1", port=platform.postgres.start(home, password), user="postgres", password=password
        )
        with psycopg.connect(server, dbname="postgres", autocommit=True) as administrator:
            administrator.execute("create database quality")
        os.environ[VARIABLE] = make_conninfo(server, dbname="quality")
        settings.cache_clear()
        postgres.migrate()
        yield os.environ[VARIABLE]
    finally:
        postgres.disconnect()
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before
        settings.cache_clear()
        platform.delete(home.path)
