"""Files of a tool's export as records: JSON lines, also compressed, and CSV."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Record = Mapping[str, Any]

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")


def records(path: Path) -> Iterator[tuple[Path, Record]]:
    """Read the records of a file, or of all files of a folder and its folders, by name; with the file that each is from."""
    files = sorted(one for one in path.rglob("*") if one.is_file() and _form(one)) if path.is_dir() else [path]
    if not path.exists() or not files:
        raise InputError(
            f"There is no export at {path}.",
            todo=f"Give a file whose name ends in {', '.join(SUFFIXES)}, or that and .gz, or a folder of such files.",
        )
    for file in files:
        for record in _of_file(file):
            yield file, record


def _form(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _of_file(path: Path) -> Iterator[Record]:
    form = _form(path)
    if form is None:
        raise InputError(
            f"{path.name} does not say by its name whether it is JSON lines or CSV.",
            todo=f"Give a file whose name ends in {', '.join(SUFFIXES)}, or that and .gz.",
        )
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix.lower() == ".gz" else content).decode("utf-8-sig")
        yield from _of_csv(text) if form == ".csv" else _of_json(text)
    except (OSError, EOFError, zlib.error, csv.Error, ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(
            f"{path.name} cannot be read as {'CSV' if form == '.csv' else 'JSON lines'}{where}.",
            todo="Download the export again.",
            code="unreadable_export",
        ) from None


def _of_csv(text: str) -> Iterator[Record]:
    yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)


def _of_json(text: str) -> Iterator[Record]:
    """One object a line; also one list of objects, and what wraps a list of events, as Braze posts them."""
    if text.lstrip()[:1] == "[":
        yield from _objects(json.loads(text))
        return
    for line in filter(str.strip, text.split("\n")):
        one = json.loads(line)
        yield from _objects(one["events"] if isinstance(one, dict) and isinstance(one.get("events"), list) else [one])


def _objects(values: list[Any]) -> Iterator[Record]:
    for value in values:
        yield _whole(value) if isinstance(value, dict) else {}


def _whole(value: Any) -> Any:
    """A value without half characters: who cuts a text at so many signs cuts an emoji in two, also behind a stop."""
    match value:
        case str() if not value.isascii():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {name: _whole(member) for name, member in value.items()}
        case list():
            return [_whole(member) for member in value]
    return value
