"""The local MLflow: a database of the local Postgres and a folder of the home. Only `rekindle ui` starts a server."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from rekindle.platform import processes
from rekindle.platform.home import did_not_start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rekindle.platform.credentials import Credentials
    from rekindle.platform.home import Home

TITLE = "MLflow"
NAME = "mlflow"
USUAL_PORT = 5000


def environment(home: Home, postgres_port: int, passwords: Credentials) -> dict[str, str]:
    """Return the variables that make `mlflow` this home's MLflow."""
    return {
        "MLFLOW_TRACKING_URI": f"postgresql+psycopg://mlflow:{passwords.mlflow}@127.0.0.1:{postgres_port}/mlflow",
        # A client without a server would put artifacts below the current folder.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": _artifacts(home),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # MLflow looks for git, and warns where there is none.
        "GIT_PYTHON_REFRESH": "quiet",
    }


def set_up(home: Home, env: Mapping[str, str]) -> None:
    """Create or migrate MLflow's tables once per version of MLflow: its first use does it, and takes long."""
    if home.is_done("mlflow", version("mlflow")):
        return
    log = home.log("mlflow-setup")
    with log.open("w") as out:
        command = [sys.executable, "-c", "import mlflow; mlflow.search_experiments(max_results=1)"]
        done = subprocess.run(command, env=dict(env), cwd=home.path, stdout=out, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - written here
    if done.returncode != 0:
        raise did_not_start("MLflow's database", log)
    home.set_done("mlflow", version("mlflow"))


def start(home: Home, env: Mapping[str, str]) -> int:
    """Start the pages of MLflow; returns their port."""
    if (port := running_port(home)) is None:
        port = processes.free_port(USUAL_PORT)
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        ours = dict(env) | {
            "MLFLOW_BACKEND_STORE_URI": env["MLFLOW_TRACKING_URI"],
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": _artifacts(home),
        }
        processes.start(home, NAME, command, ours, port=port)
    processes.wait_until(lambda: processes.listens(port), home, NAME, patience_s=120)
    return port


def running_port(home: Home) -> int | None:
    """Return the port of MLflow's pages, None if they are not served."""
    record = processes.running(home, NAME)
    return record["port"] if record else None


def stop(home: Home) -> bool:
    return processes.stop(home, NAME, patience_s=5)


def _artifacts(home: Home) -> str:
    return home.folder("mlflow").as_uri()
