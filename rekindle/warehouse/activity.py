"""What counts as activity, as SQL: phrased once for the tiles and for dbt's staging views, so that both say the same of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.settings import SALES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rekindle.settings import Settings


@dataclass(frozen=True)
class Activity:
    """Which facts show that a user is active: conditions on a row of raw, true or false and never null."""

    event: str
    """Of raw.events."""
    order: str
    """Of raw.orders: a sale, or no line at all. A refund shows no activity."""

    @classmethod
    def of(cls, conf: Settings) -> Activity:
        """As the business has decided: what `activity` names, else sales and all event types but `not_activity`."""
        if conf.activity:
            types = [name for name in conf.activity if name != SALES]
            return cls(_among(types) or "false", "kind = 'sale'" if SALES in conf.activity else "false")
        excluded = _among(conf.not_activity)
        return cls(f"NOT {excluded}" if excluded else "true", "kind = 'sale'")


def _among(types: Iterable[str]) -> str:
    """The condition that an event is of one of the types; empty if there are none."""
    literals = ["'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in types]
    return f"(type IN ({', '.join(literals)}))" if literals else ""
