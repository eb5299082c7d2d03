"""
The rules of ingestion: text cells in, typed values or the reason of a rejection out, as Spark expressions.

They are derived from the column types of a contract, so a further landing source is a YAML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

    from rekindle.contracts import Column

NUMBERS = ("double", "decimal(18,2)", "int", "bigint")

NOTHING = ("", "null", "nan", "none", "nil", "n/a")
"""Texts, in lower case, that exports write for a missing id. No thing is named so."""

ID_MAX_CHARACTERS = 256
"""Longer than any key system makes; a 10 kB id is a file that slipped by a column."""

EARLIEST = "1990-01-01T00:00:00Z"
"""Earlier times are unit mistakes and defaults: 1970 is a zero, 0001 a null of another language."""

TOLERANCE_SECONDS = 300
"""Clocks of sources run ahead by this much: a row up to five minutes after the end of its day is not from the future."""

LARGEST = 1e15
"""A number beyond this is a sentinel or an overflow; a double no longer holds its cents."""

NO_TIME_ZONE = "no_time_zone"
"""Reason of a time that can be read but for its zone. It stops the run: the next hours would be wrong everywhere."""

TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
ZONE = r"(Z|z|[+-]\d{2}(:?\d{2})?)$"


def value(column: Column) -> Expression:
    """The typed value of a cell, null where it is missing or cannot be read."""
    text = _text(column)
    if column.type == "timestamp":
        return F.when(text.rlike(TIME + ZONE), F.try_to_timestamp(F.upper(text)))
    if column.type in NUMBERS:
        return F.expr(f"try_cast(trim(`{column.name}`) AS {column.type})")
    if column.type.startswith("map"):
        return F.from_json(text, column.type)
    return text


def reason(column: Column) -> Expression:
    """Code of the first rule that a cell breaks, null where it breaks none. Expects `day` beside the cells."""
    text, typed = _text(column), value(column)
    broken: list[tuple[Expression, str]] = []
    if not column.nullable and column.default is None:
        broken.append((text.isNull(), "missing"))
    if column.type == "id":
        broken += [
            (F.length(text) > ID_MAX_CHARACTERS, "too_long"),
            (text.rlike(r"[\x00-\x1f\x7f]"), "control_character"),
        ]
    elif column.type == "timestamp":
        end = F.timestamp_add("SECOND", F.lit(TOLERANCE_SECONDS), F.date_add("day", 1).cast("timestamp"))
        broken += [
            (text.rlike(TIME + "$"), NO_TIME_ZONE),
            (text.isNotNull() & typed.isNull(), "bad_time"),
            (typed < F.lit(EARLIEST).cast("timestamp"), "time_out_of_range"),
            (typed > end, "in_the_future"),
        ]
    elif column.type in NUMBERS:
        broken.append((text.isNotNull() & typed.isNull(), "not_a_number"))
        if column.type == "double":
            broken.append((F.isnan(typed) | (F.abs(typed) > LARGEST), "out_of_range"))
    elif column.type.startswith("map"):
        broken.append((text.isNotNull() & typed.isNull(), "bad_map"))
    if column.between:
        low, high = column.between
        if low is not None:
            broken.append((typed < low, "out_of_range"))
        if high is not None:
            broken.append((typed > high, "out_of_range"))
    if column.one_of:
        broken.append((~typed.isin(*column.one_of), "not_in_list"))
    found = F.lit(None).cast("string")
    for condition, code in reversed(broken):
        found = F.when(condition, code).otherwise(found)
    return found


def _text(column: Column) -> Expression:
    """The cell, null where it says nothing, its default where it has one."""
    cell = F.col(column.name)
    if column.type == "id":
        says_nothing = F.lower(F.trim(cell)).isin(*NOTHING)
    else:
        says_nothing = F.trim(cell) == ""
    text = F.when(~says_nothing, cell)
    return text if column.default is None else F.coalesce(text, F.lit(column.default))
