"""Scores on request: rows of users whom the day knows, or of features that somebody sends, by the model that scored the day."""

from __future__ import annotations

import math
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.products.columns import answers
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from serving.held import Offer, Rows, Scoring

DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")
MAP = re.compile(r"map<(\w+),(\w+)>")
WHOLE = {"int8", "int16", "int32", "int64"}
NOT_OF_TYPE = pa.ArrowException, TypeError, ValueError, OverflowError


class UnusableError(ValueError):
    """What was sent cannot be scored; its text quotes no value."""


def of_users(rows: Rows, places: Sequence[int], day: date) -> pa.RecordBatch:
    """What the models read of users of the day, by their places."""
    return with_day(rows.batch.take(pa.array(places, pa.int64())), day)


def of_features(inputs: Mapping[str, Sequence[Any]], signature: Mapping[str, str], day: date) -> pa.RecordBatch:
    """
    Rows of features that were sent, a list of values for each; None where nothing is known.

    Raises UnusableError where they are not what the model's signature names.
    """
    if absent := sorted(set(signature) - set(inputs)):
        raise UnusableError(f"inputs lacks {_some(absent)}; send null for what is not known.")
    if unknown := len(set(inputs) - set(signature)):
        raise UnusableError(f"inputs has {unknown} features that the model does not read: see /v1/models.")
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) > 1:
        raise UnusableError("The lists of inputs differ in length: each has a value for each row.")
    by_type: dict[str, list[str]] = {}
    for name, type_ in signature.items():
        by_type.setdefault(type_, []).append(name)
    columns = {name: column for type_, names in by_type.items() for name, column in _columns(names, inputs, type_)}
    return with_day(pa.RecordBatch.from_pydict({name: columns[name] for name in signature}), day)


def with_day(rows: pa.RecordBatch, day: date) -> pa.RecordBatch:
    return rows.append_column("day", pa.array([day] * rows.num_rows, pa.date32()))


def answered(offer: Offer, scoring: Scoring, rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """Score rows: for each the columns of the product's table that follow from its score, unrounded, and its percentile."""
    if not rows.num_rows:
        return []
    conf = settings()
    columns = offer.product.columns(conf)
    predicted = scoring.scorer.predict(rows, offer.product.besides(conf))
    said = {name: values.tolist() for name, values in predicted.by_label.items()}
    said |= {name: values.to_pylist() for name, values in predicted.besides.items()}
    found = {name: _finite(values) for name, values in answers(columns, said).items()}
    found["raw_score"] = _finite(predicted.raw.tolist())
    found["percentile"] = scoring.percentiles_of(predicted.raw)
    return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]


def _finite(values: Sequence[Any]) -> Sequence[Any]:
    """Values as JSON has them, which knows no infinity."""
    return [None if isinstance(one, float) and not math.isfinite(one) else one for one in values]


def _columns(names: Sequence[str], inputs: Mapping[str, Sequence[Any]], type_: str) -> Iterator[tuple[str, pa.Array]]:
    """
    Yield features of one type, each with its values; all are read at once, for a call of Arrow costs more than 100 numbers.

    Raises UnusableError, which names the first that has other values, and quotes none.
    """
    row_count = len(inputs[names[0]])
    try:
        values = _typed(list(chain.from_iterable(inputs[name] for name in names)), type_)
    except NOT_OF_TYPE:
        for name in names:
            _refuse_others(name, inputs[name], type_)
        raise
    yield from ((name, values.slice(at * row_count, row_count)) for at, name in enumerate(names))


def _refuse_others(name: str, values: Sequence[Any], type_: str) -> None:
    try:
        _typed(values, type_)
    except NOT_OF_TYPE as error:
        raise UnusableError(f"inputs.{name} is no list of {_in_words(type_)}.") from error


def _typed(values: Sequence[Any], type_: str) -> pa.Array:
    if decimal := DECIMAL.fullmatch(type_):
        return _numbers(values).cast(pa.decimal128(int(decimal[1]), int(decimal[2])))
    if of := MAP.fullmatch(type_):
        return _maps(values, pa.type_for_alias(of[1]), pa.type_for_alias(of[2]))
    if type_ == "double":
        return _numbers(values)
    if type_ in WHOLE and bool in set(map(type, values)):
        raise TypeError("yes or no is no number")
    found = pa.array(values, pa.type_for_alias(type_))
    if type_ in WHOLE:
        # A double, which a model reads it as, holds it.
        found.cast(pa.float64())
    return found


def _numbers(values: Sequence[Any]) -> pa.Array:
    if bool in set(map(type, values)):
        raise TypeError("yes or no is no number")
    numbers = pa.array(values, pa.float64())
    if pc.all(pc.is_finite(numbers)).as_py() is False:
        raise ValueError("not finite")
    return numbers


def _maps(values: Sequence[Any], key: pa.DataType, item: pa.DataType) -> pa.MapArray:
    """Objects, or nothing, as maps: the keys of all are read at once, and the items."""
    keys: list[str] = []
    items: list[Any] = []
    offsets: list[int | None] = []
    for one in values:
        if one is not None and not isinstance(one, dict):
            raise TypeError("no object")
        offsets.append(None if one is None else len(keys))
        keys += one or ()
        items += one.values() if one else ()
    offsets.append(len(keys))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(keys, key), pa.array(items, item))


def _in_words(type_: str) -> str:
    if type_ in WHOLE:
        return "whole numbers"
    if type_ == "double" or DECIMAL.fullmatch(type_):
        return "numbers"
    return "objects" if MAP.fullmatch(type_) else {"string": "texts", "bool": "yes or no"}.get(type_, type_)


def _some(names: Sequence[str]) -> str:
    shown = 5
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
