"""
Attributes of a protected kind: what nobody should be treated by, such as age or religion.

They are told by their names, as patterns of conf/rekindle.yml, however a source spells them: `ageGroup`, `Age Group` and
`age_group` are one. A name is all that is looked at: what stands in for such an attribute under another name is not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rekindle.settings import Settings


@dataclass(frozen=True)
class Protected:
    """Patterns of names, in which `*` stands for anything, and the names that models may read all the same."""

    patterns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Protected:
        return cls(settings.protected_attributes, settings.protected_inputs)

    def holds(self, source: str) -> bool:
        """Whether a feature, a column or `column:key`, is of a protected kind: then it is never shown as a reason."""
        name = _plain(source.rpartition(":")[2])
        return any(fnmatchcase(name, _plain(pattern)) for pattern in self.patterns)

    def keeps_out(self, source: str) -> bool:
        """Whether no model may read it."""
        name = _plain(source.rpartition(":")[2])
        return self.holds(source) and name not in {_plain(allowed) for allowed in self.inputs}

    def kept_out_of(self, rows: pa.Table) -> tuple[str, ...]:
        """Name the features of some rows that no model may read, in order."""
        return tuple(source for source in _sources(rows) if self.keeps_out(source))


NOTHING = Protected()
"""Where no list is given, nothing is protected."""


def told(kept_out: Sequence[str]) -> str:
    """Say for people what models did not read."""
    names = ", ".join(source.rpartition(":")[2] for source in kept_out)
    return f"Neither read nor shown, for they are protected attributes (conf/rekindle.yml): {names}."


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


def _plain(name: str) -> str:
    """Write a name in lower case, with an underscore between words; a pattern keeps its stars."""
    return re.sub(r"[^\w*]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).casefold().strip("_")
