"""
Masking people in files of the home: pages, logs, dbt's folders, Data Docs, exports, documents of models.

By the rules of the house only pages name anybody; logs are looked through because others write them, too. A text is overwritten
where it stands, by as many bytes: a server goes on writing to its log, and a page keeps its shape.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

FOLDERS = ("reports", "logs", "dbt", "data_docs", "exports", "pages", "campaigns", "mlflow", "mlartifacts", "artifacts")
"""Folders of the home in which texts may name somebody. Postgres' and the warehouse's are none of them."""

BYTES_OF_MODELS = "native"
"""A folder of a model's bytes: with another byte it has another digest, and is loaded by nobody. Models are retrained."""

SHORTEST = 5
"""A shorter id is a number that logs are full of. It is masked where a page says that it is one."""

ON_PAGES = (b'class="id">', b"</")
"""What stands around an id on our pages."""

MASK = b"*"


def patterns(texts: Collection[str]) -> list[re.Pattern[bytes]]:
    """What is looked for: each text as it is, as HTML and as JSON write it, and not within a longer word."""
    found = set()
    for text in texts:
        for form in {text, html.escape(text), html.escape(text).replace("&#x27;", "&#39;"), json.dumps(text)[1:-1]}:
            if len(text) < SHORTEST:
                before, after = (re.escape(part) for part in ON_PAGES)
                found.add(b"(?<=" + before + b")" + re.escape(form.encode()) + b"(?=" + after + b")")
            else:
                found.add(rb"(?<![0-9A-Za-z])" + re.escape(form.encode()) + rb"(?![0-9A-Za-z])")
    return [re.compile(one) for one in sorted(found)]


def mask(home: Path, texts: Collection[str]) -> dict[str, int]:
    """Mask the texts in all files; returns by folder in how many files they were."""
    looked_for = patterns(texts)
    if not looked_for:
        return {}
    found: dict[str, int] = {}
    for name in FOLDERS:
        for path in _files(home / name):
            if _mask(path, looked_for):
                found[name] = found.get(name, 0) + 1
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and BYTES_OF_MODELS not in path.parts:
            yield path


def _mask(path: Path, looked_for: Collection[re.Pattern[bytes]]) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False  # rotated meanwhile
    is_packed = path.suffix == ".gz"
    text = gzip.decompress(content) if is_packed else content
    places = [match.span() for pattern in looked_for for match in pattern.finditer(text)]
    if not places:
        return False
    if is_packed:
        whole = bytearray(text)
        for begin, end in places:
            whole[begin:end] = MASK * (end - begin)
        path.write_bytes(gzip.compress(bytes(whole)))
        return True
    with path.open("r+b") as file:
        for begin, end in places:
            file.seek(begin)
            file.write(MASK * (end - begin))
    return True
