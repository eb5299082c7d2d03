"""
A day through Airflow's scheduler and its REST API, in which tasks and servers are killed one after the other.

Who is killed is started again by a watch, as containers are; whatever else has to happen, Airflow and the tasks do.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

from chaos import contents, readers
from chaos.kills import arm, clear
from chaos.servers import comes_true, kill_server
from chaos.world import OLD, PUBLISHED
from rekindle import platform, points
from rekindle.errors import RekindleError
from rekindle.platform import airflow, processes, spark_connect
from rekindle.platform import postgres as server
from rekindle.platform.credentials import credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.figures import Figures
    from chaos.readers import Reader
    from chaos.world import World

RUN_SECONDS = 2400
POLL_SECONDS = 1.0
WATCH_EVERY_SECONDS = 5.0
CALLBACK_SECONDS = 180
PARSED_WITHIN_SECONDS = 180
HEARD_WITHIN_SECONDS = 5

HEARTBEAT = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
HEARTBEAT_SECONDS = "90"
"""Whose scheduler was killed as well is missed by its heartbeat alone, after five minutes unless Airflow is told otherwise."""

RETRY_SECONDS = 5
"""After so long Airflow tries a task again, as its own column for one try says: nothing is learnt from minutes of waiting."""


@dataclass(frozen=True)
class Deed:
    """Who is killed, at which point, of which table or product where that matters."""

    who: str
    point: str
    of: str = ""


DAY = (
    Deed("task", "after write", "raw.events"),
    # Of the second attempt: what runs beside the first may have passed its points before the next one is armed.
    Deed("airflow-api-server", "before builds of raw", "raw.events"),
    Deed("JVM", "after write", "features.user_day"),
    Deed("task", "before release", "features.user"),
    Deed("airflow-scheduler", "before marts", "training"),
    Deed("task", "after release of marts"),
    Deed("Postgres", "before release", "scores.recall_daily"),
    Deed("airflow-scheduler", "before what follows within a publish"),
    Deed("task", "after publish"),
    Deed("task", "before end of a run"),
)
"""In the order in which a day comes to the points."""

TRAINING = (Deed("task", "before stage", "train ltv"), Deed("task", "before stage", "train recall"))
"""Tasks that Airflow does not try again: the run fails, nobody is left who could say so, and it is recorded all the same."""


class Scheduled:
    """Airflow's pages and scheduler, and the runs that are asked of them."""

    def __init__(self, world: World, figures: Figures) -> None:
        self.world, self.figures = world, figures
        self.folder = world.home.folder("points")
        clear(self.folder)
        os.environ |= {points.VARIABLE: str(self.folder), HEARTBEAT: HEARTBEAT_SECONDS}
        # What an earlier drill was in the middle of when it was stopped would go on beside this one.
        with world.administrator("airflow") as connection:
            connection.execute("delete from dag_run where run_id like 'chaos-%'")
        self.orphans: list[psutil.Process] = []
        self.pages = platform.ui(world.home.path)

    def close(self) -> None:
        airflow.stop(self.world.home)
        for orphan in self.orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        del os.environ[points.VARIABLE], os.environ[HEARTBEAT]

    def run(self, dag: str, run_id: str, conf: dict[str, Any], deeds: Sequence[Deed]) -> tuple[str, list[str]]:
        """Trigger a run, kill what is to be killed, and wait; returns how it ended, and which deeds were never done."""
        self._unpause(dag)
        self._ask("POST", f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})
        left, state = list(deeds), ""
        self._arm(left)
        until, watched = time.monotonic() + RUN_SECONDS, time.monotonic()
        while time.monotonic() < until:
            if left and not (self.folder / points.ARMED).exists():
                self._done(left.pop(0))
                self._arm(left)
            if time.monotonic() - watched > WATCH_EVERY_SECONDS:
                self.watch()
                self._try_soon(run_id)
                watched = time.monotonic()
            state = self._state(run_id) or state
            if state in {"success", "failed"}:
                break
            time.sleep(POLL_SECONDS)
        clear(self.folder)
        with suppress(OSError):
            self._ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": True})
        return state, [f"{deed.who} was never killed {deed.point} {deed.of}" for deed in left]

    def _unpause(self, dag: str) -> None:
        """A DAG is known when its file has been read."""
        until = time.monotonic() + PARSED_WITHIN_SECONDS
        while True:
            try:
                self._ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
            except urllib.error.HTTPError:
                if time.monotonic() > until:
                    raise
                time.sleep(2)
            else:
                return

    def _arm(self, left: Sequence[Deed]) -> None:
        if left:
            deed = left[0]
            arm(self.folder, deed.point, deed.of, "kill" if deed.who == "task" else "wait")

    def _done(self, deed: Deed) -> None:
        """A point is reached: a task has killed itself, or waits while a server is killed and started again."""
        print(f"        {deed.who} killed {deed.point} {deed.of}", flush=True)
        self.figures.kills += 1
        self.figures.by_scheduler += 1
        self.figures.points |= {deed.point}
        if deed.who == "task":
            return
        if deed.who in {"JVM", "Postgres"}:
            kill_server(self.world, deed.who)
        else:
            self.orphans += kill_component(self.world, deed.who)
        self.watch()
        go_on = self.folder / points.GO_ON
        go_on.touch()
        # Heard, or nobody is there any more who could: what is armed next begins with an empty folder.
        comes_true(lambda: not go_on.exists(), HEARD_WITHIN_SECONDS)

    def watch(self) -> None:
        """Start again what has died; a start that a busy machine gave no time is tried anew at the next look."""
        home = self.world.home
        names = (airflow.API_SERVER, *airflow.COMPONENTS, spark_connect.NAME)
        if server.running_port(home) is None or not all(processes.running(home, name) for name in names):
            with suppress(RekindleError):
                self.pages = platform.ui(home.path)

    def _try_soon(self, run_id: str) -> None:
        soon = "update task_instance set retry_delay_override = %s where run_id = %s and state = 'up_for_retry'"
        with suppress(psycopg.OperationalError), self.world.administrator("airflow") as connection:
            connection.execute(soon, [RETRY_SECONDS, run_id])

    def _state(self, run_id: str) -> str | None:
        with suppress(psycopg.OperationalError), self.world.administrator("airflow") as connection:
            row = connection.execute("select state from dag_run where run_id = %s", [run_id]).fetchone()
            return row[0] if row else None
        return None

    def tries(self, run_id: str) -> dict[str, int]:
        """How often each task was begun that was begun more than once."""
        with self.world.administrator("airflow") as connection:
            rows = connection.execute(
                "select task_id, try_number from task_instance where run_id = %s and try_number > 1", [run_id]
            )
            return dict(rows.fetchall())

    def states(self, run_id: str) -> dict[str, str]:
        with self.world.administrator("airflow") as connection:
            rows = connection.execute("select task_id, state from task_instance where run_id = %s", [run_id])
            return dict(rows.fetchall())

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Ask Airflow's REST API, as its administrator."""
        secret = {"username": airflow.ADMIN, "password": credentials(self.world.home).airflow_admin}
        token = _post(f"{self.pages.airflow}/auth/token", "POST", secret, None)["access_token"]
        return _post(f"{self.pages.airflow}{path}", method, body, token)


def _post(url: str, method: str, body: dict[str, Any], token: str | None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - of this machine
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - of this machine
        return json.load(answer)


def kill_component(world: World, name: str) -> list[psutil.Process]:
    """
    End one of Airflow's processes; returns what it had started and what lives on.

    What serves pages ends whole, or its port stays taken. The tasks that the scheduler has begun live on, and another attempt of
    them is begun beside them: that is the harder case.
    """
    record = processes.running(world.home, name)
    assert record is not None  # noqa: S101 - it runs
    main = psutil.Process(record["pid"])
    children = main.children(recursive=True)
    main.kill()
    if name == airflow.API_SERVER:
        for child in children:
            child.kill()
        children = []
    while processes.running(world.home, name) is not None:
        time.sleep(0.05)
    return children


def day(world: World, reader: Reader, figures: Figures) -> None:
    """A day with ten kills, a training whose attempts are killed for good, and upkeep; all by Airflow's scheduler."""
    began = time.monotonic()
    reader.expect_nothing()
    with reader.away():
        world.restore(PUBLISHED)
        new, tables = readers.read_once(world.reader()), tuple(contents.catalog(world))
        wanted = _all(world, tables)
        world.restore(OLD)
    reader.whole = {readers.read_once(world.reader()), new}
    torn = len(reader.torn)
    scheduled = Scheduled(world, figures)
    try:
        at = world.published_at(world.new).isoformat()
        state, problems = scheduled.run("daily_scores", "chaos-day", {"day": str(world.new), "at": at}, DAY)
        print(f"        tries: {scheduled.tries('chaos-day')}", flush=True)
        if state != "success":
            problems.append(f"the run ended {state or 'never'}: {scheduled.states('chaos-day')}")
        problems += _differing(world, wanted, tables, new)
        if reader.torn[torn:]:
            problems.append(f"{len(reader.torn) - torn} reads saw neither the old day nor the new")
        figures.to_heal += len(DAY)
        figures.healed += 0 if problems else len(DAY)
        figures.over("a day under Airflow's scheduler with ten kills", problems, time.monotonic() - began)
        _training(world, scheduled, figures)
        _upkeep(world, scheduled, figures, tables)
    finally:
        scheduled.close()


def _training(world: World, scheduled: Scheduled, figures: Figures) -> None:
    began = time.monotonic()
    conf = {"day": str(world.new)}
    state, problems = scheduled.run("weekly_training", "chaos-training", conf, TRAINING)
    if state != "failed":
        problems.append(f"the run ended {state or 'never'}, and its only attempts were killed")
    # Airflow tells us in a process of its own.
    until = time.monotonic() + CALLBACK_SECONDS
    while contents.running(world) and time.monotonic() < until:
        time.sleep(2)
    problems += [f"running for ever: {run}" for run in contents.running(world)]
    (told,) = contents.select(world, "select error from rekindle.run where dag_run_id = %s", "chaos-training")
    if not str(told[0]).startswith("task_died"):
        problems.append(f"the record does not say that its task died, but {told[0]}")
    scheduled.run("weekly_training", "chaos-training-again", conf, ())
    # Of a history that is as short nobody learns what a user is worth, so the run as a whole ends as it must.
    if (ended := scheduled.states("chaos-training-again").get("recall.train")) != "success":
        problems.append(f"trained again, the task ended {ended}")
    problems += promotion_log()
    figures.to_heal += 1
    figures.healed += not problems
    figures.over("a training whose only attempts are killed", problems, time.monotonic() - began)


def _upkeep(world: World, scheduled: Scheduled, figures: Figures, tables: Sequence[str]) -> None:
    began = time.monotonic()
    spark = contents.fresh_session()
    try:
        before = contents.branches(spark, tables)
        state, problems = scheduled.run("table_upkeep", "chaos-upkeep", {"day": str(world.new)}, ())
        if state != "success":
            problems.append(f"the run ended {state or 'never'}: {scheduled.states('chaos-upkeep')}")
        problems += [f"a branch is left for ever: {branch}" for branch in contents.branches(spark, tables)]
    finally:
        spark.stop()
    figures.over(f"upkeep after {len(before)} branches were left", problems, time.monotonic() - began)


def promotion_log() -> list[str]:
    """What the promotion log says that is not so: each champion once, and the last one in office."""
    from ml import registry
    from ml.products import PRODUCTS
    from rekindle import records

    problems = []
    for product in (product for product in PRODUCTS if product.is_trained):
        logged = [p.version for p in records.promotions(product.name)]
        champion = registry.find_champion(product)
        if len(set(logged)) < len(logged):
            problems.append(f"the promotion log of {product.name} says {logged}")
        if logged and (champion is None or champion.version != logged[-1]):
            problems.append(f"the log's champion of {product.name} is {logged[-1]}, the registry's another")
    return problems


def _all(world: World, tables: Sequence[str]) -> dict[str, str]:
    spark = contents.fresh_session()
    try:
        return contents.of_warehouse(spark, tables) | contents.of_postgres(world)
    finally:
        spark.stop()


def _differing(world: World, wanted: dict[str, str], tables: Sequence[str], new: readers.State) -> list[str]:
    found = _all(world, tables)
    problems = [
        f"{name} is {found.get(name)}, and {digest} after a day alone"
        for name, digest in wanted.items()
        if found.get(name) != digest
    ]
    if differing := readers.read_once(world.reader()).differing(new):
        problems.append(f"readers see another {', '.join(differing)} than after a day alone")
    return problems + [f"running for ever: {run}" for run in contents.running(world)]
