"""
The local platform: Postgres, Spark Connect, Airflow and MLflow on one machine, all state in one folder (the home).

Nothing else in Rekindle knows of it: jobs find Spark, Postgres and MLflow by the environment variables that
`environment` returns, and a team sets the same variables to its own servers.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from rekindle.errors import InputError
from rekindle.platform import airflow, databases, mlflow, postgres, spark_connect
from rekindle.platform.credentials import credentials
from rekindle.platform.home import Home
from rekindle.settings import PROJECT, settings
from rekindle.warehouse.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import ModuleType

    from rekindle.platform.credentials import Credentials

    Tell = Callable[[str, float], None]
    """Hears of each step that took time, with its seconds."""

T = TypeVar("T")

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",
    "SCARF_ANALYTICS": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
NEEDED_BY_JOBS = "SPARK_REMOTE", "REKINDLE_DATABASE_URL", "MLFLOW_TRACKING_URI"
"""What a job must know to run, on the local platform or on a team's."""
NEEDED_SERVICES = postgres.TITLE, spark_connect.TITLE
"""What must run for a job to run."""
WORTH_TELLING_S = 0.5


@dataclass(frozen=True)
class Service:
    """A part of the platform and where it answers; no address if it does not run."""

    name: str
    address: str | None


@dataclass(frozen=True)
class Pages:
    """The web pages and their log-in."""

    airflow: str
    airflow_user: str
    airflow_password: str
    mlflow: str


def use(home_path: Path) -> None:
    """Let this process, and what it starts, keep everything in one folder: a home, and the landing zone within."""
    os.environ["REKINDLE_HOME"], os.environ["REKINDLE_LANDING"] = str(home_path), str(home_path / "landing")
    settings.cache_clear()


def up(
    home_path: Path, tell: Tell = lambda _step, _seconds: None, *, tools: Iterable[ModuleType] = (airflow, mlflow)
) -> tuple[Service, ...]:
    """
    Start what does not run, set up what each part needs once, and attach this process to the platform.

    `tools` are set up while Spark starts. Jobs alone need neither: a test that asks for none of them starts sooner.
    """
    home, do = Home(home_path), partial(_timed, tell)
    with home.lock():
        passwords = credentials(home)
        postgres_port = do(postgres.TITLE, _start_postgres, home, passwords)
        # Spark starts while the others' databases are set up.
        spark_port = spark_connect.start(home, postgres_port, passwords)
        os.environ.update(environment(home_path))
        settings.cache_clear()
        with ThreadPoolExecutor() as pool:
            steps = [pool.submit(do, tool.TITLE, tool.set_up, home, os.environ) for tool in tools]
            do(spark_connect.TITLE, spark_connect.wait, home, spark_port)
            for step in steps:
                step.result()
        do("Tables", _create_tables, home)
    return status(home_path)


def ui(home_path: Path, tell: Tell = lambda _step, _seconds: None) -> Pages:
    """Start the web pages of Airflow, with its scheduler, and of MLflow, on top of the platform."""
    up(home_path, tell)
    home, do = Home(home_path), partial(_timed, tell)
    with home.lock(), ThreadPoolExecutor() as pool:
        passwords = credentials(home)
        mlflow_port = pool.submit(do, "MLflow pages", mlflow.start, home, os.environ)
        airflow_port = do("Airflow pages and scheduler", airflow.start, home, os.environ, passwords)
        return Pages(
            airflow=f"http://localhost:{airflow_port}",
            airflow_user=airflow.ADMIN,
            airflow_password=passwords.airflow_admin,
            mlflow=f"http://localhost:{mlflow_port.result()}",
        )


def down(home_path: Path) -> tuple[str, ...]:
    """Stop what this home started, and nothing else; returns what was stopped. All data stay."""
    home = Home(home_path)
    if not home.path.exists():
        return ()
    with home.lock():
        # Who depends on another stops first.
        return tuple(part.TITLE for part in (airflow, mlflow, spark_connect, postgres) if part.stop(home))


def delete(home_path: Path) -> None:
    """Stop a platform and delete all it holds, tables and passwords included."""
    home = Home(home_path)
    if not (home.path / "secrets.json").exists():
        raise InputError(f"{home.path} is not the home of a platform.", todo="Look at REKINDLE_HOME.")
    down(home_path)
    postgres.delete(home)
    shutil.rmtree(home.path)


def status(home_path: Path) -> tuple[Service, ...]:
    """Return each part and where it answers. Holds no secret."""
    home = Home(home_path)
    spark = spark_connect.running(home)
    ports = {
        postgres.TITLE: ("127.0.0.1:{}", postgres.running_port(home)),
        spark_connect.TITLE: ("sc://localhost:{}", spark["port"] if spark else None),
        airflow.TITLE: ("http://localhost:{}", airflow.running_port(home)),
        mlflow.TITLE: ("http://localhost:{}", mlflow.running_port(home)),
    }
    return tuple(Service(name, form.format(port) if port else None) for name, (form, port) in ports.items())


def environment(home_path: Path) -> dict[str, str]:
    """Return the environment variables that attach a process to this home's running platform. Holds secrets."""
    home = Home(home_path)
    postgres_port, spark = postgres.running_port(home), spark_connect.running(home)
    if postgres_port is None or spark is None:
        raise InputError("The local platform is not running.", todo="Start it: rekindle up", safe="All data are kept.")
    passwords = credentials(home)
    return {
        "REKINDLE_HOME": str(home.path),
        "REKINDLE_DATABASE_URL": f"postgresql://scores:{passwords.scores}@127.0.0.1:{postgres_port}/scores",
        "REKINDLE_PHONE_KEY": passwords.phone_key,
        "SPARK_REMOTE": f"sc://localhost:{spark['port']}",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": passwords.spark_token,
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": spark["java_home"],
        **airflow.environment(home, postgres_port, spark["port"], passwords),
        **mlflow.environment(home, postgres_port, passwords),
        **TELEMETRY_OFF,
    }


def attach() -> None:
    """
    Let this process find its servers: those that its environment names, else those of the local platform.

    What is set stays: a team's Spark, Postgres or MLflow is never replaced by a local one.
    """
    if any(name not in os.environ for name in NEEDED_BY_JOBS):
        for name, value in environment(settings().home).items():
            os.environ.setdefault(name, value)
        settings.cache_clear()


def _timed(tell: Tell, step: str, work: Callable[..., T], *arguments: Any) -> T:
    """Do a step, and tell how long it took if it took long."""
    began = time.monotonic()
    result = work(*arguments)
    if (seconds := time.monotonic() - began) > WORTH_TELLING_S:
        tell(step, seconds)
    return result


def _start_postgres(home: Home, passwords: Credentials) -> int:
    port = postgres.start(home, passwords.postgres)
    wanted = " ".join(databases.WHAT_IS_SET)
    if not home.is_done("databases", wanted):
        databases.create("127.0.0.1", port, asdict(passwords))
        home.set_done("databases", wanted)
    return port


def _version_of_tables() -> str:
    """Of what tables and views are made from: files, and what counts as activity, which staging views know."""
    files = (*(PROJECT / "rekindle" / "migrations").rglob("*.py"), *(PROJECT / "contracts").glob("*.yml"))
    # Not dbt's target folder, which whoever runs dbt by hand has beside these.
    for folder in ("models", "macros"):
        files += tuple(path for path in (PROJECT / "dbt_project" / folder).rglob("*") if path.is_file())
    decided = repr(Activity.of(settings())).encode()
    return sha256(b"".join(file.read_bytes() for file in sorted(files)) + decided).hexdigest()


def _create_tables(home: Home) -> None:
    """Migrate our own database and create the tables of the contracts, once per version of what they are made from."""
    version = _version_of_tables()
    if home.is_done("tables", version):
        return
    from rekindle import postgres
    from rekindle.warehouse.migrate import migrate
    from rekindle.warehouse.spark import session

    postgres.migrate()
    migrate(session())
    home.set_done("tables", version)
