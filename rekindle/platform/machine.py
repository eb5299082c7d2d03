"""
What the machine has, checked before anything is installed: standard library only, run as a script by `make setup`.

Containers are believed: a limit on memory counts, not what the host has.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

GIB = 1024**3
PYTHON = (3, 11)
DISK_GIB = 6
"""Packages 2.2 GiB with their byte code, jars 0.1, the sample's tables and models under 1; the rest is room to work."""
MEMORY_GIB = 4
"""Spark takes 1.5 GiB, Airflow, dbt and training up to 1.5 on top, Postgres 0.2."""


def memory_bytes() -> int:
    """Memory of this machine, or of the container it is."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            whole = min(whole, int(text))
    return whole


def shortcomings(folder: Path, *, installed: bool) -> list[str]:
    """Say what is missing to set up and run Rekindle in `folder`; empty if nothing is."""
    missing = []
    if sys.version_info[:2] != PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        missing.append(
            f"Python 3.11 is needed, this is {found}. Name another with: make setup PYTHON=/path/to/python3.11"
        )
    if find_spec("ensurepip") is None:
        missing.append("Python's module ensurepip is needed; Debian and Ubuntu have it in python3.11-venv.")
    needed = 1 if installed else DISK_GIB
    free = shutil.disk_usage(folder).free / GIB
    if free < needed:
        missing.append(f"{needed} GiB of free disk are needed in {folder}, {free:.1f} GiB are free.")
    memory = memory_bytes() / GIB
    # A machine sold with 4 GiB shows a little less.
    if memory < 0.9 * MEMORY_GIB:
        missing.append(f"{MEMORY_GIB} GiB of memory are needed, the machine has {memory:.1f} GiB.")
    return missing


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[2]
    found = shortcomings(here, installed=(here / ".venv" / "ready").exists())
    sys.stderr.writelines(f"Missing: {what}\n" for what in found)
    sys.exit(2 if found else 0)
