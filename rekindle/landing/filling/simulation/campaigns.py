"""Campaigns: whom a simulated business has in them, and whom a tool has really sent a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rekindle.errors import InputError
from rekindle.landing.filling.simulation.business import Assigned
from rekindle.landing.filling.simulation.naming import ids
from rekindle.landing.filling.simulation.population import DAY_US, MINUTE_US
from rekindle.landing.filling.simulation.truth import expected
from rekindle.settings import Weekday, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from rekindle.landing.filling.simulation.business import Business
    from rekindle.landing.filling.simulation.lives import Lives
    from rekindle.landing.filling.simulation.truth import Value

    Campaign = Callable[[Business, date, Lives], Assigned | None]
    """Chooses who is in it on the morning of a day, from where each user stood at the end of the day before."""


def standing(business: Business, day: date, lives: Lives) -> Assigned | None:
    """Assign lapsed users who want messages by lot, on some days of the week."""
    conf, chance = business.conf.campaigns, business.chance
    if day.weekday() not in [get_args(Weekday).index(name) for name in conf.weekdays]:
        return None
    lapse = settings().lapse_days
    is_there = business.people.registered_on < day.toordinal() - lapse
    is_lapsed = is_there & (lives.last_active < day.toordinal() - lapse)
    lot, arm, when = (
        chance.stream("campaigns", day, name).random(business.people.size) for name in ("chosen", "arm", "when")
    )
    users = np.flatnonzero(is_lapsed & business.reach.is_wanted(day.toordinal()) & (lot < conf.share))
    begins = np.array([_begins(zone, day, conf.from_hour) for zone in _zones(business)])[
        business.people.country_of[users]
    ]
    return Assigned(
        users,
        arm[users] < conf.treated_share,
        begins + (when[users] * conf.minutes * MINUTE_US).astype("int64"),
        f"standing-{day}",
        conf.treated_share,
    )


def _zones(business: Business) -> list[str]:
    people = business.conf.population
    return [people.timezones[country] for country in people.countries]


def _begins(zone: str, day: date, hour: int) -> int:
    """Microseconds into the UTC day at which a local hour of it begins."""
    local = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int((local - midnight).total_seconds()) * 1_000_000


def really_sent(sent: pa.Table) -> Campaign:
    """
    Read a campaign off what a tool has sent: a row per message, with `user_id` and the UTC `day` on which it was sent.

    A column `sent_at` says when; else it is noon. Users whom the business does not have are refused.
    """
    if missing := {"user_id", "day"} - set(sent.column_names):
        raise InputError(f"The table of messages has no {min(missing)}.", todo="Give the columns user_id and day.")
    days = sent["day"].cast(pa.date32())
    at = np.full(len(sent), DAY_US // 2)
    if "sent_at" in sent.column_names:
        us = sent["sent_at"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        at = us % DAY_US

    def campaign(business: Business, day: date, _lives: Lives) -> Assigned | None:
        of_day = np.flatnonzero(pc.equal(days, pa.scalar(day)).to_numpy(zero_copy_only=False))
        users = _numbers(sent["user_id"].take(pa.array(of_day)), business.people.registered_on, day)
        users, first = np.unique(users, return_index=True)
        return Assigned(users, np.ones(len(users), bool), at[of_day][first]) if len(users) else None

    return campaign


def _numbers(user_ids: pa.ChunkedArray, registered_on: np.ndarray, day: date) -> np.ndarray:
    """Users by their ids; each must have registered before the day."""
    is_ours = pc.fill_null(pc.match_substring_regex(user_ids, r"^u(0|[1-9]\d{0,8})$"), fill_value=False)
    numbers = pc.utf8_slice_codeunits(user_ids.filter(is_ours), 1).cast(pa.int64()).to_numpy()
    numbers = numbers[numbers < len(registered_on)]
    strangers = len(user_ids) - int((registered_on[numbers] < day.toordinal()).sum())
    if strangers:
        raise InputError(
            f"{strangers} of the messages of {day} were sent to users whom this business does not have by then.",
            todo="Give the number of users and the days that it was simulated with.",
        )
    return numbers


def effects(lives: Lives, day: date, assigned: Assigned, value: Value) -> pa.Table:
    """
    Tell what a message of this morning would change for each who is assigned, controls included; a row each.

    It is counted from this day on: the chance of a return within truth.return_days, net revenue of truth.value_days.
    """
    users = assigned.users
    told = expected(lives.business.process, lives.state, day, value, users)
    columns = {name: told[name] for name in ("return_probability", "return_probability_if_messaged", "uplift")}
    columns |= {name: told[name] for name in ("expected_revenue", "expected_revenue_if_messaged", "value_uplift")}
    return pa.table(
        {
            "day": pa.array(np.full(len(users), np.datetime64(day)), pa.date32()),
            "campaign_id": pa.repeat(pa.scalar(assigned.campaign, pa.string()), len(users)),
            "user_id": ids("u", users),
            "is_treated": assigned.is_treated,
            "probability": pa.repeat(pa.scalar(assigned.probability, pa.float64()), len(users)),
            **columns,
        }
    )
