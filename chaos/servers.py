"""
Kill -9 of the servers that a step stands on, at points within it, and a connection that is cut right after a COMMIT.

The step may fail, or wait and go on by itself. Then the server is started again, as whoever watches over it does, and the step is
done again. Nothing of it may be seen in what is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from chaos.kills import arm, clear
from chaos.wire import Wire
from rekindle import points
from rekindle.platform import postgres as server
from rekindle.platform import processes, spark_connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.kills import Kills, Undisturbed
    from chaos.world import World

PATIENCE_SECONDS, ASKING_SECONDS = 240, 30

AT = {
    "features": (("after write", "JVM"), ("before release", "Postgres"), ("after release", "JVM")),
    "marts": (("before marts", "JVM"),),
    "publish": (
        ("before publish", "JVM"),
        ("before what follows within a publish", "Postgres"),
        ("after publish", "Postgres"),
    ),
    "train": (("before promotion", "Postgres"), ("before model", "Postgres")),
}
"""Where which server is killed, by step."""

CUT = {
    "publish": b"insert into rekindle.publish_log",
    "plan": b"insert into rekindle.campaign",
    "train": b"insert into rekindle.promotion",
    "features": b"insert into rekindle.build ",
}
"""Of which transaction the answer to its COMMIT is lost, by step."""


def kill_servers(kills: Kills, known: Undisturbed) -> None:
    """Kill each server of the list while the step stands at the point."""
    for point, which in AT.get(known.step, ()):
        began = time.monotonic()
        problems = _killed(kills, known, point, which)
        kills.figures.over(f"{known.step} {which} killed {point}", problems, time.monotonic() - began)


def _killed(kills: Kills, known: Undisturbed, point: str, which: str) -> list[str]:
    world, folder = kills.world, kills.folder
    kills.begin_again(known)
    arm(folder, point, "", "wait")
    process = kills.started(known.step, "served")
    try:
        if (
            not comes_true(lambda: (folder / points.REACHED).exists() or process.poll() is not None)
            or process.poll() is not None
        ):
            return [f"never came to {point}: {kills.log(known.step)}"]
        kill_server(world, which)
        kills.figures.kills += 1
        kills.figures.points |= {point}
        kills.lose_session()
        world.up()
        (folder / points.GO_ON).touch()
        # A client of Spark asks for up to ten minutes for a session that went with its server: whoever watches ends it then.
        with suppress(subprocess.TimeoutExpired):
            process.wait(ASKING_SECONDS)
    finally:
        process.kill()
        process.wait()
    clear(folder)
    return kills.healed_by_another(known, "served")


def kill_server(world: World, which: str) -> None:
    """End a server as a machine does that is switched off."""
    if which == "JVM":
        record = processes.running(world.home, spark_connect.NAME)
        assert record is not None  # noqa: S101 - it runs
        os.killpg(record["pid"], signal.SIGKILL)
        comes_true(lambda: processes.running(world.home, spark_connect.NAME) is None)
        return
    main = server.postmaster(world.home)
    assert main is not None  # noqa: S101 - it runs
    children = main.children(recursive=True)
    for process in (main, *children):
        process.kill()
    psutil.wait_procs([main, *children], timeout=30)


def cut_commits(kills: Kills, known: Undisturbed) -> None:
    """Cut the connection between a step and Postgres right after the COMMIT that matters; the step is to end well by itself."""
    if (marked := CUT.get(known.step)) is None:
        return
    began = time.monotonic()
    kills.begin_again(known)
    before = kills.logged()
    port = server.running_port(kills.world.home)
    assert port is not None  # noqa: S101 - it runs
    with Wire(port, marked) as wire:
        url = os.environ["REKINDLE_DATABASE_URL"].replace(f":{port}/", f":{wire.address}/")
        process = kills.started(known.step, "cut", {"REKINDLE_DATABASE_URL": url})
        code = process.wait(PATIENCE_SECONDS)
        cuts = wire.cuts
    problems = [] if cuts else ["nothing was cut"]
    if code:
        problems.append(f"ended with {code}: {kills.log(known.step)}")
    problems += kills.healed(known)
    added = {log: count - before[log] for log, count in kills.logged().items()}
    if added != known.logged:
        problems.append(f"the logs have {added} entries more, and {known.logged} after an undisturbed step")
    kills.figures.over(f"{known.step} connection cut right after COMMIT", problems, time.monotonic() - began)


def comes_true(asked: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until something is so; returns whether it was within so many seconds."""
    until = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
