"""
Named points: before and after each step that makes something durable, where it can be tried what becomes of it if all ends.

    with durable("release", table):
        ...

Outside of the drills (`make chaos`) a point does nothing: the environment variable REKINDLE_POINTS is not set, and nothing
else is looked at. Where it is, it names a folder. In it the drills say in a file which point is meant and what is to happen
there; whoever comes to the point first takes the file away and does it: once, in whichever process that is.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "REKINDLE_POINTS"
ARMED, PASSED, REACHED, GO_ON = "armed.json", "passed", "reached", "go-on"
"""Files of the folder: what is to happen, which points were passed, that one is reached, and that it may be left."""

PATIENCE_SECONDS = 300
"""A drill that never says go on has died itself."""


@contextmanager
def durable(step: str, of: str = "") -> Iterator[None]:
    """Mark a step that makes something durable, by a name that no other step has; `of` says of what, a table say."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        yield
        return
    _reached(Path(folder), f"before {step}", of)
    yield
    _reached(Path(folder), f"after {step}", of)


def _reached(folder: Path, point: str, of: str) -> None:
    with (folder / PASSED).open("a") as passed:
        passed.write(f"{point}\t{of}\n")
    if (deed := _taken(folder, point, of)) == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "wait":
        _wait(folder)


def _taken(folder: Path, point: str, of: str) -> str | None:
    """What is to happen here, taken away so that it happens once: a second attempt passes."""
    armed = folder / ARMED
    try:
        said = json.loads(armed.read_text())
        if said["point"] != point or said["of"] not in {"", of}:
            return None
        armed.unlink()
    except FileNotFoundError:
        return None
    return str(said["deed"])


def _wait(folder: Path) -> None:
    """Stand still while the drill does something to a server; its word to go on is taken away by who has heard it."""
    (folder / REACHED).touch()
    until = time.monotonic() + PATIENCE_SECONDS
    while not (folder / GO_ON).exists() and time.monotonic() < until:
        time.sleep(0.05)
    (folder / GO_ON).unlink(missing_ok=True)
