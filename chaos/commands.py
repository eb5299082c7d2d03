"""Commands of ours in processes of their own, as people give them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rekindle.settings import PROJECT


def begin(log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Give a command without waiting for it; what it prints is added to the log."""
    with log.open("a") as output:
        return subprocess.Popen(  # noqa: S603 - our own command
            [str(Path(sys.executable).with_name("rekindle")), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ,
            cwd=PROJECT,
        )
