"""What came true of scores whose horizon has passed: predicted beside actual, this week beside the four before it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle import groups, records
from rekindle.publishing import publications
from rekindle.report.facts import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from rekindle.records import Outcome
    from rekindle.report.facts import Kind

WEEK_DAYS = 7
EARLIER_DAYS = 28
"""Four weeks, so that each weekday counts as often as in the week they are compared with."""

NORMAL_95 = 1.96


@dataclass(frozen=True)
class Sums:
    """Predictions and what came of them, over the users of some scored days: users for a chance, money for an amount."""

    users: int
    predicted: float
    actual: float
    error: float = 0.0
    """Standard error of `actual` against what the predictions promise."""

    @property
    def predicted_mean(self) -> float:
        return self.predicted / self.users

    @property
    def actual_mean(self) -> float:
        return self.actual / self.users

    @property
    def ratio(self) -> float | None:
        """Predicted over actual; None where nothing came."""
        return self.predicted / self.actual if self.actual > 0 else None

    @property
    def interval(self) -> tuple[float, float | None] | None:
        """A rough 95 % interval of the ratio; without an upper end where nothing might have come."""
        if self.ratio is None:
            return None
        reach = NORMAL_95 * self.error
        low, high = self.actual - reach, self.actual + reach
        return self.predicted / high, self.predicted / low if low > 0 else None


@dataclass(frozen=True)
class Period:
    """The scored days whose label became known within a week, or within the weeks before it."""

    name: str
    first: date
    last: date
    days: int
    backfilled_days: int
    sums: Sums


@dataclass(frozen=True)
class CameTrue:
    """What came true of a label of a product."""

    product: str
    label: str
    kind: Kind
    periods: tuple[Period, ...]
    deciles: Mapping[int, Sums]
    """Of the first of the periods."""

    @property
    def window(self) -> str:
        """The days after the scored day that the label is about."""
        return window_of(self.label)


def window_of(label: str) -> str:
    """Say which days after the scored day a label is about: `active_1_7` is days 1 to 7."""
    found = re.fullmatch(r".*_(\d+)_(\d+)", label)
    return f"days {found[1]} to {found[2]}" if found else label


def find(day: date) -> tuple[CameTrue, ...]:
    """Find what became known with the delivery of a day and of the five weeks before it."""
    found = []
    for publication in publications.declared():
        if not publication.history or publication.headline is None:
            continue
        outcomes = records.outcomes(publication.name, day - timedelta(WEEK_DAYS + EARLIER_DAYS - 1), day)
        kind = kind_of(publication.figures[publication.headline])
        found += [
            of_label(publication.name, label, kind, [o for o in outcomes if o.label == label], day)
            for label in sorted({o.label for o in outcomes}, key=_in_order)
        ]
    return tuple(found)


def of_label(product: str, label: str, kind: Kind, outcomes: Sequence[Outcome], day: date) -> CameTrue:
    """Add up the outcomes of a label, of which there are some, by period and, of the latest period, by decile."""
    week = [o for o in outcomes if o.day > day - timedelta(WEEK_DAYS)]
    earlier = [o for o in outcomes if o.day <= day - timedelta(WEEK_DAYS)]
    named = [(name, some) for name, some in (("this week", week), ("the four weeks before", earlier)) if some]
    latest = named[0][1]
    return CameTrue(
        product=product,
        label=label,
        kind=kind,
        periods=tuple(_period(name, some) for name, some in named),
        deciles=_by_decile(latest),
    )


def _by_decile(outcomes: Sequence[Outcome]) -> dict[int, Sums]:
    """Add up by decile, but for those that were of too few people: over days, largely the same ones."""
    found: dict[int, list[Outcome]] = {}
    for one in sorted(outcomes, key=lambda o: o.decile):
        found.setdefault(one.decile, []).append(one)
    return {n: add_up(some) for n, some in found.items() if groups.may_be_shown(max(o.users for o in some))}


def _period(name: str, outcomes: Sequence[Outcome]) -> Period:
    days = {o.scored_on for o in outcomes}
    backfilled = {o.scored_on for o in outcomes if o.is_backfilled}
    return Period(name, min(days), max(days), len(days), len(backfilled), add_up(outcomes))


def add_up(outcomes: Iterable[Outcome]) -> Sums:
    """
    Add up outcomes.

    Errors of one day are of different users and add up squared. Those of different days are largely of the same users, so
    they add up as they are: an interval that is too wide rather than one that is far too narrow.
    """
    squares: dict[date, float] = {}
    users, predicted, actual = 0, 0.0, 0.0
    for one in outcomes:
        users, predicted, actual = users + one.users, predicted + one.predicted, actual + one.actual
        squares[one.scored_on] = squares.get(one.scored_on, 0.0) + one.squared_error
    return Sums(users, predicted, actual, sum(math.sqrt(square) for square in squares.values()))


def _in_order(label: str) -> tuple[int, str]:
    """By the first day of the window."""
    numbers = re.findall(r"\d+", label)
    return (int(numbers[0]) if numbers else 0, label)
