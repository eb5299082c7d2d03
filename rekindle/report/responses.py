"""
What users did with what they were shown, by the channel that they came through: rates with their intervals.

A rate is a ratio of two totals, clicks over impressions for one. What varies by chance are users, and not their impressions one
by one: each user is a cluster (rekindle/experiments/estimates.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle import groups, records
from rekindle.experiments.estimates import mean
from rekindle.experiments.sums import Sums
from rekindle.report import charts, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from markupsafe import Markup

    from rekindle.experiments.estimates import Interval
    from rekindle.records import ChannelResponse

ALPHA = 0.05

MOST_CHANNELS = 12
"""Of more a page shows those with the most to be counted per."""

UNKNOWN = "not known"
"""The channel of users of whom none was delivered."""


@dataclass(frozen=True)
class Rate:
    """A rate of a channel, over the 7 days to the day, with its 95 % interval; no rate is below 0."""

    channel: str
    users: int
    per: int
    value: float
    interval: Interval


@dataclass(frozen=True)
class Responses:
    """A measure of the channels that may be shown, those with the most to be counted per first."""

    name: str
    """What it is, in words."""
    per: str
    """What it is counted per."""
    say: Callable[[float], str]
    rates: tuple[Rate, ...]
    too_small: int
    """Channels of so few people that nothing is said of them."""
    left_out: int
    """Further channels."""

    @property
    def chart(self) -> Markup:
        """A dot within its interval for each channel."""
        return charts.intervals({rate.channel: (rate.value, rate.interval) for rate in self.rates}, self.name, self.say)


def _percent(share: float) -> str:
    return words.percent(share, 2)


def _seconds(value: float) -> str:
    return f"{words.amount(value, 1)} s"


MEASURES: dict[str, tuple[str, str, Callable[[float], str]]] = {
    "ctr": ("CTR: clicks per impression", "impressions", _percent),
    "cvr": ("CVR: purchases per click", "clicks", _percent),
    "stay_seconds": ("Stay time per click", "clicks", _seconds),
}
"""By the measure of a row, in the order of a page: its name, what it is counted per, and how a figure is written."""


def find(day: date) -> tuple[Responses, ...]:
    """Find what is known of the 7 days to a day; nothing of a measure of which no channel may be shown."""
    return of_rows(records.channel_responses(day))


def of_rows(rows: Sequence[ChannelResponse]) -> tuple[Responses, ...]:
    """Make rates of sums."""
    found = []
    for measure, (name, per, say) in MEASURES.items():
        of_measure = sorted((row for row in rows if row.measure == measure), key=lambda row: (-row.per, row.channel))
        may_be_shown = [row for row in of_measure if groups.may_be_shown(row.users)]
        if not may_be_shown:
            continue
        shown = tuple(_rate(row) for row in may_be_shown[:MOST_CHANNELS])
        hidden = len(of_measure) - len(may_be_shown)
        found.append(Responses(name, per, say, shown, hidden, len(may_be_shown) - len(shown)))
    return tuple(found)


def _rate(row: ChannelResponse) -> Rate:
    estimate = mean(Sums(clusters=row.users, users=row.per, y=row.y, uu=row.uu, uy=row.uy, yy=row.yy))
    low, high = estimate.interval(ALPHA)
    return Rate(row.channel or UNKNOWN, row.users, round(row.per), estimate.value, (max(low, 0.0), high))
