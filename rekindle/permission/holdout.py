"""
The global holdout: who is never texted, so that what all campaigns do together can be measured.

Decided once, by a salted hash, and kept in a ledger by user and phone. All of it is SQL, within a publish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rekindle.postgres import Connection

UNIFORM = """
(('x' || left(encode(sha256(convert_to(%(holdout_salt)s || {phone_hmac}, 'UTF8')), 'hex'), 13))::bit(52)::bigint
    / 4503599627370496.0::double precision)
"""
"""A number in [0, 1) of salt and phone: the first 52 bits of a hash, which a double holds exactly."""

GROW = f"""
update rekindle.holdout
set is_held_out = {UNIFORM.format(phone_hmac="phone_hmac")} < %(holdout_share)s, share = %(holdout_share)s
where decided_by = 'hash' and phone_hmac is not null and not is_held_out and share < %(holdout_share)s
"""
"""A share that has grown takes in whose hash lies below it now; one that has shrunk lets nobody go."""

DECIDE = f"""
with candidate as materialized (
    select user_id, p.phone_hmac
    from ({{query}}) as q join rekindle.permission as p using (user_id)
    where q.eligible_before_holdout
),
of_user as (
    select user_id, bool_or(is_held_out) as is_held_out from rekindle.holdout group by user_id
),
of_phone as (
    select phone_hmac, bool_or(is_held_out) as is_held_out
    from rekindle.holdout where phone_hmac is not null group by phone_hmac
),
-- A user keeps the arm whatever the number; a phone has the arm of whoever is known to have it, and held out wins.
known as (
    select
        c.user_id, c.phone_hmac, u.is_held_out as by_user,
        case
            when p.is_held_out or bool_or(u.is_held_out) over same_phone then true
            when p.is_held_out is not null or count(u.is_held_out) over same_phone > 0 then false
        end as by_phone
    from candidate as c
    left join of_user as u using (user_id)
    left join of_phone as p on p.phone_hmac = c.phone_hmac
    window same_phone as (partition by c.phone_hmac)
)
insert into rekindle.holdout (user_id, phone_hmac, is_held_out, decided_on, decided_by, share)
select
    user_id, phone_hmac,
    coalesce(by_phone, {UNIFORM.format(phone_hmac="phone_hmac")} < %(holdout_share)s),
    %(table_day)s,
    case when by_user is not distinct from by_phone and by_user is not null then 'user'
        when by_phone is not null then 'phone' else 'hash' end,
    %(holdout_share)s
from known
on conflict (user_id, phone_hmac) do update
set (is_held_out, decided_on, decided_by, share) = (true, excluded.decided_on, 'phone', excluded.share)
where excluded.is_held_out and not holdout.is_held_out
"""


def decide(connection: Connection, query: str, asked: Mapping[str, Any]) -> None:
    """
    Decide on everybody who might be texted by what a query says, and has not been decided on.

    By the user first, who keeps the arm with a new number; else by the phone: who meets a phone that is held out is held
    out; else by the hash. Users who share a phone are decided on together.
    """
    connection.execute(GROW, asked)
    connection.execute(DECIDE.format(query=query), asked)
