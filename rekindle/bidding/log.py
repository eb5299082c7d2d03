"""
A log of auctions: one row per auction, in order of time.

| column | in .npz | is |
| --- | --- | --- |
| clicked | click | whether the advertisement that was shown was clicked: 0 or 1, false or true |
| market_price | price | the highest bid of the others, 0 or more: what the winner pays, in the unit of the log |
| predicted | pctr | the chance of a click that a model gave before the auction, 0 to 1 |

There is no column of time, so the order of the rows is believed: nobody can check it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rekindle.errors import InputError
from rekindle.table_files import SAFE, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

NAMES_IN_NPZ = {"clicked": "click", "market_price": "price", "predicted": "pctr"}
"""As the iPinYou logs of make-ipinyou-data name them."""

HIGHEST = {"clicked": 1.0, "market_price": np.inf, "predicted": 1.0}
"""None of the columns goes below 0."""


@dataclass(frozen=True)
class Auctions:
    """Auctions in order of time: the arrays have one entry per auction, and are equally long."""

    clicked: NDArray[np.bool_]
    market_price: NDArray[np.float64]
    """In the unit of the log; bids, budgets and spend are in the same one."""
    predicted: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.clicked)

    def __getitem__(self, some: slice) -> Auctions:
        return Auctions(self.clicked[some], self.market_price[some], self.predicted[some])

    @property
    def total_price(self) -> float:
        """What it costs to win all of them, added up in their order as a replay does."""
        return float(np.cumsum(self.market_price)[-1]) if len(self) else 0.0


def read(path: Path) -> Auctions:
    """Read a log from .npz, .parquet or .csv. Raises InputError, which names the file and the column, and quotes no value."""
    if not path.is_file():
        _refuse(f"There is no file {path}.", "Give the path of a .npz, .parquet or .csv file.", "no_file")
    if path.suffix == ".npz":
        columns, names = _of_npz(path), NAMES_IN_NPZ
    else:
        columns, names = _of_table(path), {name: name for name in NAMES_IN_NPZ}
    for name in names.values():
        if name not in columns:
            _refuse(
                f"{path.name} has no column {name}.", f"A log has the columns {', '.join(names.values())}.", NO_COLUMN
            )
    return _checked(path, {name: columns[given] for name, given in names.items()}, names)


NO_COLUMN = "no_such_column"


def _refuse(what: str, todo: str, code: str) -> NoReturn:
    raise InputError(what, todo=todo, safe=SAFE, code=code)


def _of_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    import zipfile

    try:
        # Pickled objects run code when they are loaded; a log has none.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name in NAMES_IN_NPZ.values()}
    # TypeError: a single array, which numpy loads whatever the name of its file is, is no context.
    except (ValueError, TypeError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path.name} cannot be read as arrays of numbers.",
            todo="Write it anew with numpy.savez, without objects.",
            safe=SAFE,
            code="unreadable",
        ) from error


def _of_table(path: Path) -> Mapping[str, NDArray[Any]]:
    table = read_table(path)
    for name in NAMES_IN_NPZ:
        if table.column_names.count(name) > 1:
            _refuse(f"{path.name} has more than one column {name}.", "Leave one of them out.", NO_COLUMN)
    return {name: _numbers(path, table, name) for name in table.column_names if name in NAMES_IN_NPZ}


def _numbers(path: Path, table: pa.Table, name: str) -> NDArray[np.float64]:
    import pyarrow as pa
    from pyarrow import compute

    column = table[name]
    if pa.types.is_boolean(column.type):
        column = compute.cast(column, pa.int8())
    try:
        return np.asarray(compute.cast(column, pa.float64()).to_numpy(), float)
    except pa.ArrowException:
        _refuse_texts(path, name)


def _refuse_texts(path: Path, name: str) -> NoReturn:
    _refuse(f"{path.name}, column {name}: not all of it are numbers.", "Write numbers, one per auction.", "not_numbers")


def _checked(path: Path, columns: Mapping[str, NDArray[Any]], names: Mapping[str, str]) -> Auctions:
    for name, values in columns.items():
        if values.ndim != 1 or values.dtype.kind not in "biuf":
            _refuse_texts(path, names[name])
    if len(lengths := {len(values) for values in columns.values()}) > 1:
        _refuse(
            f"{path.name}: its columns {', '.join(names.values())} are not equally long.",
            "Give one entry per auction in each.",
            "not_numbers",
        )
    if lengths == {0}:
        _refuse(f"{path.name} has no rows.", "Give the auctions, one a row, in order of time.", "no_rows")
    numbers = {name: values.astype(np.float64) for name, values in columns.items()}
    for name, values in numbers.items():
        _refuse_outside(f"{path.name}, column {names[name]}", name, values)
    return Auctions(numbers["clicked"].astype(bool), numbers["market_price"], numbers["predicted"])


def _refuse_outside(where: str, name: str, values: NDArray[np.float64]) -> None:
    """Say in which column how many rows are wrong, and which is the first: a value may be what a partner keeps secret."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        _refuse(
            f"{where}: {_rows(wrong)} empty or no number.", "Fill them, or leave these auctions out.", "empty_cells"
        )
    wrong = (values < 0) | (values > HIGHEST[name])
    if wrong.any():
        between = "are below 0" if HIGHEST[name] == np.inf else "are not between 0 and 1"
        _refuse(f"{where}: {_rows(wrong, between)}.", "Correct them, or leave these auctions out.", "out_of_range")
    if name == "clicked" and (wrong := (values != 0) & (values != 1)).any():
        _refuse(
            f"{where}: {_rows(wrong, 'are neither 0 nor 1')}.", "Say of each whether it was clicked.", "out_of_range"
        )


def _rows(wrong: NDArray[np.bool_], are: str = "are") -> str:
    return f"{int(wrong.sum()):,} rows, the first of them row {int(wrong.argmax()) + 1:,}, {are}"
