"""
The rules of ingestion: text cells in, typed values or the reason of a rejection out, as Spark expressions.

They are derived from the column types of a contract, so a further landing source is a YAML.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from rekindle.landing.formats import EXPORTED_NULLS, NOTHING, NUMBERS, TIME, ZONE
from rekindle.warehouse.checks.rules import InList, InRange, Matching, Present, rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column as Expression

    from rekindle.warehouse.contracts import Column

NOT_A_NUMBER = ("NaN", "nan")
"""Nothing in a column of text. In one of numbers it is the result of a computation that failed, and no number."""

BLANKS = r"[ \t\p{Zs}\u200B\uFEFF]+"
"""What surrounds an id unseen: the blanks of all scripts, the tab, a space without width, a byte order mark."""
BLANKS_AROUND = f"^{BLANKS}|{BLANKS}$"

ID_MAX_CHARACTERS = 256
"""Longer than any key system makes; a 10 kB id is a file that slipped by a column."""

EARLIEST = "1990-01-01T00:00:00Z"
"""Earlier times are unit mistakes and defaults: 1970 is a zero, 0001 a null of another language."""

TOLERANCE_SECONDS = 300
"""Clocks of sources run ahead by this much: a row up to five minutes after its day is not from the future."""

LARGEST = 1e15
"""A double beyond this is a sentinel or an overflow."""

LARGEST_AMOUNT = 10**11
"""An amount beyond this is a sentinel, too; ninety thousand such lines still add up to a decimal(18,2)."""

NO_TIME_ZONE = "no_time_zone"
"""Reason of a time that can be read but for its zone. It stops the run: the next hours would be wrong everywhere."""

DECIMAL_ID = r"^[+-]?(\d+\.0+|\d\.\d+[eE]\+?\d+)$"
"""
An id that went through a column of floating-point numbers: 123.0, 1.41556E+10. It names somebody else than 123 does, or,
rounded, nobody. Where a file has types, a number for an id is written as 123 before it comes here.
"""

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
"""Neither NaN nor infinity, nor the 12d and 12f that Java reads as numbers."""

REASONS = {Present: "missing", InRange: "out_of_range", InList: "not_in_list", Matching: "wrong_format"}
"""Of a value that breaks what the contract says of its column."""

TEXT, VALUE = "text_", "value_"
"""Prefixes of the columns in which a cell's text and its typed value stand while a row is judged."""


def texts(columns: Sequence[Column]) -> dict[str, Expression]:
    """What each cell says: null where it says nothing, its default where it has one."""
    return {f"{TEXT}{column.name}": _text(column) for column in columns}


def values(columns: Sequence[Column]) -> dict[str, Expression]:
    """The typed value of each text, null where it is missing or cannot be read. Expects `texts`."""
    return {f"{VALUE}{column.name}": _value(column) for column in columns}


def no_usable_time(columns: Sequence[Column], name: str) -> Expression:
    """
    Whether a row says a time that cannot be used. Expects `texts`, `values` and the row's `day`.

    Not one without a zone: that is so in every row alike, and stops the run.
    """
    broken = {code: F.coalesce(rule, F.lit(False)) for c in columns if c.name == name for rule, code in _rules(c)}
    return ~broken.pop(NO_TIME_ZONE) & reduce(or_, broken.values())


def verdict(columns: Sequence[Column]) -> Expression:
    """
    The first rule that a row breaks, as a struct (reason, column); null where it breaks none.

    Expects `texts`, `values` and the row's `day`. Rules are looked at in order and no further than the first that is broken.
    """
    return F.coalesce(
        *[
            F.when(condition, F.struct(F.lit(code).alias("reason"), F.lit(column.name).alias("column")))
            for column in columns
            for condition, code in _rules(column)
        ]
    )


def _value(column: Column) -> Expression:
    text = f"{TEXT}{column.name}"
    if column.type == "timestamp":
        # Spark reads neither +0530 nor a zone behind minutes.
        with_colon = F.regexp_replace(F.upper(text), r"([+-]\d{2})(\d{2})$", "$1:$2")
        with_seconds = F.regexp_replace(with_colon, r"^(.{10}[T ]\d{2}:\d{2})([Z+-])", "$1:00$2")
        return F.when(F.col(text).rlike(TIME + ZONE), with_seconds.try_cast("timestamp"))
    if column.type in NUMBERS:
        return F.when(F.trim(text).rlike(NUMBER), F.trim(text).try_cast(column.type))
    if column.type.startswith("map"):
        return F.from_json(text, column.type)
    return F.col(text)


def _rules(column: Column) -> list[tuple[Expression, str]]:
    """Conditions that a cell must not meet, with the codes of their reasons; a default stands where nothing is said."""
    text, value = f"{TEXT}{column.name}", f"{VALUE}{column.name}"
    declared = [
        (F.expr(rule.broken("spark", text if isinstance(rule, Present) else value)), REASONS[type(rule)])
        for rule in rules_of(column)
    ]
    # What is missing cannot be judged any further, and what has no type has no range.
    after = [one for one in declared if one[1] != REASONS[Present]]
    return [*declared[: len(declared) - len(after)], *_rules_of_type(column, F.col(text), F.col(value)), *after]


def _rules_of_type(column: Column, text: Expression, value: Expression) -> list[tuple[Expression, str]]:
    unreadable = value.isNull() & text.isNotNull()
    if column.type == "id":
        return [
            (F.length(text) > ID_MAX_CHARACTERS, "too_long"),
            (text.rlike(r"[\x00-\x1f\x7f]"), "control_character"),
            (text.rlike(DECIMAL_ID), "decimal_id"),
        ]
    if column.type == "timestamp":
        end = F.timestamp_add("SECOND", F.lit(TOLERANCE_SECONDS), F.date_add("day", 1).cast("timestamp"))
        return [
            (unreadable & text.rlike(TIME + "$"), NO_TIME_ZONE),
            (unreadable, "bad_time"),
            (value < F.lit(EARLIEST).cast("timestamp"), "time_out_of_range"),
            (value > end, "in_the_future"),
        ]
    if column.type == "double":
        return [(unreadable, "not_a_number"), (F.abs(value) > LARGEST, "out_of_range")]
    if column.type.startswith("decimal"):
        scale, number = int(column.type.rstrip(")").rpartition(",")[2]), F.trim(text)
        return [
            (number.rlike(NUMBER) & (_decimal_places(number) > scale), "too_precise"),
            (unreadable, "not_a_number"),
            (F.abs(value) > LARGEST_AMOUNT, "out_of_range"),
        ]
    if column.type in NUMBERS:
        return [(unreadable, "not_a_number")]
    return [(unreadable, "bad_map")] if column.type.startswith("map") else []


MANY = 10**6
"""More digits than any column has."""


def _decimal_places(number: Expression) -> Expression:
    """How many digits the value of a text that is a NUMBER has behind its point: 2 of 19.99, 19.990 and 1999e-2."""
    exponent = F.regexp_extract(number, r"[eE]([+-]?\d+)$", 1)
    # An exponent may be longer than any int; whatever it makes of the number, it has very many places or none.
    shift = F.coalesce(exponent.try_cast("int"), F.when(exponent.startswith("-"), -MANY).otherwise(0))
    shift = F.greatest(F.lit(-MANY), shift)
    fraction = F.regexp_extract(number, r"\.(\d*?)0*([eE].*)?$", 1)
    zeros = F.regexp_extract(number, r"^[+-]?\d*?(0*)\.?0*([eE].*)?$", 1)
    digits = F.when(fraction != "", F.length(fraction)).otherwise(-F.length(zeros))
    return F.when(number.rlike(r"^[+-]?[0.]*([eE].*)?$"), 0).otherwise(digits - shift)


def trimmed_id(columns: Sequence[Column]) -> Expression:
    """Whether an id of a row stands between blanks, which it is read without. Expects `texts`."""
    ids = [column.name for column in columns if column.type == "id"]
    return reduce(
        or_,
        [
            F.coalesce(F.col(name).rlike(BLANKS_AROUND) & ~_says_nothing("id", F.col(name)), F.lit(False))
            for name in ids
        ],
    )


def _text(column: Column) -> Expression:
    cell = F.col(column.name)
    said = F.regexp_replace(cell, BLANKS_AROUND, "") if column.type == "id" else cell
    text = F.when(~_says_nothing(column.type, cell), said)
    return text if column.default is None else F.coalesce(text, F.lit(column.default))


def _says_nothing(kind: str, cell: Expression) -> Expression:
    bare = F.regexp_replace(cell, BLANKS_AROUND, "")
    if kind == "id":
        return F.lower(bare).isin(*NOTHING)
    nulls = (*EXPORTED_NULLS, *NOT_A_NUMBER) if kind == "string" else EXPORTED_NULLS
    return (bare == "") | bare.isin(*nulls)
