"""What the samples share: where packages keep their files, the last complete day, and typed columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rekindle.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from rekindle.landing.filling.writer import History

TIME = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(18, 2)


@dataclass(frozen=True)
class Dataset:
    """Histories from `first` to `last`, and sentences about what was left out of them."""

    histories: tuple[History, ...]
    first: date
    last: date
    notes: tuple[str, ...] = ()


def package_file(package: str, *parts: str) -> Path:
    """Find a data file of an installed package; importing the package would want libraries that we have no use for."""
    spec = find_spec(package)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (path := folder.joinpath(*parts)).is_file():
            return path
    raise InputError(
        f"The Python package {package}, which carries these data, is not installed.", todo="Run `make setup`."
    )


def refuse_path(name: str, path: Path | None) -> None:
    """Refuse a path for a sample that comes with a package."""
    if path is not None:
        raise InputError(
            f"{name} comes with a Python package and takes no path.", todo=f"Run `rekindle sample {name}`."
        )


def last_complete_day(times: pd.Series) -> date:
    """
    Return the last day that a source tells whole.

    A source with times of day stops somewhere within its last date, so that date is left out. A source of dates only
    tells each of its dates whole.
    """
    last = times.max()
    return last.date() if (times == times.dt.normalize()).all() else last.date() - timedelta(days=1)


def text(values: pd.Series) -> pa.Array:
    """Ids and names as strings; what is missing stays missing."""
    return pa.Array.from_pandas(values).cast(pa.string())


def instants(values: pd.Series) -> pa.Array:
    """Times without a zone, declared to be UTC."""
    return pa.Array.from_pandas(values.dt.as_unit("us")).cast(pa.timestamp("us")).cast(TIME)


def money(values: pd.Series) -> pa.Array:
    """Amounts to the cent: nearest to the floating-point number that the source holds."""
    return pa.Array.from_pandas(values).cast(MONEY)


def constant(value: str, like: pd.DataFrame) -> pa.Array:
    """Return a column of one value."""
    return pa.repeat(pa.scalar(value, pa.string()), len(like))


def attributes(frame: pd.DataFrame) -> pa.Array:
    """Columns as one map a row; what is missing is not in the map."""
    present = frame.notna().to_numpy()
    names = np.tile(frame.columns.to_numpy(dtype=object), len(frame))[present.ravel()]
    values = frame.astype(object).to_numpy().ravel()[present.ravel()]
    offsets = np.concatenate([[0], present.sum(axis=1).cumsum()]).astype("int32")
    return pa.MapArray.from_arrays(
        pa.array(offsets), pa.array(names, pa.string()), pa.array([str(value) for value in values], pa.string())
    )


def dates(times: pd.Series) -> np.ndarray:
    """UTC dates of times, as delivery days."""
    return times.to_numpy().astype("datetime64[D]")
