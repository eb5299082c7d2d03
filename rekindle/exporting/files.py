"""Files that exports are written to: whole or not at all, and read by nobody else, because they hold phones."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Part:
    """A file that is being written: nobody finds it before it is `finish`ed, and without that it is gone."""

    path: Path
    file: IO[str]

    def finish(self, path: Path) -> None:
        """Let it stand at `path`, whole, in place of what was there."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.path.replace(path)


@contextmanager
def part_file(folder: Path) -> Iterator[Part]:
    """Open a file in a folder for its owner alone (mode 0600, from its first byte)."""
    path = folder / f".{uuid4().hex}.part"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(
            f"Nothing can be written to {folder}: {error.strerror}.",
            todo="Give --to a file in a folder that is there, or such a folder.",
        ) from error
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - what was opened is no path
            yield Part(path, file)
    finally:
        path.unlink(missing_ok=True)
