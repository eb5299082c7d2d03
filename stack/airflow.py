"""Airflow's REST API, as much of it as a person or a monitor uses: log in, start a run, wait for its end."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
OVER = "success", "failed"
FORBIDDEN, UNAUTHORIZED = 403, 401


class AirflowError(Exception):
    """What the API refused, with the status that it gave."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Airflow:
    """A log-in of one account."""

    def __init__(self, port: int, account: str, password: str) -> None:
        self._base, self._token = f"http://127.0.0.1:{port}", ""
        answer = self.call("POST", "/auth/token", {"username": account, "password": password})
        self._token = str(answer["access_token"])

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask, and return the answer. Raises AirflowError with its status."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, method=method, data=data, headers=headers)  # noqa: S310
        try:
            with OPEN(request, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise AirflowError(error.code, error.read().decode(errors="replace")[:300]) from error

    def unpause(self, dag: str) -> None:
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, **conf: object) -> str:
        """Start a run with these parameters; returns its id."""
        run = self.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def wait(self, dag: str, run: str, *, patience_s: float = 3600, tell: Any = None) -> str:
        """Wait for a run's end and return its state; `tell` hears of each task that is over."""
        deadline, told = time.monotonic() + patience_s, set()
        while time.monotonic() < deadline:
            # A server that is busy answers late: ask again.
            with suppress(OSError):
                for task in self.tasks(dag, run):
                    if tell and task["state"] in {*OVER, "skipped", "upstream_failed"} and task["task_id"] not in told:
                        told.add(task["task_id"])
                        tell(task)
                state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
                if state in OVER:
                    return str(state)
            time.sleep(3)
        raise AirflowError(0, f"{run} of {dag} was not over after {patience_s:.0f} s")

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        found = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances?limit=200")
        return list(found["task_instances"])

    def backfill(self, dag: str, first: str, last: str, **conf: object) -> int:
        """Have the scheduler run past days, one at a time; both are midnights after a day. Returns its number."""
        asked = {"dag_id": dag, "from_date": first, "to_date": last, "max_active_runs": 1, "dag_run_conf": conf}
        return int(self.call("POST", "/api/v2/backfills", {**asked, "reprocess_behavior": "completed"})["id"])

    def wait_for_backfill(self, dag: str, number: int, *, patience_s: float = 3600) -> list[str]:
        """Wait for all runs of a backfill; returns their states."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with suppress(OSError):
                if self.call("GET", f"/api/v2/backfills/{number}")["completed_at"]:
                    runs = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
                    return [str(run["state"]) for run in runs]
            time.sleep(3)
        raise AirflowError(0, f"backfill {number} of {dag} was not over after {patience_s:.0f} s")
