"""What the page is made of, read from Postgres; of the days, those a whole number of weeks before the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rekindle.records.rows import select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal

SHOWN_WEEKS = 53
"""A year and the week it began with, so that a season meets its like."""


@dataclass(frozen=True)
class Flow:
    """Users who went from a stage to another within the week to the day: a row of marts.lifecycle_flows."""

    day: date
    stage_before: str
    stage: str
    users: int


@dataclass(frozen=True)
class Cohort:
    """What became of who registered in a month, within the 28 days to the day: a row of marts.cohorts."""

    day: date
    registered_in: date
    users: int
    active_users: int
    buyers: int
    net_revenue: Decimal


@dataclass(frozen=True)
class Week:
    """The five stages of the 7 days to the day: a row of marts.weekly_stages."""

    day: date
    registered_users: int
    referred_users: int
    week_old_users: int
    activated_users: int
    active_before_users: int
    retained_users: int
    active_users: int
    buyers: int
    net_revenue: Decimal


@dataclass(frozen=True)
class Lifecycle:
    """All that the page says, the oldest first."""

    day: date
    weeks: Sequence[Week]
    flows: Sequence[Flow]
    cohorts: Sequence[Cohort]
    """Of every day, for retention is asked for by month."""


def gather(first: date, last: date) -> Lifecycle:
    """Find what is known of the days from `first` to `last`."""
    between = {"first": first, "last": last}
    weekly = "day between %(first)s and %(last)s and mod(%(last)s::date - day, 7) = 0 order by day"
    return Lifecycle(
        last,
        select(Week, f"rekindle.weekly_stage where {weekly}", between),
        select(Flow, f"rekindle.lifecycle_flow where {weekly}, stage_before, stage", between),
        select(
            Cohort,
            "rekindle.cohort where day between %(first)s and %(last)s order by registered_in, day",
            between,
        ),
    )
