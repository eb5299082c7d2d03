"""What ads bought and who came back: the rows of a small mart, kept where reports read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.postgres import transact
from rekindle.records.rows import select

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal


@dataclass(frozen=True)
class AdResult:
    """What a strategy has bought within four weeks, and who came back of those it was asked for: a row of marts.ad_results."""

    day: date
    """The delivery at whose end this was known."""
    strategy: str
    requests: int
    won: int
    clicks: int
    users: int
    activated: int
    spend: Decimal


def ad_results(day: date) -> list[AdResult]:
    """List what was known at the end of a day."""
    return select(AdResult, "rekindle.ad_result where day = %s order by strategy", [day])


def last_ad_results() -> date | None:
    """Name the last day at whose end anything was known of ads."""
    return transact(lambda c: (c.execute("select max(day) from rekindle.ad_result").fetchone() or (None,))[0])
