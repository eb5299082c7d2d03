"""
Alembic's entry point, run by `rekindle.postgres.migrate`: one transaction on the database of the published scores.

Migrations are plain SQL. They only ever go up: run records are kept, and tables that SMS tools read only gain columns.
What SMS tools read is declared since 0004: after the migrations, its tables become what the publications say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from rekindle import granting
from rekindle.postgres import connect
from rekindle.publishing import migration

if TYPE_CHECKING:
    from rekindle.postgres import Connection

engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
with engine.begin() as connection:
    # Two platforms that start at once: the second waits, then finds nothing left to do.
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended('rekindle.migrate', 0))"))
    connection.execute(text("create schema if not exists rekindle"))
    context.configure(connection=connection, version_table="migration", version_table_schema="rekindle")
    with context.begin_transaction():
        context.run_migrations()
    driver = cast("Connection", connection.connection.driver_connection)
    migration.bring_up_to_date(driver)
    granting.let_read(driver)
