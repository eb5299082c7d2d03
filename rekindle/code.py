"""Digests of our own files: the same wherever the project lies, another as soon as one of them is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over the names, within the project, and the bytes of files, in the order of their names."""
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(str(file.relative_to(PROJECT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()
