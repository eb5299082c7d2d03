"""
`python -m bench.anchors.events FOLDER USERS DAYS LAST_DAY ORDERS_EVERY EVENTS`: events, orders and their tiles as Parquet.

A file for each day. With EVENTS 4 each user is active on nearly every day, with 1 to 4 events of four kinds at any hour, half of
them of one of 20,000 items in 40 categories; with 0 nobody does anything but order, every so many days on average. 129,000 users,
366 days and 4 are 118 M events and 47 M user-days. No user and no event is real: all of it is drawn from hashes of the user's and
the day's number.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb

from bench.anchors import questions


def main(folder: Path, users: int, days: int, last: date, every: int, most: int) -> None:  # noqa: PLR0917 - the command's arguments
    """Write what is not there yet."""
    connection = duckdb.connect()
    connection.execute("set threads = 2; set timezone = 'UTC'")
    for number in range(days):
        day = last - timedelta(days - 1 - number)
        asked = {"events": events(users, day, most), "orders": orders(users, day, every)}
        for name, question in asked.items():
            _write(connection, folder / name, day, question)
        facts = [f"read_parquet('{folder}/{name}/{day}.parquet')" for name in asked]
        _write(connection, folder / "tiles", day, questions.tiles(*facts) + " order by user_id")
        if day > last - timedelta(questions.ITEM_DAYS):
            _write(connection, folder / "items", day, questions.items(facts[0], str(last)))
    told = {
        name: connection.execute(f"select count(*) from read_parquet('{folder}/{name}/*.parquet')").fetchone()[0]
        for name in ("events", "orders", "tiles")
    }
    print(told)


def _write(connection: duckdb.DuckDBPyConnection, folder: Path, day: date, question: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{day}.parquet"
    if not file.exists():
        half = file.with_suffix(".half")
        connection.execute(f"copy ({question}) to '{half}' (format parquet, compression zstd)")
        half.rename(file)


def events(users: int, day: date, most: int) -> str:
    """SQL of a day's events."""
    kind = "list_extract(['open', 'view', 'cart', 'search'], cast(h % 4 + 1 as int))"
    return f"""
        select user_id, timestamp '{day} 00:00:00' + to_seconds(cast(h // 4 % 86400 as int)) as occurred_at, {kind} as type,
            case when h % 4 in (1, 2) then 'i' || cast(h // 345600 % 20000 as varchar) end as item_id,
            case when h % 4 in (1, 2) then 'c' || cast(h // 345600 % 40 as varchar) end as category
        from (
            select 'u' || lpad(cast(u as varchar), 7, '0') as user_id, hash(u, date '{day}', k) as h
            from range({users}) as users(u), range({most}) as times(k)
            where hash(u, date '{day}', 'active') % 500 <> 0 and k <= hash(u, date '{day}', 'events') % {max(most, 1)}
        ) as drawn
        order by user_id, occurred_at
    """


def orders(users: int, day: date, every: int) -> str:
    """SQL of a day's orders."""
    return f"""
        select user_id, timestamp '{day} 00:00:00' + to_seconds(cast(h // 1000 % 86400 as int)) as occurred_at,
            cast(5 + h // 86400000 % 10000 / 100.0 as decimal(18, 2)) as amount
        from (
            select 'u' || lpad(cast(u as varchar), 7, '0') as user_id, hash(u, date '{day}', 'order') as h
            from range({users}) as users(u) where hash(u, date '{day}', 'active') % 500 <> 0
        ) as drawn
        where h % {every} = 0 order by user_id
    """


if __name__ == "__main__":
    users, days, every, most = (int(sys.argv[at]) for at in (2, 3, 5, 6))
    main(Path(sys.argv[1]), users, days, date.fromisoformat(sys.argv[4]), every, most)
