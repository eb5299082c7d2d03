"""
Attributes of a protected kind: what nobody should be treated by, such as age or religion.

They are told by the words of their names (conf/rekindle.yml lists them), wherever a word stands and however a source spells it:
`customerAge`, `Age Group` and `traits.age` are all of age, `page` is not. A name is all that is looked at: what stands in for
such an attribute under another name is not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.settings import Settings

CAPITALS = (r"(?<=[a-z])(?=[A-Z])",)
WORDS = (*CAPITALS, r"(?<=[A-Z])(?=[A-Z][a-z])", r"(?<=[^\W\d_])(?=\d)", r"(?<=\d)(?=[^\W\d_])")
"""Where a word ends without a sign between: `ageGroup`, then `DOBYear` and `age2` too."""


@dataclass(frozen=True)
class Protected:
    """Words of names, in which `*` stands for anything, and the names that models may read all the same."""

    patterns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Protected:
        return cls(settings.protected_attributes, settings.protected_inputs)

    def holds(self, source: str) -> bool:
        """
        Whether a feature, a column or `column:key`, is of a protected kind: then it is never shown as a reason.

        It is where a pattern is a word of the name, or some in a row. Names are read in two ways: `DOBYear` is `dobyear` for
        whoever lists that, and has the word `dob`, too.
        """
        return any(_searched(self.patterns, ends).search(_plain(source, ends)) for ends in (CAPITALS, WORDS))

    def keeps_out(self, source: str) -> bool:
        """Whether no model may read it."""
        return self.holds(source) and _plain(_name(source)) not in {_plain(allowed) for allowed in self.inputs}

    def kept_out_of(self, rows: pa.Table) -> tuple[str, ...]:
        """Name the features of some rows that no model may read, in order."""
        return tuple(source for source in _sources(rows) if self.keeps_out(source))


NOTHING = Protected()
"""Where no list is given, nothing is protected."""


def told(kept_out: Sequence[str]) -> str:
    """Say for people what models did not read."""
    names = ", ".join(_name(source) for source in kept_out)
    return f"Neither read nor shown, for they are protected attributes (conf/rekindle.yml): {names}."


def _name(source: str) -> str:
    """Return the column, or the key of a map as it is delivered: it may hold a colon itself."""
    column, _, key = source.partition(":")
    return key or column


def _sources(rows: pa.Table) -> list[str]:
    """Name the columns, and of maps of texts each key: keys of other maps are types of events, and say what somebody did."""
    found = []
    for field in rows.schema:
        if pa.types.is_map(field.type) and pa.types.is_string(field.type.item_type):
            keys = pc.unique(pa.chunked_array([chunk.keys for chunk in rows[field.name].chunks], pa.string()))
            found += [f"{field.name}:{key}" for key in sorted(keys.to_pylist())]
        else:
            found.append(field.name)
    return found


@cache
def _searched(patterns: Sequence[str], ends: Sequence[str]) -> re.Pattern[str]:
    """Make one expression of all patterns, that is found where one of them is; none is found nowhere."""
    return re.compile("|".join(_expression(_plain(pattern, ends)) for pattern in patterns) if patterns else r"(?!)")


def _expression(pattern: str) -> str:
    """Say where a pattern is found: from where a word begins to where one ends, but at a star."""
    begins = "" if pattern.startswith("*") else r"(?<![^_])"
    ends = "" if pattern.endswith("*") else r"(?![^_])"
    return begins + ".*".join(map(re.escape, pattern.strip("*").split("*"))) + ends


def _plain(name: str, ends: Sequence[str] = CAPITALS) -> str:
    """Write a name in lower case, with an underscore between words; a pattern keeps its stars."""
    return "_".join(re.findall(r"(?:[^\W_]|\*)+", re.sub("|".join(ends), "_", name))).casefold()
