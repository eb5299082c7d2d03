"""
`python -m bench.anchors.deliveries ZONE FROM USERS FIRST_DAY LAST_DAY`: days of a crowd, beside what is delivered already.

Users from a number on, their phones and consents come with the first day, registered at any time of two years before it. A tenth
of all are active on half of the days, the others on one of thirty, with 1 to 50 events of three kinds at any hour; one in forty
active users orders. A million users are 2 M events a day. No user and no event is real: all of it is drawn from hashes. So are
phones, but no regulator keeps a million numbers free: they may be somebody's, and nothing here sends anything.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb

FILE = "crowd.parquet"


def main(zone: Path, known: int, users: int, first: date, last: date) -> None:
    """Add a file to each delivery; each is complete already. `known` users have come before."""
    connection = duckdb.connect()
    connection.execute("set threads = 2; set timezone = 'UTC'")
    for name, begin in {"newcomers": known, "everybody": 0}.items():
        connection.execute(
            f"create view {name} as select cast(u as bigint) as u, 'c' || lpad(cast(u as varchar), 7, '0') as user_id "
            f"from range({begin}, {users}) as users(u)"
        )
    for source, question in {"users": states(first), "contacts": CONTACTS, "consents": consents(first)}.items():
        _write(connection, zone / source, first, question)
    for number in range((last - first).days + 1):
        day = first + timedelta(number)
        for source, question in {"events": events(day), "orders": orders(day)}.items():
            _write(connection, zone / source, day, question)
    ((told,),) = connection.execute(f"select count(*) from read_parquet('{zone}/events/day={last}/{FILE}')").fetchall()
    print(f"{told:,} events of {last}")


def _write(connection: duckdb.DuckDBPyConnection, folder: Path, day: date, question: str) -> None:
    connection.execute(f"copy ({question}) to '{folder}/day={day}/{FILE}' (format parquet, compression zstd)")


CONTACTS = """
    select user_id, '+447' || lpad(cast(100000000 + u as varchar), 9, '0') as phone, 'GB' as country
    from newcomers order by user_id
"""


def states(first: date) -> str:
    """SQL of the users' states."""
    ago = "to_seconds(cast(hash(u, 'registered') % 63072000 as int))"
    return f"""
        select user_id, timestamptz '{first} 00:00:00' - {ago} as registered_at, 'GB' as country, 'Europe/London' as timezone,
            list_extract(['organic', 'referral', 'search'], cast(hash(u, 'channel') % 3 + 1 as int)) as channel
        from newcomers order by user_id
    """


def consents(first: date) -> str:
    """SQL of their consents: two of three users have given one."""
    return f"""
        select 'c' || cast(u as varchar) as consent_id, user_id, 'sms' as message_channel, 'marketing' as purpose,
            'grant' as action, timestamptz '{first} 00:00:00' as at, 'bench' as source, '1' as policy_version
        from newcomers where hash(u, 'consent') % 3 > 0 order by user_id
    """


def active(day: date) -> str:
    """SQL of the users who are active on a day."""
    often = "case when hash(u, 'often') % 10 = 0 then 500 else 33 end"
    return f"(select u, user_id from everybody where hash(u, date '{day}', 'active') % 1000 < {often})"


def events(day: date) -> str:
    """SQL of a day's events."""
    kind = "list_extract(['open', 'view', 'search'], cast(h % 3 + 1 as int))"
    return f"""
        select '{day}-' || cast(u as varchar) || '-' || cast(k as varchar) as event_id, user_id,
            timestamptz '{day} 00:00:00' + to_seconds(cast(h // 3 % 86400 as int)) as occurred_at, {kind} as type,
            case when h % 3 = 1 then 'i' || cast(h // 259200 % 20000 as varchar) end as item_id
        from (
            select u, user_id, k, hash(u, date '{day}', k) as h from {active(day)} as active, range(50) as times(k)
            where k <= hash(u, date '{day}', 'events') % 50
        ) as drawn
        order by user_id, occurred_at
    """


def orders(day: date) -> str:
    """SQL of a day's orders."""
    return f"""
        select 'o{day}-' || cast(u as varchar) as order_id, '0' as line_id, user_id,
            timestamptz '{day} 00:00:00' + to_seconds(cast(h // 40 % 86400 as int)) as occurred_at, 'sale' as kind,
            cast(5 + h // 3456000 % 10000 / 100.0 as decimal(18, 2)) as amount, 'USD' as currency
        from (select u, user_id, hash(u, date '{day}', 'order') as h from {active(day)} as active) as drawn
        where h % 40 = 0 order by user_id
    """


if __name__ == "__main__":
    known, users = (int(sys.argv[at]) for at in (2, 3))
    first, last = (date.fromisoformat(sys.argv[at]) for at in (4, 5))
    main(Path(sys.argv[1]), known, users, first, last)
