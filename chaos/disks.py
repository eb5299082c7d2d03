"""
A disk that is full: the warehouse, Spark's scratch folder or Postgres lie on a file system of memory with little room left.

A step that finds no room fails, or the server does; nothing of it is seen. When there is room again, the same step done again
leaves what it always leaves. Only root may mount a file system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from chaos.kills import STEP_SECONDS
from rekindle import postgres
from rekindle.platform import postgres as server
from rekindle.platform import spark_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.kills import Kills, Undisturbed

T = TypeVar("T")

KIB = 1024
SHARES = 0.05, 0.35, 0.65
"""What is left on the disk, of what the step takes of it: nearly nothing, room for a part of the step, and for most of
it. What Postgres takes is not the same each time."""

AMPLE_KIB = 4 * 1024 * 1024
STEP = {"features": ("warehouse", "scratch"), "publish": ("Postgres",)}
"""The step that meets a full disk, by the disk: one that writes much to it."""

WATCH_SECONDS = 0.01

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
"""MLflow, whose database has no room either, is else asked again for two minutes, of which nothing is learnt."""


def fill_disks(kills: Kills, known: Undisturbed) -> None:
    """Let a step meet a disk that is full, in three sizes each."""
    for disk in STEP.get(known.step, ()):
        if why := why_not():
            kills.figures.skip(f"{disk} on a full disk", why)
            continue
        taken = _on_small_disk(kills, known, disk, _taken)
        print(f"        the step takes {taken} KiB of the disk of {disk}", flush=True)
        for share in SHARES:
            began = time.monotonic()
            free = round(share * taken)
            problems = _on_small_disk(kills, known, disk, partial(_full, free_kib=free))
            kills.figures.over(f"{known.step}, {free} KiB left for {disk}", problems, time.monotonic() - began)


def why_not() -> str | None:
    """Why no file system can be mounted here; None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)  # noqa: S607 - of the system
    return None if tried.returncode == 0 else "this machine lets nobody mount a file system"


@dataclass(frozen=True)
class Disk:
    """A file system of memory on which a folder of the platform lies."""

    folder: Path

    @property
    def taken_kib(self) -> int:
        return shutil.disk_usage(self.folder).used // KIB

    def resize(self, size_kib: int) -> None:
        _run("mount", "-o", f"remount,size={size_kib}k", self.folder)


def _on_small_disk(kills: Kills, known: Undisturbed, name: str, drill: Callable[[Kills, Undisturbed, Disk], T]) -> T:
    """Bring back what was before the step, and do a drill while a folder is a disk of its own; servers run on it."""
    kills.begin_again(known)
    folder = {
        "warehouse": kills.world.home.path / "warehouse",
        "scratch": kills.world.home.folder("spark", "local"),
        "Postgres": (kills.world.home.path / "postgres").resolve() / "data",
    }[name]
    _stop(kills, name)
    try:
        with _mounted(folder, empty=name == "scratch") as disk:
            kills.world.up()
            done = drill(kills, known, disk)
            _stop(kills, name)
    finally:
        kills.world.up()
    return done


def _taken(kills: Kills, known: Undisturbed, disk: Disk) -> int:
    """How many KiB more of the disk are taken at the most while a step has all the room it wants."""
    before = most = disk.taken_kib
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(WATCH_SECONDS):
            most = max(most, disk.taken_kib)

    watching = threading.Thread(target=watch)
    watching.start()
    code = kills.started(known.step, "measured").wait(STEP_SECONDS)
    ended.set()
    watching.join()
    assert code == 0, f"{known.step} fails with all room: {kills.log(known.step)}"  # noqa: S101 - nothing can be tried then
    return most - before


def _full(kills: Kills, known: Undisturbed, disk: Disk, *, free_kib: int) -> list[str]:
    """Let a step meet a disk with so much left: what is not as it should be after it was done again with room."""
    disk.resize(disk.taken_kib + free_kib)
    code = kills.started(known.step, "full", IMPATIENT).wait(STEP_SECONDS)
    disk.resize(AMPLE_KIB)
    # A server that has found no room may be gone.
    kills.world.up()
    kills.figures.full_disks += code != 0
    return [*([] if code else ["had room enough: nothing was tried"]), *kills.healed_by_another(known, "full")]


def _stop(kills: Kills, disk: str) -> None:
    """Stop who has files open on a disk that is about to be another."""
    kills.close()
    kills.lose_session()
    if disk == "Postgres":
        postgres.disconnect()
        server.stop(kills.world.home)
    if disk == "scratch":
        spark_connect.stop(kills.world.home)


@contextmanager
def _mounted(folder: Path, *, empty: bool) -> Iterator[Disk]:
    """Let a folder be a file system of memory with its content and much room; it is what it was after the block."""
    before = folder.with_name(f".{folder.name}.before")
    owner = folder.stat()
    folder.rename(before)
    folder.mkdir(mode=0o700)
    _run(
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={AMPLE_KIB}k,mode=0700,uid={owner.st_uid},gid={owner.st_gid}",
        "tmpfs",
        folder,
    )
    try:
        if not empty:
            _run("cp", "-a", f"{before}/.", folder)
        yield Disk(folder)
    finally:
        _run("umount", "-l", folder)
        folder.rmdir()
        before.rename(folder)


def _run(*command: str | Path) -> None:
    subprocess.run(list(command), check=True, capture_output=True)  # noqa: S603 - commands are written here
