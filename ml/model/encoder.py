"""
From a row of features to what a learner reads: encoders, fitted on the training days, stored with the model.

Training and the Spark workers run this same code on Arrow data. `Dense` makes a matrix. What a column becomes follows
from its type, so a new feature needs no entry here: numbers stay as they are (missing is NaN), text becomes one flag per
frequent level, a map of text the same per key, a map of counts one number per frequent key. Levels that training did not
see, or saw rarely or of few users, are "other"; dates and ids are not features, a model must not learn the calendar or a
user. A list is a sequence, which is for an encoder of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rekindle.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    Rows: TypeAlias = pa.Table | pa.RecordBatch

KEY = ("day", "user_id")

MIN_SHARE = 0.01
"""A level, key or event type is frequent when it is in this share of the training rows: below, its weight is noise."""

MIN_USERS = 10
"""And of so many users: a stored model names no level or key by which fewer could be told."""

MAX_LEVELS = 20
"""At most so many levels a column, keys a map: 1e5 categories must not become 1e5 columns."""

Kind = Literal["number", "amount", "flag"]


class Encoder(Protocol):
    """
    What turns rows into the input of a learner. Numbers and texts only, and equal to any other of the same values.

    What a learner says of its input it says by column, and each column belongs to a source: what people would call one
    feature, a column of the table or a key of a map.
    """

    kind: ClassVar[str]
    """How a stored model names it."""

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """The columns that it reads, with their types."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The source of each column that contributions are said by, in order."""
        ...

    @classmethod
    def fit(cls, table: pa.Table, *, leave_out: Iterable[str] = ()) -> Self:
        """Decide from training rows, but for some columns, or keys of a map as `column:key`."""
        ...

    def encode(self, rows: Rows) -> Any: ...

    def values(self, rows: Rows, source: str) -> pa.Array:
        """Return what the rows hold for a source, for people to read: a number or a text, null where there is none."""
        ...

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self: ...


E = TypeVar("E", bound=Encoder)


class Encoders:
    """Encoders of some training rows: each kind is fitted once, whoever asks."""

    def __init__(self, rows: pa.Table, *, leave_out: Iterable[str] = (), messaged: str | None = None) -> None:
        self._rows, self.leave_out = rows, tuple(leave_out)
        self.messaged = messaged
        """A column of what came after the day, if any: the dense encoder alone reads it, and what scores does not."""
        self._fitted: dict[type[Encoder], Any] = {}

    def of(self, kind: type[E]) -> E:
        if kind not in self._fitted:
            later = (self.messaged,) if self.messaged and kind is not Dense else ()
            self._fitted[kind] = kind.fit(self._rows, leave_out=(*self.leave_out, *later))
        return self._fitted[kind]


class Encoded:
    """Some rows, encoded once for each encoder that is asked for."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._inputs: dict[Encoder, Any] = {}

    def by(self, encoder: Encoder) -> Any:
        if encoder not in self._inputs:
            self._inputs[encoder] = encoder.encode(self.rows)
        return self._inputs[encoder]


@dataclass(frozen=True)
class Feature:
    """One column of the encoded matrix."""

    column: str
    """The column of the table it comes from."""
    kind: Kind
    key: str | None = None
    """The key of a map."""
    level: str | None = None
    """For a flag: the level."""
    rest: Literal["other", "missing"] | None = None
    """Without a level: any other level, or none. In a map of counts: all keys that have no feature of their own."""

    @property
    def source(self) -> str:
        """What people would call one feature: a column, or a key of a map. Contributions are summed by it."""
        return self.column if self.key is None else f"{self.column}:{self.key}"


@dataclass(frozen=True)
class Dense:
    """How rows become a matrix of doubles: the columns that are expected, with their types, and what each becomes."""

    kind: ClassVar[str] = "dense"
    inputs: tuple[tuple[str, str], ...]
    features: tuple[Feature, ...]

    @classmethod
    def fit(cls, table: pa.Table, *, leave_out: Iterable[str] = (), distinct: bool = True) -> Dense:
        """
        Decide from training rows. What is the same in every row is left out: it says nothing.

        So is what equals an earlier feature in every row, as days of three years and days ever do in a business of one year:
        the weight of one would be split between both, and each would be told as a small reason. Not so where columns are
        asked for by name, and none may stand for another.
        """
        left_out = {*KEY, *leave_out}
        columns = [f for f in table.schema if f.name not in left_out and not _is_no_number(f.type)]
        named = Frequent.of(table)
        features = [
            feature for f in columns for feature in _features(f.name, _flat(table.column(f.name)), left_out, named)
        ]
        everything = cls(tuple((f.name, type_name(f.type)) for f in columns), tuple(features))
        matrix = everything.encode(table)
        kept = (i for i in (_first_of_equals(matrix) if distinct else range(len(features))) if _varies(matrix[:, i]))
        return cls(everything.inputs, tuple(features[i] for i in kept))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(feature.source for feature in self.features)

    def encode(self, rows: Rows) -> np.ndarray:
        """Return a matrix of doubles: a row for each row, a column for each feature."""
        check_signature(self.inputs, rows.schema)
        matrix = np.empty((rows.num_rows, len(self.features)), dtype=np.float64, order="F")
        columns = _Columns(rows, self.features)
        for i, feature in enumerate(self.features):
            matrix[:, i] = columns.encoded(feature)
        return matrix

    def without(self, column: str) -> Dense:
        """Return the encoder of rows that do not have a column."""
        inputs = tuple(pair for pair in self.inputs if pair[0] != column)
        return Dense(inputs, tuple(feature for feature in self.features if feature.column != column))

    def values(self, rows: Rows, source: str) -> pa.Array:
        feature = next(f for f in self.features if f.source == source)
        columns = _Columns(rows, self.features)
        if feature.kind != "flag" and pa.types.is_map(columns.of(feature.column).type):
            return pa.array(columns.encoded(feature))
        return columns.of(feature.column, feature.key)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns into an equal encoder."""
        named = [{k: v for k, v in vars(feature).items() if v is not None} for feature in self.features]
        return {"inputs": [list(pair) for pair in self.inputs], "features": named}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Dense:
        inputs = tuple((name, type_) for name, type_ in plain["inputs"])
        return cls(inputs, tuple(Feature(**feature) for feature in plain["features"]))


def check_signature(inputs: Iterable[tuple[str, str]], schema: pa.Schema) -> None:
    """Refuse rows that are not what the model was trained on, before any is scored."""
    found = {f.name: type_name(f.type) for f in schema}
    wrong = [f"{name} {found.get(name, 'missing')} instead of {t}" for name, t in inputs if found.get(name) != t]
    if wrong:
        raise InputError(
            f"The model expects other columns: {'; '.join(wrong)}.",
            todo="Train the product on the features as they are now, or restore the columns.",
            safe="Nothing was scored; the last good scores stay.",
            code="signature_mismatch",
        )


@cache
def type_name(type_: pa.DataType) -> str:
    """Name an Arrow type by what matters here: the names of a map's inner fields differ between writers."""
    if pa.types.is_map(type_):
        return f"map<{type_name(type_.key_type)},{type_name(type_.item_type)}>"
    return str(type_)


def _is_no_number(type_: pa.DataType) -> bool:
    return pa.types.is_date(type_) or pa.types.is_list(type_)


def _features(name: str, column: pa.Array, left_out: Collection[str], frequent: Frequent) -> list[Feature]:
    """Say what a column of the training rows becomes."""
    type_ = column.type
    if pa.types.is_decimal(type_):
        return [Feature(name, "amount")]
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_):
        return [Feature(name, "number")]
    if pa.types.is_string(type_):
        return _flags(name, None, column, frequent)
    barred = [source.removeprefix(f"{name}:") for source in left_out if source.startswith(f"{name}:")]
    if pa.types.is_map(type_) and pa.types.is_string(type_.item_type):
        keys = frequent.keys(column, barred)
        return [flag for key in keys for flag in _flags(name, key, lookup(column, key), frequent)]
    if pa.types.is_map(type_) and pa.types.is_integer(type_.item_type):
        counts = [Feature(name, "number", key=key) for key in frequent.keys(column, barred)]
        # The sum of all other keys would hold what is left out.
        return counts if barred else [*counts, Feature(name, "number", rest="other")]
    raise InputError(
        f"The feature {name} has the type {type_}, which the encoder cannot turn into numbers.",
        todo="Use a number, a decimal, a string, map<string,string> or map<string,bigint>.",
        code="feature_type",
    )


def _flags(column: str, key: str | None, texts: pa.Array, frequent: Frequent) -> list[Feature]:
    levels = [Feature(column, "flag", key=key, level=level) for level in frequent.levels(texts)]
    rest = [Feature(column, "flag", key=key, rest="other"), Feature(column, "flag", key=key, rest="missing")]
    return [*levels, *rest]


@dataclass(frozen=True)
class Frequent:
    """
    Which texts of some training rows are frequent: in `MIN_SHARE` of the rows, and of `MIN_USERS` users.

    At most `MAX_LEVELS` of a column, the most frequent first, equal counts by the text.
    """

    users: pa.Array | None
    """The user of each row; None where rows are of no user, and each counts as one."""
    row_count: int

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        users = _flat(table.column("user_id")) if "user_id" in table.column_names else None
        return cls(users, table.num_rows)

    def levels(self, texts: pa.Array) -> list[str]:
        return self._first(text for text in self._often(texts) if self._is_of_many(pc.equal(texts, text)))

    def keys(self, maps: pa.MapArray, barred: Collection[str] = ()) -> list[str]:
        """Return the frequent keys of maps, but for some."""
        often = (key for key in self._often(maps.keys) if key not in barred)
        return self._first(key for key in often if self._is_of_many(pc.is_valid(lookup(maps, key))))

    @staticmethod
    def _first(texts: Iterable[str]) -> list[str]:
        return list(islice(texts, MAX_LEVELS))

    def _often(self, texts: pa.Array) -> list[str]:
        counted = pc.value_counts(texts.drop_null()).to_pylist()
        often = [(-c["counts"], c["values"]) for c in counted if c["counts"] >= MIN_SHARE * self.row_count]
        return [text for _, text in sorted(often)]

    def _is_of_many(self, rows: pa.Array) -> bool:
        if self.users is None:
            return pc.sum(rows).as_py() >= MIN_USERS
        return pc.count_distinct(self.users.filter(rows)).as_py() >= MIN_USERS


class _Columns:
    """The columns of some rows, taken apart once: a map's key serves many flags."""

    def __init__(self, rows: Rows, features: Sequence[Feature]) -> None:
        self._rows = rows
        self._taken: dict[tuple[str, str | None], pa.Array] = {}
        self._levels: dict[tuple[str, str | None], list[str]] = {}
        self._keys: dict[str, list[str]] = {}
        for feature in features:
            if feature.level is not None:
                self._levels.setdefault((feature.column, feature.key), []).append(feature.level)
            elif feature.kind == "number" and feature.key is not None:
                self._keys.setdefault(feature.column, []).append(feature.key)

    def of(self, column: str, key: str | None = None) -> pa.Array:
        """Return a column, or what its maps hold for a key."""
        if (column, key) not in self._taken:
            whole = _flat(self._rows.column(column)) if key is None else lookup(self.of(column), key)
            self._taken[column, key] = whole
        return self._taken[column, key]

    def encoded(self, feature: Feature) -> np.ndarray:
        values = self.of(feature.column, feature.key)
        if feature.kind == "flag":
            return self._flag(feature, values)
        if feature.rest == "other":
            known = (np.nan_to_num(doubles(self.of(feature.column, key))) for key in self._keys.get(feature.column, []))
            return _sums(values) - sum(known)
        return doubles(values) if feature.key is None else np.nan_to_num(doubles(values))

    def _flag(self, feature: Feature, texts: pa.Array) -> np.ndarray:
        if feature.level is not None:
            flags = pc.fill_null(pc.equal(texts, feature.level), fill_value=False)
        elif feature.rest == "missing":
            flags = pc.is_null(texts)
        else:
            levels = pa.array(self._levels.get((feature.column, feature.key), []), texts.type)
            flags = pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, value_set=levels)))
        return flags.to_numpy(zero_copy_only=False).astype(np.float64)


def lookup(column: pa.MapArray | pa.ChunkedArray, key: str) -> pa.Array | pa.ChunkedArray:
    """Return what each row's map holds for a key; null where it has none."""
    return pc.map_lookup(column, query_key=pa.scalar(key, column.type.key_type), occurrence="first")


def _sums(column: pa.MapArray) -> np.ndarray:
    """Sum the counts of each row's map: differences of a running sum at the rows' offsets, exact for integers."""
    counts = pc.fill_null(column.items, 0).to_numpy(zero_copy_only=False)
    running = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    offsets = column.offsets.to_numpy()
    return (running[offsets[1:]] - running[offsets[:-1]]).astype(np.float64)


def doubles(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return numbers of any kind as doubles, NaN where there is none."""
    return _flat(column).cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _first_of_equals(matrix: np.ndarray) -> list[int]:
    """Return the columns that equal none before them, bit for bit."""
    first = {sha256(matrix[:, i].tobytes()).digest(): i for i in reversed(range(matrix.shape[1]))}
    return sorted(first.values())


def _varies(values: np.ndarray) -> bool:
    missing = np.isnan(values)
    some = values[~missing]
    return bool(some.size) and (bool(missing.any()) or bool((some != some[0]).any()))
