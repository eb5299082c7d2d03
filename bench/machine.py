"""What the figures were measured on: cores, memory, who else was at work, and the versions of what was measured."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

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
