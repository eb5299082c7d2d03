"""`python -m bench.anchors.contenders FOLDER DAY`: what DuckDB and Polars take for the features of a day, as JSON.

By what they are asked of, and by contender with its version: seconds, and sums over all users.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from bench.anchors import questions

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = "8GB"
DUCKDB, POLARS = f"DuckDB {duckdb.__version__}", f"Polars {pl.__version__}"


def main(folder: Path, day: date) -> None:
    """Ask each once cold; the operating system has the files in its cache where it has room."""
    contenders: dict[str, dict[str, Callable[[Path, date], Path]]] = {
        "over the tiles": {DUCKDB: duckdb_of_tiles, POLARS: polars_of_tiles},
        "from the events": {DUCKDB: duckdb_of_events},
    }
    print(
        json.dumps({of: {name: _timed(ask, folder, day) for name, ask in by.items()} for of, by in contenders.items()})
    )


def _timed(ask: Callable[[Path, date], Path], folder: Path, day: date) -> dict[str, object]:
    begun = time.monotonic()
    written = ask(folder, day)
    seconds = time.monotonic() - begun
    sums = ", ".join(f"cast(sum({one}) as double)" for one in questions.SUMS)
    return {"seconds": seconds, "sums": duckdb.sql(f"select {sums} from read_parquet('{written}')").fetchall()[0]}


def _ask(question: str, written: Path) -> Path:
    connection = duckdb.connect()
    connection.execute(f"set threads = 2; set memory_limit = '{MEMORY}'; set timezone = 'UTC'")
    connection.execute(f"set temp_directory = '{written.parent / 'spill'}'")
    connection.execute(f"copy ({question}) to '{written}' (format parquet, compression zstd)")
    connection.close()
    return written


def _files(folder: Path, name: str, day: date, width: int) -> list[str]:
    """The files of the days that a window needs: whoever asks by hand would not read more."""
    files = [folder / name / f"{day - timedelta(ago)}.parquet" for ago in range(width)]
    return [str(file) for file in files if file.exists()]


def _of(folder: Path, name: str, day: date, width: int) -> str:
    return f"read_parquet({_files(folder, name, day, width)})"


def duckdb_of_tiles(folder: Path, day: date) -> Path:
    tiles, items = (
        f"select * from {_of(folder, 'tiles', day, 365)}",
        f"select * from {_of(folder, 'items', day, questions.ITEM_DAYS)}",
    )
    return _ask(questions.features(tiles, items, str(day)), folder / "duckdb_of_tiles.parquet")


def duckdb_of_events(folder: Path, day: date) -> Path:
    events, orders = _of(folder, "events", day, 365), _of(folder, "orders", day, 365)
    items = questions.items(_of(folder, "events", day, questions.ITEM_DAYS), str(day))
    return _ask(
        questions.features(questions.tiles(events, orders), items, str(day)), folder / "duckdb_of_events.parquet"
    )


def polars_of_tiles(folder: Path, day: date) -> Path:
    tiles = pl.scan_parquet(_files(folder, "tiles", day, 365))

    def within(width: int) -> pl.Expr:
        return pl.col("active_on") > day - timedelta(width)

    summed = ["orders", "sale_amount", *(f"n_{one}" for one in questions.TYPES)]
    columns = [within(w).sum().alias(f"active_days_{w}d") for w in questions.WINDOWS]
    columns += [
        pl.col(name).filter(within(w)).sum().alias(f"{name}_{w}d") for w in questions.WINDOWS for name in summed
    ]
    columns += [pl.col(part).filter(within(90)).sum().alias(f"activities_{part}_90d") for part in questions.PARTS]
    before = within(56) & ~within(28)
    columns += [before.sum().alias("active_days_prior_28d")]
    columns += [pl.col("sale_amount").filter(before).sum().alias("sale_amount_prior_28d")]
    columns += [pl.col("active_on").max().alias("last_active_on"), pl.col("active_on").min().alias("first_active_on")]
    items = pl.scan_parquet(_files(folder, "items", day, questions.ITEM_DAYS))
    different = [
        pl.col(column).filter(within(w)).n_unique().alias(f"distinct_{name}_{w}d")
        for w in questions.WINDOWS[:3]
        for name, column in {"items": "item_id", "categories": "category"}.items()
    ]
    written = folder / "polars_of_tiles.parquet"
    rows = (
        tiles.group_by("user_id").agg(columns).join(items.group_by("user_id").agg(different), on="user_id", how="left")
    )
    rows.sink_parquet(written)
    return written


if __name__ == "__main__":
    main(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]))
