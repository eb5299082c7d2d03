"""An experiment given as a plain table: one row per unit with its arm, what was known before, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rekindle.errors import InputError
from rekindle.table_files import SAFE, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

DEFAULT_CONTROL = "control"
MIN_ARMS = 2


@dataclass(frozen=True)
class Asked:
    """Which columns of the table are what."""

    outcomes: Sequence[str]
    arm: str = "arm"
    control: str | None = None
    unit: str | None = None
    covariate: str | None = None
    cluster: str | None = None
    cost: str | None = None
    segment: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    """Planned shares of the arms; equal where there are none."""
    looks: Sequence[float] = ()
    """Fractions of the planned units that were known at each look, this one last; empty for one look at the end."""
    features: Sequence[str] = ()
    """Known before the assignment: what learners of the effect learn from."""
    rules: Sequence[str] = ()
    """Known before the assignment: columns that rank units by themselves, the highest first."""


@dataclass(frozen=True)
class Units:
    """The table, column by column, fit to be added up."""

    arm: NDArray[Any]
    arms: tuple[str, ...]
    """The control first."""
    outcomes: Mapping[str, NDArray[np.float64]]
    covariate: NDArray[np.float64] | None
    cluster: NDArray[Any] | None
    cost: NDArray[np.float64] | None
    segment: NDArray[Any] | None
    notes: tuple[str, ...]
    features: pa.Table | None = None
    rules: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def control(self) -> str:
        return self.arms[0]


def read(path: Path, asked: Asked) -> Units:
    """Read what is asked for. Raises InputError, which names the file and the column."""
    table = read_table(path)
    named = (*asked.outcomes, asked.arm, asked.unit, asked.covariate, asked.cluster, asked.cost, asked.segment)
    before = (*asked.features, *asked.rules)
    _refuse_missing(path, table, [name for name in (*named, *before) if name is not None])
    _refuse_later(before, {*asked.outcomes, asked.arm, asked.unit, asked.cost})
    if not table.num_rows:
        _refuse(f"{path.name} has no rows.", "Give the units of the experiment, one a row.", "no_rows")
    arm = _texts(path, table, asked.arm)
    units = Units(
        arm=arm,
        arms=_arms(path, arm, asked),
        outcomes={name: _numbers(path, table, name) for name in asked.outcomes},
        covariate=None if asked.covariate is None else _filled(_numbers(path, table, asked.covariate, gaps=True)),
        cluster=None if asked.cluster is None else _texts(path, table, asked.cluster),
        cost=None if asked.cost is None else _numbers(path, table, asked.cost),
        segment=None if asked.segment is None else _texts(path, table, asked.segment),
        notes=tuple(_notes(table, asked)),
        features=table.select(list(asked.features)) if asked.features else None,
        rules={name: _filled(_numbers(path, table, name, gaps=True)) for name in asked.rules},
    )
    if asked.unit is not None:
        _refuse_repeated(path, _texts(path, table, asked.unit), asked.unit)
    if units.cluster is not None:
        _refuse_torn(path, units.cluster, arm, str(asked.cluster))
    return units


def _refuse(what: str, todo: str, code: str) -> NoReturn:
    raise InputError(what, todo=todo, safe=SAFE, code=code)


def _refuse_missing(path: Path, table: pa.Table, wanted: Sequence[str]) -> None:
    for name in wanted:
        if table.column_names.count(name) != 1:
            has = ", ".join(table.column_names)
            problem = "has no column" if name not in table.column_names else "has more than one column"
            _refuse(f"{path.name} {problem} {name}.", f"Name one of its columns: {has}.", "no_such_column")


def _refuse_later(before: Sequence[str], later: set[str | None]) -> None:
    if wrong := sorted(later.intersection(before), key=str):
        _refuse(
            f"{', '.join(map(str, wrong))} was not known before the assignment: who learns from it learns the outcome.",
            "Name as --feature and --rule only what was known of a unit before it was assigned.",
            "usage",
        )


def _arms(path: Path, arm: NDArray[Any], asked: Asked) -> tuple[str, ...]:
    found = [str(name) for name in np.unique(arm)]
    control = asked.control or DEFAULT_CONTROL
    if control not in found:
        _refuse(
            f"{path.name} has no arm {control} in {asked.arm}: without a control nobody knows what would have happened anyway.",
            f"Name the arm that was left alone with --control; there are {', '.join(found[:20])}.",
            "no_control",
        )
    if len(found) < MIN_ARMS:
        _refuse(f"{path.name} has the control only.", "Give the units of all arms.", "no_treatment")
    if asked.shares and set(asked.shares) != set(found):
        _refuse(
            f"Shares are given of {', '.join(sorted(asked.shares))}, but the arms are {', '.join(found)}.",
            "Give --share for each arm, or for none.",
            "usage",
        )
    return (control, *(name for name in found if name != control))


def _texts(path: Path, table: pa.Table, name: str) -> NDArray[Any]:
    import pyarrow as pa
    from pyarrow import compute

    column = table[name]
    if column.null_count:
        _refuse(
            f"{path.name}, column {name}: {column.null_count:,} rows are empty.",
            "Fill them, or leave the whole unit out.",
            "empty_cells",
        )
    return np.asarray(compute.cast(column, pa.string()).to_pylist())


def _numbers(path: Path, table: pa.Table, name: str, *, gaps: bool = False) -> NDArray[np.float64]:
    """Read a column as numbers. A gap in an outcome is refused: it is not zero, and who is left out is not chance."""
    import pyarrow as pa
    from pyarrow import compute

    column = table[name]
    try:
        if pa.types.is_boolean(column.type):
            column = compute.cast(column, pa.int8())
        values = np.asarray(compute.cast(column, pa.float64()).to_numpy(), float)
    except pa.ArrowException as error:
        raise InputError(
            f"{path.name}, column {name}: not all of it are numbers.",
            todo="Write numbers with a decimal point, or name another column.",
            safe=SAFE,
            code="not_numbers",
        ) from error
    missing = int((~np.isfinite(values)).sum())
    if missing and not gaps:
        _refuse(
            f"{path.name}, column {name}: {missing:,} rows are empty or no number.",
            "Fill them with what came of these units: leaving them out would compare others than were assigned.",
            "empty_cells",
        )
    return values


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)


def _notes(table: pa.Table, asked: Asked) -> list[str]:
    if asked.covariate is None or not (gaps := table[asked.covariate].null_count):
        return []
    return [f"{gaps:,} units have no {asked.covariate}; they got the mean, which biases nothing."]


def _refuse_repeated(path: Path, unit: NDArray[Any], name: str) -> None:
    if repeated := len(unit) - len(np.unique(unit)):
        _refuse(
            f"{path.name}: {repeated:,} rows repeat a {name}.",
            "Give one row per unit, with what came of it in all.",
            "repeated_unit",
        )


def _refuse_torn(path: Path, cluster: NDArray[Any], arm: NDArray[Any], name: str) -> None:
    pairs = np.unique(np.stack([cluster, arm]), axis=1)
    if torn := pairs.shape[1] - len(np.unique(cluster)):
        _refuse(
            f"{path.name}: {torn:,} of {name} have units in several arms.",
            "Units that act as one have to be assigned as one; name what was assigned as --cluster.",
            "torn_cluster",
        )
