"""Tables that people hand over as a file: csv with a heading, or Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

SAFE = "Nothing was computed."


def read_table(path: Path) -> pa.Table:
    """Read a file whole. Raises InputError `no_file` where there is none, and `unreadable`, which quotes nothing of it."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise InputError(
            f"There is no file {path}.", todo="Give the path of a csv or parquet file.", safe=SAFE, code="no_file"
        )
    try:
        return parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read as a table.",
            todo="Give a csv file with a heading, or a file whose name ends in .parquet.",
            safe=SAFE,
            code="unreadable",
        ) from error
