"""
The platform that is broken: a home of its own, with 200 simulated users and all that a day is made of.

What databases and tables hold is kept under a name and brought back, so that each drill begins with the same. Of a database that
is a template of Postgres; of the warehouse links to its files, which nobody writes to again, and the catalog that names them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Identifier

from rekindle import platform, postgres
from rekindle.days import Days
from rekindle.platform import databases, mlflow
from rekindle.platform import postgres as server
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

HOME = PROJECT / ".chaos"
USERS, HISTORY_DAYS, FURTHER_DAYS = 200, 150, 32
"""The models of so short a history say little; that there are some is what counts here."""

KEPT = "scores", "lake", "mlflow"
"""Databases that a drill changes. What Airflow knows of its runs is its own."""

FOLDERS = "warehouse", "mlflow"
PUBLISHED_AT = time_of_day(3, 0)


OLD, PUBLISHED = "old", "published"
"""What is kept of the day before, and of the new day once it is published."""


def ready_to(step: str) -> str:
    """How what a step of the new day begins with is kept."""
    return f"ready_to_{step}"


@dataclass
class World:
    """A platform that runs, and its days: a history, a day that is published, and days that are delivered and not yet run."""

    home: Home = field(default_factory=lambda: Home(HOME))

    @property
    def history(self) -> Days:
        from rekindle.landing.filling.simulation.parameters import parameters

        first = parameters().first_day
        return Days.between(first, first + timedelta(HISTORY_DAYS - 1))

    @property
    def old(self) -> date:
        """The day that is published when a drill begins."""
        return self.history.last + timedelta(1)

    @property
    def new(self) -> date:
        """The day that a drill is about to publish."""
        return self.old + timedelta(1)

    @property
    def delivered(self) -> Days:
        return Days.between(self.history.first, self.history.last + timedelta(FURTHER_DAYS))

    def published_at(self, day: date) -> datetime:
        """The time that permission of a day goes by, so that each attempt says the same."""
        return datetime.combine(day + timedelta(1), PUBLISHED_AT, UTC)

    # Beginning

    def attach(self) -> None:
        """Let this process, and what it starts, find the home."""
        platform.use(self.home.path)

    @property
    def landing(self) -> Path:
        return self.home.path / "landing"

    def up(self) -> None:
        """Start what does not run."""
        self.attach()
        platform.up(self.home.path)
        mlflow.set_up(self.home, os.environ)

    def is_built(self) -> bool:
        """Whether a history is there already: pieces of the drills use it one after the other."""
        return (self.home.path / "built").exists()

    def build(self) -> None:
        """Simulate the business, build its history, train, and publish the first day."""
        from loop.learning import learn
        from rekindle.landing.filling.simulation.simulate import Sending, simulate
        from rekindle.workflow import running

        if HOME.exists():
            platform.delete(HOME)
        self.attach()
        simulate(USERS, self.delivered, sending=Sending(campaigns=True))
        self.up()
        learn(self.history, lambda *_words, **_style: None)
        at = self.published_at(self.old).isoformat()
        running.run_days("daily_scores", Days.one(self.old), {"kind": "daily", "at": at})
        self.keep(OLD)
        self.prepare()

    def prepare(self) -> None:
        """Do the new day step by step, and keep what each drill of a step begins with."""
        from chaos import steps

        steps.day_before_publishing(self, lambda step: self.keep(ready_to(step)))
        self.keep(ready_to("publish"))
        steps.main("publish", "published")
        steps.watch(self)
        self.keep(PUBLISHED)
        (self.home.path / "built").touch()

    # Keeping and bringing back

    def keep(self, name: str) -> None:
        """Keep what databases and tables hold."""
        for folder in FOLDERS:
            _link(self.home.path / folder, self._kept(name) / folder)
        with self.administrator() as connection:
            for database in KEPT:
                _copy(connection, database, f"{database}_{name}")

    def restore(self, name: str) -> None:
        """Bring back what was kept. Whoever was connected is not any more."""
        for folder in FOLDERS:
            _link(self._kept(name) / folder, self.home.path / folder)
        with self.administrator() as connection:
            for database in KEPT:
                _copy(connection, f"{database}_{name}", database)
        # What a database grants and sets is no part of its template.
        port = server.running_port(self.home)
        assert port is not None  # noqa: S101 - who asks has one that runs
        databases.create("127.0.0.1", port, asdict(credentials(self.home)))
        postgres.disconnect()

    def has(self, name: str) -> bool:
        return self._kept(name).exists()

    def _kept(self, name: str) -> Path:
        return self.home.path / "kept" / name

    def administrator(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Log in as who may do everything."""
        return psycopg.connect(self.url("postgres", database), autocommit=True)

    def reader(self) -> str:
        """Where a tool logs in, which may select what is published."""
        return self.url("sms_reader", "scores")

    def url(self, role: str, database: str) -> str:
        password = getattr(credentials(self.home), role)
        return f"postgresql://{role}:{password}@127.0.0.1:{server.running_port(self.home)}/{database}"


def _copy(connection: psycopg.Connection[Any], source: str, target: str) -> None:
    """Make a database what another is. Postgres copies one that nobody is connected to."""
    connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(target)))
    (owner,) = {source, target} & {*KEPT}
    for _ in range(100):
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
            [source],
        )
        with suppress(psycopg.errors.ObjectInUse):
            connection.execute(
                SQL("create database {} template {} owner {}").format(
                    Identifier(target), Identifier(source), Identifier(owner)
                )
            )
            return
        time.sleep(0.1)
    raise AssertionError(f"somebody stays connected to {source}")


def _link(source: Path, target: Path) -> None:
    """Link the files of a folder that another lacks: a file that is there is never written to again."""
    if source.exists():
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-aln", f"{source}/.", str(target)], check=False, stderr=subprocess.DEVNULL)  # noqa: S603, S607 - our own folders


def forget(world: World, name: str) -> None:
    """Give back the room that something kept has taken."""
    shutil.rmtree(world.home.path / "kept" / name, ignore_errors=True)
    with world.administrator() as connection:
        for database in KEPT:
            connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(f"{database}_{name}")))
