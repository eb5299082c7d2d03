"""
The databases of one Postgres server, a role for each, and the roles that only read: on one machine and in a team alike.

A database is owned by the role of the same name, and nobody else can connect to it. Running it again changes passwords to
what they are now, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from rekindle.errors import RekindleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.postgres import Connection

DATABASES = "airflow", "lake", "mlflow", "scores"
READERS = ("sms_reader",)
"""Who may connect to the published scores, and read what is granted."""

CATALOG_IDLE_TIMEOUT = "2min"
"""
Spark leaves the catalog connection of each session open when the session ends (SPARK-54367), and a scheduled day has a
session per task: in a week they would use up all connections. conf/spark-defaults.conf has Iceberg connect again.
"""

READER_LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "300s",
    "idle_session_timeout": "1h",
}
"""A guard rail on top of the grants. The migration sets limits only where its own role has made the reader; here it has not."""

WHAT_IS_SET = (*DATABASES, *READERS, CATALOG_IDLE_TIMEOUT, *READER_LIMITS.values())
"""Changes when a server has to be set up again."""


def create(
    host: str,
    port: int,
    passwords: Mapping[str, str],
    *,
    databases: tuple[str, ...] = DATABASES,
    readers: tuple[str, ...] = READERS,
) -> None:
    """
    Create what is missing, as the administrator `postgres`; `passwords` by role.

    Raises RekindleError where the administrator is not let in.
    """
    with _as_administrator(host, port, passwords["postgres"]) as connection:
        roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for role in (*databases, *readers):
            verb = SQL("alter" if role in roles else "create")
            # The verifier, not the password: a failing statement is logged.
            verifier = connection.pgconn.encrypt_password(
                passwords[role].encode(), role.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(SQL("{} role {} login password {}").format(verb, Identifier(role), Literal(verifier)))
        connection.execute(SQL("alter role lake set idle_session_timeout = {}").format(Literal(CATALOG_IDLE_TIMEOUT)))
        present = {name for (name,) in connection.execute("select datname from pg_database")}
        for name in databases:
            if name not in present:
                connection.execute(SQL("create database {0} owner {0}").format(Identifier(name)))
        for name in (*databases, "postgres", "template1"):
            connection.execute(SQL("revoke all on database {} from public").format(Identifier(name)))
        for reader in readers:
            _let_read(connection, reader)


def _let_read(connection: Connection, reader: str) -> None:
    connection.execute(SQL("grant connect on database scores to {}").format(Identifier(reader)))
    for name, value in READER_LIMITS.items():
        limit = SQL("alter role {} in database scores set {} = {}")
        connection.execute(limit.format(Identifier(reader), Identifier(name), Literal(value)))


def _as_administrator(host: str, port: int, password: str) -> Connection:
    try:
        return psycopg.connect(
            host=host, port=port, user="postgres", password=password, dbname="postgres", autocommit=True
        )
    except psycopg.OperationalError as error:
        raise RekindleError(
            f"Postgres on {host}:{port} does not let its administrator in.",
            todo="Put back the passwords that its data were made with, or start anew with `rekindle down --delete` (a stack: "
            "`docker compose down --volumes`), which deletes all data.",
            safe="All data are kept.",
        ) from error
