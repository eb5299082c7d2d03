"""
Removing people from Postgres: what is published of them, and what decides about messages to them.

What tools read keeps a row of an erased user for as long as the feed tells of them: a row that is dropped without a word stays in
every copy. So the row is emptied first, and deleted when the feed's days are over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from rekindle import publishing
from rekindle.erasure import personal
from rekindle.erasure.people import People
from rekindle.landing import tombstones
from rekindle.postgres import clock, only_value, transact
from rekindle.publishing import answers, bids, erasing, publications, recommended
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from rekindle.postgres import Connection

FEED = "erasure_feed"
"""The published table that tells tools of erased users."""

WITHDRAWALS = "rekindle.withdrawal"

DONE, BEGUN, MODELS = "done", "begun", "models"
"""Steps that are asked for later."""


@dataclass(frozen=True)
class Asked:
    """Somebody who is to be erased, or was and is still told of."""

    user_id: str
    is_done: bool


def begin(user_ids: Collection[str], at: datetime | None, run_id: str) -> datetime:
    """
    Take permission away, empty what is published of the users, and drop what is delivered of them from now on.

    All or nothing, and before anything is removed: whoever dies later has left people who are not texted. Who is erased
    already stays erased since then.
    """
    ids = sorted(user_ids)
    hmacs = tombstones.by_hmac(ids)

    def work(connection: Connection) -> datetime:
        began = at or clock(connection)
        until = began + timedelta(settings().erasure_feed_days)
        for hashed, user_id in hmacs.items():
            connection.execute(
                "insert into rekindle.tombstone (user_hmac, erased_at) values (%s, %s) on conflict do nothing",
                [hashed, began],
            )
            connection.execute(
                "insert into rekindle.erasure (user_id, erased_at, forgotten_after) values (%s, %s, %s)"
                " on conflict do nothing",
                [user_id, began, until],
            )
            connection.execute(
                "insert into rekindle.withdrawal (kind, user_id, at, source_id)"
                " select 'erasure', %(user_id)s, %(at)s, %(source_id)s where not exists"
                " (select from rekindle.withdrawal where kind = 'erasure' and user_id = %(user_id)s)"
                " on conflict do nothing",
                {"user_id": user_id, "at": began, "source_id": f"erased {hashed[:16]}"},
            )
            _log(connection, hashed, BEGUN, {"run_id": run_id})
        _empty(connection, ids, run_id)
        return began

    return transact(work)


def keep_opt_outs(people: People, closed: Collection[str], at: datetime) -> int:
    """
    Keep the HMACs of phones that must not be texted, whoever has them next. Returns how many of them are new.

    `closed` are those of which the warehouse says so; here are added those that the hourly run has read.
    """

    def work(connection: Connection) -> int:
        return connection.execute(
            """
            insert into rekindle.phone_opt_out (phone_hmac, at)
            select phone_hmac, min(at) from (
                select unnest(%(closed)s::text[]) as phone_hmac, %(at)s::timestamptz as at
                union all
                select phone_hmac, at from rekindle.withdrawal
                where kind <> 'erasure' and (phone_hmac = any(%(hmacs)s) or user_id = any(%(ids)s))
                union all
                select h.phone_hmac, w.at from unnest(%(hmacs)s::text[]) as h (phone_hmac), rekindle.withdrawal as w
                where w.kind = 'consent' and w.user_id = any(%(ids)s)
            ) as found
            where phone_hmac is not null group by phone_hmac
            on conflict do nothing
            """,
            {"closed": sorted(closed), "at": at, "hmacs": sorted(people.phone_hmacs), "ids": sorted(people.user_ids)},
        ).rowcount

    return transact(work)


def remember(people: People) -> None:
    """Keep HMACs of phones and hashes of devices until people are forgotten: an attempt that begins again finds none of them."""
    transact(
        lambda connection: connection.execute(
            "update rekindle.erasure set phone_hmacs = array(select distinct unnest(phone_hmacs || %(hmacs)s::text[])),"
            " id_hashes = array(select distinct unnest(id_hashes || %(hashes)s::text[])) where user_id = any(%(ids)s)",
            {
                "hmacs": sorted(people.phone_hmacs),
                "hashes": sorted(people.id_hashes),
                "ids": sorted(people.user_ids),
            },
        )
    )


def remembered(user_ids: Collection[str]) -> People:
    """The people, with the phones and devices that an earlier attempt has found."""
    rows = transact(
        lambda connection: connection.execute(
            "select phone_hmacs, id_hashes from rekindle.erasure where user_id = any(%s)", [sorted(user_ids)]
        ).fetchall()
    )
    hmacs, hashes = (frozenset(found for row in rows for found in row[at]) for at in (0, 1))
    return People(frozenset(user_ids), frozenset(), hmacs, hashes)


def clean(people: People, run_id: str) -> dict[str, int]:
    """Remove people from the tables of Postgres; returns by table how many rows that were."""
    ids = sorted(people.user_ids)

    def work(connection: Connection) -> dict[str, int]:
        removed = _empty(connection, ids, run_id)
        for holding in personal.in_postgres(connection):
            if holding.table in personal.KEPT_IN_POSTGRES:
                continue
            for column in holding.of("id"):
                # That somebody is to be erased is told as long as the feed tells it.
                but = " and kind <> 'erasure'" if holding.table == WITHDRAWALS else ""
                count = connection.execute(f"delete from {holding.table} where {column} = any(%s){but}", [ids]).rowcount
                removed[holding.table] = removed.get(holding.table, 0) + count
        return {table: count for table, count in removed.items() if count}

    return transact(work)


def finish(user_ids: Collection[str], detail: Mapping[str, Any], run_id: str) -> None:
    """Log that people are erased everywhere, and tell tools."""

    def work(connection: Connection) -> None:
        for hashed in tombstones.by_hmac(user_ids):
            _log(connection, hashed, DONE, {"run_id": run_id, **detail})

    transact(work)
    tell_tools(run_id)


def log(user_ids: Collection[str], step: str, detail: Mapping[str, Any]) -> None:
    """Add a step to the audit log of each person."""

    def work(connection: Connection) -> None:
        for hashed in tombstones.by_hmac(user_ids):
            _log(connection, hashed, step, detail)

    transact(work)


def models_of(user_ids: Collection[str]) -> list[dict[str, Any]]:
    """Versions of models that have learnt from people, as the first attempt to erase them found: a later one finds no rows."""
    rows = transact(
        lambda connection: connection.execute(
            "select distinct jsonb_array_elements(detail -> 'learnt_from') from rekindle.erasure_log"
            " where step = %s and user_hmac = any(%s)",
            [MODELS, sorted(tombstones.by_hmac(user_ids))],
        ).fetchall()
    )
    return [model for (model,) in rows]


def are_there(user_ids: Collection[str]) -> bool:
    """Whether a table of ours still, or again, holds people who were erased, beside what is to stay of them."""

    def work(connection: Connection) -> bool:
        for holding in personal.in_postgres(connection):
            if holding.table in personal.KEPT_IN_POSTGRES:
                continue
            for column in holding.of("id"):
                but = " and kind <> 'erasure'" if holding.table == WITHDRAWALS else ""
                question = f"select exists (select from {holding.table} where {column} = any(%s){but})"
                if only_value(connection.execute(question, [sorted(user_ids)])):
                    return True
        served = answers.of_users, recommended.of_users, bids.of_users
        return any(of_users(connection, user_ids) for of_users in served)

    return transact(work)


def asked() -> list[Asked]:
    """
    Return who has asked to be erased, and who was erased and is still told of.

    An erasure that was asked for is a withdrawal of its kind; one that was begun and not ended is done again.
    """

    def work(connection: Connection) -> tuple[list[str], set[str]]:
        ids = connection.execute(
            "select user_id from rekindle.withdrawal where kind = 'erasure' and user_id is not null"
            " union select user_id from rekindle.erasure order by 1"
        ).fetchall()
        done = connection.execute("select distinct user_hmac from rekindle.erasure_log where step = %s", [DONE])
        return [user_id for (user_id,) in ids], {hashed for (hashed,) in done.fetchall()}

    ids, done = transact(work)
    return [Asked(user_id, hashed in done) for hashed, user_id in tombstones.by_hmac(ids).items()] if ids else []


def forget(at: datetime | None, run_id: str) -> int:
    """
    Delete what still names people whose days in the feed are over; returns how many they were.

    From then on only HMACs are left of them.
    """

    def work(connection: Connection) -> int:
        over = connection.execute(
            "select user_id from rekindle.erasure where forgotten_after <= coalesce(%s, clock_timestamp())", [at]
        ).fetchall()
        ids = [user_id for (user_id,) in over]
        if ids:
            publishing.take_turn(connection)
            for publication in publications.declared():
                erasing.delete(connection, publication, ids)
            connection.execute("delete from rekindle.withdrawal where user_id = any(%s)", [ids])
            connection.execute("delete from rekindle.erasure where user_id = any(%s)", [ids])
        return len(ids)

    forgotten = transact(work)
    _drop_repeated_requests()
    if forgotten:
        tell_tools(run_id)
    return forgotten


def _drop_repeated_requests() -> None:
    """Delete requests of people who were erased and forgotten: an old delivery of erasures that was read again names them."""
    rows = transact(
        lambda connection: connection.execute(
            "select w.user_id from rekindle.withdrawal as w"
            " where w.kind = 'erasure' and w.user_id is not null"
            " and not exists (select from rekindle.erasure as e where e.user_id = w.user_id)"
        ).fetchall()
    )
    if not rows:
        return
    standing = tombstones.standing()
    named = tombstones.by_hmac([user_id for (user_id,) in rows])
    again = [user_id for hashed, user_id in named.items() if hashed in standing]
    transact(
        lambda connection: connection.execute(
            "delete from rekindle.withdrawal where kind = 'erasure' and user_id = any(%s)", [again]
        )
    )


def delete_old_histories() -> int:
    """Delete published days that are older than `scores_keep_days`; returns how many rows."""
    return transact(
        lambda connection: sum(
            erasing.delete_old_history(connection, publication, settings().scores_keep_days)
            for publication in publications.declared()
        )
    )


def tell_tools(run_id: str) -> None:
    """Publish the feed anew. It is about today, or the day that it is about already."""
    today = transact(
        lambda connection: only_value(
            connection.execute(
                "select greatest((clock_timestamp() at time zone 'utc')::date, max(day)) from rekindle.freshness"
                " where table_name = %s",
                [FEED],
            )
        )
    )
    publishing.refresh({FEED}, today, run_id)


def _empty(connection: Connection, ids: list[str], run_id: str) -> dict[str, int]:
    """Empty, or delete, what is published of people: current rows and history."""
    at = publishing.take_turn(connection)
    emptied = {
        publication.target: erasing.empty(connection, publication, ids, run_id, at)
        for publication in publications.declared()
        if publication.table != FEED
    }
    return emptied | {
        answers.INPUTS: answers.forget(connection, ids),
        recommended.TABLE: recommended.forget(connection, ids),
        bids.TABLE: bids.forget(connection, ids),
    }


def _log(connection: Connection, hashed: str, step: str, detail: Mapping[str, Any]) -> None:
    connection.execute(
        "insert into rekindle.erasure_log (user_hmac, step, detail) values (%s, %s, %s)", [hashed, step, Jsonb(detail)]
    )
