"""`python -m bench.anchors.contenders FOLDER DAY`: seconds of DuckDB and Polars for the features of a day, as JSON."""

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
SUMS = ("active_days_1d", "active_days_365d", "orders_90d", "sale_amount_365d", "n_view_28d", "distinct_items_7d")
"""What is added up over all users, for a look at whether everybody has answered the same question."""


def main(folder: Path, day: date) -> None:
    """Ask each once cold; the operating system has the files in its cache where it has room."""
    told: dict[str, object] = {"versions": {"duckdb": duckdb.__version__, "polars": pl.__version__}}
    contenders: dict[str, Callable[[Path, date], Path]] = {
        "DuckDB over the tiles": duckdb_of_tiles,
        "DuckDB from the events": duckdb_of_events,
        "Polars over the tiles": polars_of_tiles,
    }
    for name, contender in contenders.items():
        begun = time.monotonic()
        written = contender(folder, day)
        told[name] = time.monotonic() - begun
        sums = ", ".join(f"cast(sum({one}) as double)" for one in SUMS)
        told[f"{name}: sums"] = duckdb.sql(f"select {sums} from read_parquet('{written}')").fetchall()[0]
    print(json.dumps(told))


def _ask(question: str, written: Path) -> Path:
    connection = duckdb.connect()
    connection.execute(f"set threads = 2; set memory_limit = '{MEMORY}'; set timezone = 'UTC'")
    connection.execute(f"set temp_directory = '{written.parent / 'spill'}'")
    connection.execute(f"copy ({question}) to '{written}' (format parquet, compression zstd)")
    connection.close()
    return written


def _of(folder: Path, name: str, day: date, width: int) -> str:
    """The files of the days that a window needs: whoever asks by hand would not read more."""
    files = [str(folder / name / f"{day - timedelta(ago)}.parquet") for ago in range(width)]
    return f"read_parquet([{', '.join(repr(file) for file in files if Path(file).exists())}])"


def duckdb_of_tiles(folder: Path, day: date) -> Path:
    tiles, items = f"select * from {_of(folder, 'tiles', day, 365)}", f"select * from {_of(folder, 'items', day, 28)}"
    return _ask(questions.features(tiles, items, str(day)), folder / "duckdb_of_tiles.parquet")


def duckdb_of_events(folder: Path, day: date) -> Path:
    events, orders = _of(folder, "events", day, 365), _of(folder, "orders", day, 365)
    items = questions.items(_of(folder, "events", day, 28), str(day))
    return _ask(
        questions.features(questions.tiles(events, orders), items, str(day)), folder / "duckdb_of_events.parquet"
    )


def polars_of_tiles(folder: Path, day: date) -> Path:
    files = [folder / "tiles" / f"{day - timedelta(ago)}.parquet" for ago in range(365)]
    tiles = pl.scan_parquet([file for file in files if file.exists()])

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
    files = [folder / "items" / f"{day - timedelta(ago)}.parquet" for ago in range(28)]
    items = pl.scan_parquet([file for file in files if file.exists()])
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
