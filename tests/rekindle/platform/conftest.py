"""A Postgres of this folder's own: these tests kill it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import psycopg
import pytest

from rekindle.platform import databases, delete, postgres
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from tests.homes import HOMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@pytest.fixture(scope="module")
def home(server: None) -> Iterator[Home]:  # noqa: ARG001 - says that it is one
    """A home with a Postgres that has its databases; a test may stop or kill it, `postgres.start` brings it back."""
    home = Home(HOMES.new())
    passwords = credentials(home)
    databases.create("127.0.0.1", postgres.start(home, passwords.postgres), asdict(passwords))
    yield home
    delete(home.path)


def connect(
    port: int | None, role: str, password: str, database: str, **options: Any
) -> closing[psycopg.Connection[Any]]:
    """Log in as a role; the connection ends with the block."""
    return closing(
        psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=database, **options)
    )
