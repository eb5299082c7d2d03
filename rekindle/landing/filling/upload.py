"""
Copying a local landing folder to where a team's landing zone is, so that nobody takes half a delivery for a whole one.

Of each delivery the files go first and `_SUCCESS` last; one that is replaced loses its `_SUCCESS` first.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.errors import InputError
from rekindle.landing.filling.writer import silent
from rekindle.landing.folders import SUCCESS, THREADS, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyarrow.fs import FileSystem

PAUSES_S = 0.5, 2.0


@dataclass(frozen=True)
class Uploaded:
    """How many deliveries were copied, and how many were there already and stayed."""

    copied: int
    kept: int


def upload(
    folder: Path, zone: str, *, replace: bool = False, advance: Callable[[int, int], object] = silent
) -> Uploaded:
    """
    Copy the complete deliveries of a local landing folder to the landing zone `zone`, a URL or a folder.

    One that is complete there is kept, or replaced whole with `replace`. Raises InputError where there is none to copy.
    """
    deliveries = sorted(marker.parent for marker in folder.glob(f"*/day=*/{SUCCESS}"))
    if not deliveries:
        raise InputError(
            f"{folder} holds no complete delivery: looked for SOURCE/day=YYYY-MM-DD/{SUCCESS}.",
            todo="Name a landing folder, as `rekindle import` and `rekindle simulate` fill it.",
            safe="Nothing was copied.",
            code="nothing_to_upload",
        )
    system, root = _opened(zone)
    with ThreadPoolExecutor(THREADS) as pool:
        targets = [f"{root.rstrip('/')}/{delivery.relative_to(folder)}" for delivery in deliveries]
        done = pool.map(lambda pair: _copy(system, *pair, replace=replace), zip(deliveries, targets, strict=True))
        copied = 0
        for number, was_copied in enumerate(done, 1):
            copied += was_copied
            advance(number, len(deliveries))
    return Uploaded(copied, len(deliveries) - copied)


def _opened(zone: str) -> tuple[FileSystem, str]:
    if zone.startswith("s3://") and "?" not in zone:
        # A small file in one request, and not in the three of an upload in parts.
        zone = f"{zone}?allow_delayed_open=true"
    return opened(zone)


def _copy(system: FileSystem, delivery: Path, target: str, *, replace: bool) -> bool:
    """Copy one delivery, again where the store did not take it; False where it was there and stays."""
    for pause in PAUSES_S:
        try:
            return _copy_once(system, delivery, target, replace=replace)
        except OSError:
            time.sleep(pause)
    return _copy_once(system, delivery, target, replace=replace)


def _copy_once(system: FileSystem, delivery: Path, target: str, *, replace: bool) -> bool:
    from pyarrow import fs

    if system.get_file_info(f"{target}/{SUCCESS}").type == fs.FileType.File:
        if not replace:
            return False
        system.delete_file(f"{target}/{SUCCESS}")
    if replace:
        system.delete_dir_contents(target, missing_dir_ok=True)
    files = [path for path in sorted(delivery.rglob("*")) if path.is_file()]
    # An hour's own `_SUCCESS` after its files, the day's at the very end.
    for path in sorted(files, key=lambda path: (path.name == SUCCESS, path == delivery / SUCCESS)):
        place = f"{target}/{path.relative_to(delivery)}"
        if isinstance(system, fs.LocalFileSystem):
            system.create_dir(place.rpartition("/")[0])
        with system.open_output_stream(place) as stream:
            stream.write(path.read_bytes())
    return True
