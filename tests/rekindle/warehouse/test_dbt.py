"""dbt as a process that ends with whoever has started it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rekindle.warehouse.dbt import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dbt(tmp_path: Path) -> dict[str, str]:
    """Something that is called as dbt is, says that it has begun, and goes on for a minute or ends by itself."""
    folder = tmp_path / "dbt" / "cli"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    (folder / "main.py").write_text(
        "import os, sys, time\ndef cli():\n    print('begun', flush=True)\n    time.sleep(float(sys.argv[1]))\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def started(environment: dict[str, str], seconds: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, seconds], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_it_ends_when_its_caller_is_gone(dbt: dict[str, str]):
    with started(dbt, "60") as process:
        assert process.stdout.readline() == b"begun\n"
        process.stdin.close()  # what the system does for a caller that was killed

        assert process.wait(20) == 1


def test_it_ends_well_by_itself(dbt: dict[str, str]):
    with started(dbt, "0") as process:
        assert process.wait(20) == 0
