"""A landing zone of its own for each test, and the command line that fills it."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from rekindle.cli import app
from rekindle.settings import settings
from rekindle.warehouse import contracts


@pytest.fixture
def zone(monkeypatch, tmp_path):
    """Return the folder of an empty landing zone."""
    folder = tmp_path / "landing"
    monkeypatch.setenv("REKINDLE_LANDING", str(folder))
    settings.cache_clear()
    contracts.load.cache_clear()
    yield folder
    monkeypatch.undo()
    settings.cache_clear()
    contracts.load.cache_clear()


@pytest.fixture
def rekindle(zone):  # noqa: ARG001 - the command writes to this test's landing zone
    """Run a command: return what it answers with --json, or raise the error that it ends with."""

    def run(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        if result.exception:
            raise result.exception
        return json.loads(result.stdout)

    return run


@pytest.fixture
def history(tmp_path):
    """Write a file to import: `history("users.csv", "user_id,registered_at", "ann,2024-01-01T00:00:00Z")`."""

    def write(name, *lines):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def files():
    """Digest of every file that readers of a landing zone see."""

    def digests(zone):
        return {
            str(path.relative_to(zone)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(zone.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    return digests


@pytest.fixture(scope="session")
def landed():
    """All rows of a source that was delivered as Parquet, each with the day of its delivery."""

    def read(zone, source):
        tables = []
        for path in sorted(zone.glob(f"{source}/day=*/*.parquet")):
            rows = pyarrow.parquet.ParquetFile(path).read()
            day = path.parent.name.removeprefix("day=")
            tables.append(rows.append_column("day", pa.array([day] * len(rows), pa.string())))
        return pa.concat_tables(tables)

    return read
