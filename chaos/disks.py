"""
A disk that is full: the warehouse, Spark's scratch folder or Postgres lie on a file system of memory with little room left.

A step that finds no room fails, or the server does; nothing of it is seen. When there is room again, the same step done again
leaves what it always leaves. Only root may mount a file system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chaos.kills import STEP_SECONDS
from rekindle import postgres
from rekindle.errors import RekindleError
from rekindle.platform import postgres as server
from rekindle.platform import spark_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.kills import Kills, Undisturbed

KIB = 1024
FREE_KIB = {"warehouse": (16, 200, 700), "scratch": (64, 600, 2500), "Postgres": (300, 3_000, 9_000)}
"""What is left on the disk: nearly nothing, room for a part of the step, and room for most of it."""

HAD_ROOM = "had room enough"

AMPLE_KIB = 4 * 1024 * 1024
STEP = {"features": ("warehouse", "scratch"), "publish": ("Postgres",)}
"""The step that meets a full disk, by the disk: one that writes much to it."""


def fill_disks(kills: Kills, known: Undisturbed) -> None:
    """Let a step meet a disk that is full, in three sizes each."""
    for disk in STEP.get(known.step, ()):
        if why := why_not():
            kills.figures.skip(f"{disk} on a full disk", why)
            continue
        had_room = True
        for free in FREE_KIB[disk]:
            began = time.monotonic()
            came_of_it, problems = _full(kills, known, disk, free)
            had_room = had_room and came_of_it == HAD_ROOM
            kills.figures.over(f"{known.step}, {free} KiB left for {disk}", problems, time.monotonic() - began)
        if had_room:
            kills.figures.over(
                f"{disk} was never full", ["each size had room for the whole step: nothing was tried"], 0.0
            )


def why_not() -> str | None:
    """Why no file system can be mounted here; None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)  # noqa: S607 - of the system
    return None if tried.returncode == 0 else "this machine lets nobody mount a file system"


def _full(kills: Kills, known: Undisturbed, disk: str, free_kib: int) -> tuple[str, list[str]]:
    """Let a step meet a disk with so much left: what came of it, and what is not as it should be after it was done again."""
    kills.begin_again(known)
    folder = {
        "warehouse": kills.world.home.path / "warehouse",
        "scratch": kills.world.home.folder("spark", "local"),
        "Postgres": (kills.world.home.path / "postgres").resolve() / "data",
    }[disk]
    _stop(kills, disk)
    with _small(folder, free_kib, empty=disk == "scratch") as enlarge:
        came_of_it = _attempt(kills, known)
        kills.figures.full_disks += 1
        enlarge()
        kills.world.up()
        found = kills.healed_by_another(known, "full")
        _stop(kills, disk)
    kills.world.up()
    print(f"        {came_of_it}", flush=True)
    return came_of_it, found


def _attempt(kills: Kills, known: Undisturbed) -> str:
    """Try the step on the full disk; the server may not even start there."""
    try:
        kills.world.up()
    except RekindleError:
        return "the server did not start"
    return "found no room" if kills.started(known.step, "full").wait(STEP_SECONDS) else HAD_ROOM


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
def _small(folder: Path, free_kib: int, *, empty: bool) -> Iterator[Callable[[], None]]:
    """Let a folder be a file system of memory with its content and little room; it is what it was after the block."""
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
        _resize(folder, _taken_kib(folder) + free_kib)
        yield lambda: _resize(folder, AMPLE_KIB)
    finally:
        _run("umount", "-l", folder)
        folder.rmdir()
        before.rename(folder)


def _resize(folder: Path, size_kib: int) -> None:
    _run("mount", "-o", f"remount,size={size_kib}k", folder)


def _taken_kib(folder: Path) -> int:
    return shutil.disk_usage(folder).used // KIB


def _run(*command: str | Path) -> None:
    subprocess.run(list(command), check=True, capture_output=True)  # noqa: S603 - commands are written here
