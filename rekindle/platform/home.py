"""The local platform's folder: one place for all state, its lock, its logs, and what has been set up once."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rekindle.errors import RekindleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Home:
    """A local platform's folder. Two homes never touch each other, so tests never touch the demo's."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def folder(self, *names: str) -> Path:
        """Return a folder of this home; only its owner can look inside."""
        folder = self.path.joinpath(*names)
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, name: str) -> Path:
        return self.folder("logs") / f"{name}.log"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one process at a time start or stop this platform; others wait."""
        with (self.folder() / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_done(self, step: str, version: str) -> bool:
        """Whether a step was already done for this version of what it sets up."""
        return self._done().get(step) == version

    def set_done(self, step: str, version: str) -> None:
        write_private(self.folder() / "done.json", json.dumps(self._done() | {step: version}, indent=1))

    def set_all_undone(self) -> None:
        (self.folder() / "done.json").unlink(missing_ok=True)

    def _done(self) -> dict[str, str]:
        file = self.path / "done.json"
        return json.loads(file.read_text()) if file.exists() else {}


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    draft.replace(file)


def did_not_start(what: str, log: Path) -> RekindleError:
    """Build the error for a server or a set-up step that failed, which names the log that tells why."""
    return RekindleError(
        f"{what} did not start.",
        todo=f"The log says why: {log}. Then run `rekindle up` again.",
        safe="All data are kept.",
    )
