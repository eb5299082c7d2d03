"""What the figures were measured on: cores, memory, who else was at work, and the versions of what was measured."""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = "pyspark", "lightgbm", "apache-airflow", "dbt-core", "psycopg"


def load() -> str:
    """How many processes wanted a core on average over the last 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def told() -> str:
    """Cores, memory and versions, as a sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in VERSIONS)
    return f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory; {versions}"


def resident_gib(pid: int) -> float:
    """What a process has in memory now."""
    return _kib(pid, "VmRSS") / 1024**2


def peak_gib(pid: int) -> float:
    """The most that a process has had in memory at once, as Linux has noted it."""
    return _kib(pid, "VmHWM") / 1024**2


def _kib(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(kib)


class Memory:
    """What processes have in memory together, each page that several share as a part of each; the most that was seen."""

    EVERY_S = 1

    def __init__(self) -> None:
        self.peak_gib = math.nan
        self.largest = ""
        """The processes that had most of it then."""

    def watch(self, ended: threading.Event) -> None:
        """Look again and again until it has ended."""
        while not ended.wait(self.EVERY_S):
            by_name: dict[str, float] = {}
            for process in _of_home():
                with suppress(psutil.Error):
                    gib = process.memory_full_info().pss / 1024**3
                    by_name[process.name()] = by_name.get(process.name(), 0.0) + gib
            if not (total := sum(by_name.values())) <= self.peak_gib:
                self.peak_gib = total
                most = sorted(by_name.items(), key=lambda one: -one[1])
                self.largest = ", ".join(f"{name} {gib:.1f} GiB" for name, gib in most[:3])


@contextmanager
def watched() -> Iterator[Memory]:
    """Watch what this process, and the servers that have the same home, have in memory together."""
    memory, ended = Memory(), threading.Event()
    thread = threading.Thread(target=memory.watch, args=[ended], daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def _of_home() -> list[psutil.Process]:
    """Find this process, the servers of its home and what they have started, which knows the home as they do."""
    everybody = list(psutil.process_iter(["ppid"]))
    ours = {process.pid for process in everybody if process.pid == os.getpid() or _knows(process, settings().home)}
    # Postgres overwrites what its children were started with.
    return [process for process in everybody if process.pid in ours or process.info["ppid"] in ours]


def _knows(process: psutil.Process, home: Path) -> bool:
    with suppress(psutil.Error):
        told = process.environ().get("REKINDLE_HOME"), *process.cmdline()
        return any(word and str(home) in word for word in told)
    return False
