"""Reading: who may be texted now, out of sms.audience, without whom another campaign has just been assigned to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql

from rekindle.campaigns import filtering, gain
from rekindle.campaigns.choosing import Candidates
from rekindle.errors import InputError
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from rekindle.campaigns.filtering import Condition
    from rekindle.postgres import Connection

AUDIENCE = "audience"

ELIGIBLE = sql.SQL(
    """
    select
        q.user_id, coalesce(p.phone_hmac, q.user_id), p.phone_hmac, q.return_probability::float8,
        q.value_if_returns::float8, coalesce(q.value_if_returns_low, q.value_if_returns)::float8,
        coalesce(q.value_if_returns_high, q.value_if_returns)::float8, q.lapsed_days, q.country, q.segment,
        q.uplift::float8, q.uplift_low::float8, q.uplift_high::float8, q.uplift_status = 'modelled'
    from (select a.*, f.channel from sms.audience as a left join rekindle.profile as f using (user_id)) as q
    left join rekindle.permission as p on p.user_id = q.user_id
    where q.eligible and q.return_probability is not null and q.value_if_returns is not null
        and (q.valid_until is null or q.valid_until > %(at)s)
        and {where}
        and not exists (select from recent as r where r.user_id = q.user_id)
        and not exists (select from recent as r where r.phone_hmac = p.phone_hmac)
    order by q.user_id
    """
)
"""
By what the audience says, and the channel that is known beside; tools have no column more than they can take.

Who is eligible is no member of the global holdout: that is the last reason not to be.
"""

RECENT = """
    create temporary table recent on commit drop as
    with assigned as (
        -- A campaign that was planned here, and of which raw.messages tells, is one.
        select campaign_id, user_id, max(phone_hmac) as phone_hmac, max(assigned_at) as assigned_at
        from (
            select campaign_id, user_id, phone_hmac, assigned_at from rekindle.assignment
            union all select campaign_id, user_id, null, assigned_at from rekindle.sent_elsewhere
        ) as everywhere
        where assigned_at <= %(at)s
        group by campaign_id, user_id
    )
    select user_id, null as phone_hmac from assigned
    where assigned_at > %(at)s - make_interval(days => %(cap_days)s)
    group by user_id
    having count(*) >= %(cap_messages)s or max(assigned_at) > %(at)s - make_interval(days => %(cool_down_days)s)
    union all
    select null, phone_hmac from assigned
    where phone_hmac is not null and assigned_at > %(at)s - make_interval(days => %(cool_down_days)s)
"""
"""
Users and phones that a campaign was assigned to within the cool-down, and users at their cap.

The audience has left them out, but for those who were assigned since it was published.
"""


@dataclass(frozen=True)
class Read:
    """Who may be texted, and what a tool and the record are told of them beside."""

    candidates: Candidates
    phone_hmac: np.ndarray
    country: np.ndarray
    segment: np.ndarray
    caused: tuple[float, float, float] | None
    """Mean uplift of them all, with the ends of its interval, as campaigns have shown it; None while none has."""


def read(
    connection: Connection, conditions: Sequence[Condition], at: datetime, segment_cost: Callable[[str | None], float]
) -> Read:
    """Read who may be texted at `at` and meets the conditions; `segment_cost` is by country."""
    conf = settings()
    given = {
        "at": at,
        "cap_days": conf.cap_days,
        "cap_messages": conf.cap_messages,
        "cool_down_days": conf.cool_down_days,
    }
    connection.execute(RECENT, given)
    connection.execute("analyze recent")
    where, values = filtering.composed(conditions)
    rows = connection.execute(ELIGIBLE.format(where=where), given | values).fetchall()
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 14
    user, unit, phone, chance, value, low, high, lapsed, country, segment, *uplift, is_own = by_column
    own = [np.where(np.array(is_own, bool), gain.within(np.array(one, float), chance), np.nan) for one in uplift]
    costs = {one: segment_cost(one) for one in set(country)}
    people = Candidates(
        user_id=np.array(user, object),
        unit=np.array(unit, object),
        probability=np.array(chance, float),
        value=np.array(value, float),
        value_low=np.array(low, float),
        value_high=np.array(high, float),
        lapsed_days=np.array([np.nan if one is None else one for one in lapsed], float),
        segment_cost=np.array([costs[one] for one in country], float),
        uplift=own[0],
        uplift_low=own[1],
        uplift_high=own[2],
    )
    return Read(people, np.array(phone, object), np.array(country, object), np.array(segment, object), _mean(uplift))


def _mean(uplift: Sequence[Sequence[float | None]]) -> tuple[float, float, float] | None:
    """Mean of what is published of users; None where of some nothing is."""
    known = [[one for one in column if one is not None] for column in uplift]
    if not uplift[0] or any(len(found) < len(column) for found, column in zip(known, uplift, strict=True)):
        return None
    mean, low, high = (float(np.mean(found)) for found in known)
    return mean, low, high


def columns(connection: Connection) -> set[str]:
    """Return the columns that a condition may be about: those of the audience, and what is known of its users beside."""
    found = connection.execute(
        "select attname from pg_attribute where attrelid = 'sms.audience'::regclass and attnum > 0 and not attisdropped"
    )
    return {name for (name,) in found} | {"channel"}


def refuse_other_day(connection: Connection, day: date) -> None:
    """Raise InputError unless the audience is about `day`."""
    row = connection.execute("select day from rekindle.freshness where table_name = %s", [AUDIENCE]).fetchone()
    if row is None or row[0] != day:
        about = f"is about {row[0]}" if row else "was never published"
        raise InputError(
            f"The audience {about}, and {day} was to be planned with.",
            todo=f"Plan with --day {row[0]}." if row else f"Publish it: rekindle run --day {day}",
            safe="Nothing was planned.",
            code="other_day",
        )
