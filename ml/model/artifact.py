"""
A model's native files: their digest, and the one archive in which they travel to the Spark workers.

The digest names the bytes that the gate judged. Whoever loads a model, here or on a worker, computes it again from what
is about to be loaded and refuses anything else before a parser sees it.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from typing import TYPE_CHECKING

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODEL_FILE = "model.json"

NATIVE_FILE = re.compile(r"model\.json|booster_[a-z0-9_]+\.txt|graph_[a-z0-9_]+\.onnx")
"""JSON, LightGBM's text, ONNX graphs: numbers only. Nothing that could run code (pickle, pyfunc) has a name here."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every entry of an archive has this time, the first that zip knows: equal models are equal archives."""


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over names and bytes, in order of the names; lengths keep neighbours apart."""
    sha = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            sha.update(len(part).to_bytes(8, "big"))
            sha.update(part)
    return sha.hexdigest()


def check_names(names: Iterable[str]) -> None:
    """Refuse a model with any file but the native ones: a path that climbs, a pickle, a library."""
    wrong = sorted(name for name in names if not NATIVE_FILE.fullmatch(name))
    if wrong:
        raise InputError(
            f"The model holds files that are not part of a native model: {', '.join(map(repr, wrong[:5]))}.",
            todo="Train the product again; find out who put them there.",
            safe="Nothing of it was loaded; the last good scores stay.",
            code="unexpected_model_file",
        )


def check_digest(files: Mapping[str, bytes], digest: str) -> None:
    """Refuse bytes that are not those the gate judged."""
    check_names(files)
    found = digest_of(files)
    if found != digest:
        raise InputError(
            f"The model's bytes have the digest {found[:12]}…, but the gate passed {digest[:12]}….",
            todo="Train the product again; find out who changed the files.",
            safe="Nothing of it was loaded; the last good scores stay.",
            code="digest_mismatch",
        )


def pack(files: Mapping[str, bytes]) -> bytes:
    """Put the files into one uncompressed archive; the same files give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted(files):
            packed.writestr(zipfile.ZipInfo(name, EPOCH), files[name])
    return archive.getvalue()


def unpack(archive: bytes, digest: str) -> dict[str, bytes]:
    """Read what `pack` wrote, and check it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        check_names(packed.namelist())
        files = {name: packed.read(name) for name in packed.namelist()}
    check_digest(files, digest)
    return files
