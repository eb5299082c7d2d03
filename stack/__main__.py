"""
`python -m stack up|demo|down|check`, `python -m stack backup|restore FOLDER`: the platform of docker-compose.yml, with progress
and a log-in at the end. Exit code 3 where no Docker engine can be had.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stack.airflow import Airflow
from stack.backup import backup, restore
from stack.compose import PROJECT, Stack, StackError, has_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ENGINE = 3
USERS, DAYS, LAST = 600, 130, "2024-05-09"
"""Of the demo: a simulated business from 1 January 2024 on, long enough for a model of recall."""


def main(arguments: list[str]) -> int:
    commands = {"up": up, "demo": demo, "down": down, "check": check}
    with_folder = {"backup": back_up, "restore": bring_back}
    match arguments:
        case [name] if name in commands:
            work = partial(commands[name], Stack())
        case [name, folder] if name in with_folder:
            work = partial(with_folder[name], Stack(), Path(folder))
        case _:
            print(f"Usage: python -m stack {'|'.join(commands)}, or {'|'.join(with_folder)} FOLDER", file=sys.stderr)
            return 2
    if not has_engine():
        print(
            "No Docker engine with compose can be reached: start one, or set DOCKER_HOST. Nothing was done.",
            file=sys.stderr,
        )
        return NO_ENGINE
    try:
        work()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def up(stack: Stack) -> None:
    """Make the secrets that are missing, build the images, start all services and say how to log in."""
    with _step("Secrets"):
        subprocess.run([PROJECT / "scripts" / "secrets.sh"], check=True, stdout=subprocess.DEVNULL)
    with _step("Images"):
        stack.run("--profile", "tools", "--profile", "cluster", "build", "--quiet")
    with _step("Services", lambda: _standing(stack)):
        stack.run("up", "--detach", "--wait")
    airflow, mlflow, postgres = (stack.port(name) for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "POSTGRES_PORT"))
    print(
        f"""
Airflow   http://localhost:{airflow}   as viewer, operator or admin; password: secrets/airflow_<account>
MLflow    http://localhost:{mlflow}   as scorer, trainer, promoter or admin; password: secrets/mlflow_<account>
Scores    postgresql://sms_reader@localhost:{postgres}/scores   password: secrets/sms_reader
Answers   http://localhost:{stack.port("ANSWERS_PORT")}/v1   a key: docker compose run --rm tools rekindle keys add NAME
Figures   http://localhost:{stack.port("METRICS_PORT")}/metrics and, of Airflow, http://localhost:{stack.port("AIRFLOW_METRICS_PORT")}/metrics
They answer on this machine only. `make stack-demo` runs a day through it; `python -m stack down` stops it, data stay."""
    )


def demo(stack: Stack) -> None:
    """Deliver a simulated business to the object store and run a day of it through Airflow's scheduler."""
    print("Simulated: no user and no phone of this demo is real.\n")
    with _step("Deliveries to the object store"):
        stack.tool(
            "sh",
            "-c",
            f"REKINDLE_LANDING=/tmp/landing rekindle simulate --users {USERS} --days {DAYS} && rekindle upload /tmp/landing",
            service="importer",
        )
    with _step("History"):
        stack.tool("rekindle", "backfill", "--from", "2024-01-01", "--to", _before(LAST))
    airflow = Airflow(stack.port("AIRFLOW_PORT"), "operator", stack.secret("airflow_operator"))
    for dag, title in (("weekly_training", "Training"), ("daily_scores", f"The day {LAST}")):
        with _step(title):
            airflow.unpause(dag)
            run = airflow.trigger(dag, day=LAST if dag == "daily_scores" else _before(LAST))
            state = airflow.wait(
                dag, run, tell=lambda task: print(f"    {task['task_id']:<40}{task['state']}", flush=True)
            )
            if state != "success" and dag == "daily_scores":
                raise StackError(f"{dag} ended as {state}: look at its page in Airflow.")
            if state != "success":
                print("    LTV is refused: its labels take a longer history than this. Recall is trained.")
    told = stack.tool("rekindle", "status", "--json")
    print(f"\nPublished: {told.strip()[:400]}")


def down(stack: Stack) -> None:
    """Stop all services; volumes stay."""
    with _step("Stopping"):
        stack.run("--profile", "tools", "--profile", "cluster", "down", "--remove-orphans")


def check(_stack: Stack) -> None:
    """Say nothing where there is an engine: who has none was told already."""


def back_up(stack: Stack, folder: Path) -> None:
    """Write all databases and all objects into a folder. The stack goes on running."""
    with _step("Backup"):
        size = backup(stack, folder)
    print(f"{size / 1e6:,.0f} MB in {folder}. Keep secrets/ too, and apart from it.")


def bring_back(stack: Stack, folder: Path) -> None:
    """Fill a new stack, with the secrets of the old one, from a backup, and start it."""
    with _step("Restore", lambda: _standing(stack)):
        restore(stack, folder)


def _before(day: str) -> str:
    from datetime import date, timedelta

    return str(date.fromisoformat(day) - timedelta(1))


@contextmanager
def _step(title: str, standing: object = None) -> Iterator[None]:
    """Tell of a step when it begins, every half minute, and with its seconds when it is over."""
    print(f"{title} …", flush=True)
    began, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(30):
            more = f": {standing()}" if callable(standing) else ""
            print(f"  {time.monotonic() - began:4.0f} s{more}", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
    print(f"  {title}: {time.monotonic() - began:.0f} s", flush=True)


def _standing(stack: Stack) -> str:
    """Which services are not up yet."""
    try:
        waiting = [str(s["Service"]) for s in stack.services() if s["Health"] == "starting" or s["State"] == "created"]
    except (StackError, subprocess.TimeoutExpired):
        return "…"
    return f"waiting for {', '.join(sorted(set(waiting)))}" if waiting else "all up"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
