"""
The local Airflow: a folder of the home, a database of the local Postgres, and for `rekindle ui` its four processes.

Everything is set by environment variables, so `airflow` from any shell that has them is the same Airflow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from rekindle.platform import processes
from rekindle.platform.home import did_not_start, write_private
from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.platform.credentials import Credentials
    from rekindle.platform.home import Home

TITLE = "Airflow"
ADMIN = "admin"
API_SERVER = "airflow-api-server"
COMPONENTS = "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"
USUAL_PORT = 8080
PORT_PATIENCE_S = 20
"""How long the port of an API server that has died is waited for."""

HEARTBEAT_PATIENCE_S = 180


def environment(home: Home, postgres_port: int, spark_port: int, passwords: Credentials) -> dict[str, str]:
    """Return the variables that make `airflow` this home's Airflow."""
    spark = {
        "conn_type": "spark_connect",
        "host": "sc://localhost",
        "port": spark_port,
        "password": passwords.spark_token,
    }
    folder = home.folder("airflow")
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(spark),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"postgresql+psycopg://airflow:{passwords.airflow}@127.0.0.1:{postgres_port}/airflow"
        ),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # A laptop's worth of tasks at a time; Airflow's own 32 would each start a Python.
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "4",
        "AIRFLOW__CORE__FERNET_KEY": passwords.airflow_fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": passwords.airflow_jwt,
        "AIRFLOW__API__SECRET_KEY": passwords.airflow_session,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.folder("logs", "airflow")),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            home.folder("logs", "airflow-dag-processor")
        ),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "rekindle.logs.of_tasks.LOGGING_CONFIG",
    }


def set_up(home: Home, env: Mapping[str, str]) -> None:
    """Migrate Airflow's database once per version of Airflow."""
    if home.is_done("airflow", version("apache-airflow")):
        return
    log = home.log("airflow-setup")
    with log.open("w") as out:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(command, env=dict(env), cwd=home.path, stdout=out, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - written here
    if done.returncode != 0:
        raise did_not_start("Airflow's database", log)
    home.set_done("airflow", version("apache-airflow"))


def start(home: Home, env: Mapping[str, str], passwords: Credentials) -> int:
    """Start the API server, scheduler, DAG processor and triggerer; returns the port of the pages."""
    if (port := running_port(home)) is None:
        # The others, and the tasks that they have begun, know the address of one that has died.
        before = processes.last_port(home, API_SERVER)
        port = processes.free_port(before or USUAL_PORT, patience_s=PORT_PATIENCE_S if before else 0)
    write_private(home.folder("airflow") / "passwords.json", json.dumps({ADMIN: passwords.airflow_admin}))
    ours = dict(env) | {
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(processes.free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(processes.free_port()),
    }
    for name in (API_SERVER, *COMPONENTS):
        record = processes.running(home, name)
        if record and record["port"] != port:
            # Somebody else has that port now: who was begun with it would ask there for ever.
            processes.stop(home, name)
            record = None
        if not record:
            command = [sys.executable, "-m", "airflow", name.removeprefix("airflow-")]
            processes.start(home, name, command, ours, port=port)
    processes.wait_until(lambda: _beats(port), home, API_SERVER, patience_s=HEARTBEAT_PATIENCE_S)
    return port


def running_port(home: Home) -> int | None:
    """Return the port of Airflow's pages, None if they are not served."""
    record = processes.running(home, API_SERVER)
    return record["port"] if record else None


def stop(home: Home) -> bool:
    """Stop Airflow's processes, all at once; False if none ran. What they were doing is in its database."""
    names = (*COMPONENTS, API_SERVER)
    with ThreadPoolExecutor(len(names)) as pool:
        return any(list(pool.map(partial(processes.stop, home, patience_s=5), names)))


def _beats(port: int) -> bool:
    """Whether the API server answers and has heard from the others."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as page:
        health = json.load(page)
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer"))
    return False
