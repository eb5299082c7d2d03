"""
Publishing: the scores of a day become what SMS tools read, in one Postgres transaction.

What is published where is declared (`publications`): this package loops over the declarations and knows none by name.

A publish has the tables to itself from taking the publish lock to its commit, and is stamped in between: tools that
follow `updated_at` miss no change.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from rekindle import permission
from rekindle.errors import CheckFailedError, InputError
from rekindle.points import durable
from rekindle.postgres import only_value, transact
from rekindle.publishing import answers, bids, merge, publications
from rekindle.publishing import recommended as recommending
from rekindle.publishing.judging import judge
from rekindle.publishing.spooling import spool, stage
from rekindle.records import is_soft, passed_over, record_checks, stops
from rekindle.settings import settings
from rekindle.warehouse.checks import how_to_accept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date, datetime

    import pyarrow as pa

    from rekindle.permission import Given
    from rekindle.postgres import Connection
    from rekindle.publishing.answers import Material
    from rekindle.publishing.merge import Stamps
    from rekindle.publishing.publications import Publication
    from rekindle.publishing.recommended import Recommended
    from rekindle.publishing.spooling import Spooled
    from rekindle.records import CheckResult


class ScoreProduct(Protocol):
    """What this package wants to know of a product: its name, and the table whose contract says what is published."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> str: ...


Scored = TypeVar("Scored", bound=ScoreProduct)


@dataclass(frozen=True)
class Published:
    """What a publish did with a publication."""

    name: str
    table: str
    row_count: int
    """Rows that were given, or that a query's table has."""
    changed_count: int
    """Current rows that are new, have other content, or left the population."""
    current_day: date | None
    """The day that the current rows are about."""
    is_current: bool
    """Whether the current rows were published, or history only: a backfill, or a day older than `current_day`."""


@dataclass(frozen=True)
class PublishResult:
    day: date
    published_at: datetime
    """The `updated_at` of all rows that this publish changed."""
    products: tuple[Published, ...]
    """What was published of what was given, or of the queries that were asked for."""

    @property
    def row_count(self) -> int:
        return sum(published.row_count for published in self.products)


def publish(
    scores: Mapping[Scored, pa.Table | pa.RecordBatchReader],
    day: date,
    run_id: str,
    *,
    backfill: bool = False,
    given: Given | None = None,
    material: Material | None = None,
    recommended: Recommended | None = None,
    decided: pa.RecordBatchReader | None = None,
    at: datetime | None = None,
) -> PublishResult:
    """
    Publish the scores of `day`: current rows, history, what is made of them and freshness change together or not at all.

    A backfill, and a day older than the current rows, changes history only. Raises CheckFailedError, and publishes
    nothing, when a rule of a contract is broken. A reader is read once, in the order of the key. `given` is what the day
    knows of permission; without it nobody gains any. `material` is what the service answers from; without it there is none of
    a day that becomes current. `recommended` is what the service recommends from. `decided` are the devices that ads are bid for;
    without them those of before stay until they run out. `at` is the time that queries go by: Postgres' own unless it is given.
    """
    judged: dict[str, list[CheckResult]] = {}
    attempts = 0
    with ExitStack() as files:
        spooled = [
            files.enter_context(spool(publications.of_table(product.table), rows)) for product, rows in scores.items()
        ]
        known = files.enter_context(permission.spooled(given)) if given else None
        answered = files.enter_context(answers.spooled(material)) if material else answers.NOTHING
        shown = files.enter_context(recommending.spooled(recommended)) if recommended else recommending.NOTHING
        offered = files.enter_context(bids.spooled(decided)) if decided else None

        def work(connection: Connection) -> PublishResult:
            nonlocal attempts
            attempts += 1
            published_at = take_turn(connection)
            if attempts > 1 and (before := _logged(connection, spooled, day, run_id)):
                return before  # the answer to the first attempt got lost, its commit did not
            for one in spooled:
                stage(connection, one)
                _leave_out_erased(connection, one)
                target = one.publication.target
                judged[target] = passed_over(target, list(judge(connection, one, day)), connection)
            _refuse(day, judged)
            stamps = {"day": day, "run_id": run_id, "at": published_at}
            with durable("scores within a publish"):
                done = tuple(_publish_scores(connection, one, stamps, backfill=backfill) for one in spooled)
            current = {p.table for p in done if p.is_current}
            if known and current & {f"sms.{table}" for table in publications.leaders()}:
                permission.load(connection, known, day)
            if current:
                answers.load(connection, answered, stamps)
                recommending.load(connection, shown, stamps)
                if offered:
                    bids.load(connection, offered, stamps)
            with durable("what follows within a publish"):
                _follow(connection, current, stamps, at)
            return PublishResult(day, published_at, done)

        try:
            with durable("publish"):
                return _transact(work, day)
        finally:
            for table, results in judged.items():
                record_checks(run_id, day, table, results)


def refresh(tables: Collection[str], day: date, run_id: str, *, at: datetime | None = None) -> PublishResult:
    """
    Publish what comes from queries by itself, without scores; tables are named as in schema `sms`, without it.

    A table that is of no other is about `day` then, and is left as it is if it is about a later one. `at` as in `publish`.
    """
    # Needs no look at the log after a lost answer: done twice, the second changes nothing.
    return _transact(lambda connection: refresh_within(connection, tables, day, run_id, at=at), day)


def refresh_within(
    connection: Connection, tables: Collection[str], day: date, run_id: str, *, at: datetime | None = None
) -> PublishResult:
    """Do what `refresh` does in the caller's transaction: what the caller wrote, and what is published of it, are one."""
    by_table = {p.table: p for p in publications.declared() if p.query is not None}
    if unknown := set(tables) - set(by_table):
        raise InputError(
            f"{', '.join(sorted(unknown))} is published from no query.",
            todo=f"Choose from: {', '.join(by_table)}.",
            safe="Nothing was published.",
        )
    published_at = take_turn(connection)
    stamps = {"day": day, "run_id": run_id, "at": published_at}
    wanted = [publication for table, publication in by_table.items() if table in tables]
    done = tuple(_publish_query(connection, publication, stamps, at) for publication in wanted)
    _follow(connection, {p.table for p in done if p.is_current}, stamps, at)
    return PublishResult(day, published_at, done)


def amend(change: Callable[[Connection, Publication, Stamps], int], run_id: str, *, at: datetime | None = None) -> None:
    """
    Change rows of what says who may be sent to, in a turn of its own; what is made of them follows.

    `change` is told the publication and its stamps and returns how many rows it has changed. Which day the table is about,
    and until when it may be used, stays.
    """

    def work(connection: Connection) -> None:
        published_at = take_turn(connection)
        for publication in publications.declared():
            day = merge.current_day(connection, publication.table) if publication.permits else None
            if day is not None:
                stamps = {"day": day, "run_id": run_id, "at": published_at}
                if change(connection, publication, stamps):
                    merge.note_change(connection, publication, stamps)
                    _follow(connection, {publication.target}, stamps, at)

    transact(work)


def history_of(product: ScoreProduct, day: date, *, user_id: str | None = None, limit: int) -> list[dict[str, Any]]:
    """Return what was published of a product for a day, the best scores first; of one user where one is named."""
    publication = publications.of_table(product.table)
    ranks = [name for name in ("percentile", publication.headline) if name in {c.name for c in publication.columns}]
    query = sql.SQL(
        "select * from {} where day = %s and (%s::text is null or user_id = %s) order by {} limit %s"
    ).format(
        sql.Identifier(*publication.history_target.split(".")),
        sql.SQL(", ").join(
            [
                *(sql.SQL("{} desc").format(sql.Identifier(name)) for name in ranks),
                *map(sql.Identifier, publication.key),
            ]
        ),
    )

    def work(connection: Connection) -> list[dict[str, Any]]:
        return connection.cursor(row_factory=dict_row).execute(query, [day, user_id, user_id, limit]).fetchall()

    return transact(work)


def freshness() -> list[dict[str, Any]]:
    """Return a row per published table: which day it is about, until when it may be used."""
    query = (
        "select table_name, day, row_count, published_at, valid_until, status from sms.freshness order by table_name"
    )
    return transact(lambda connection: connection.cursor(row_factory=dict_row).execute(query).fetchall())


def renewed_by(done: PublishResult) -> list[dict[str, Any]]:
    """Return a row per table whose current rows a publish has renewed: its name, which day it is about, and its rows."""
    query = "select table_name, day, row_count from rekindle.freshness where published_at = %s order by table_name"
    return transact(
        lambda connection: connection.cursor(row_factory=dict_row).execute(query, [done.published_at]).fetchall()
    )


def days_published() -> dict[str, date]:
    """Return the day that each published table is about."""
    return {row["table_name"]: row["day"] for row in freshness()}


def due_day() -> date:
    """
    Return the day that must be published by now, by Postgres' clock.

    That is yesterday from `fresh_by_hour` on, and the day before until then.
    """
    by = {"fresh_by_hour": settings().fresh_by_hour}
    return transact(lambda connection: only_value(connection.execute(f"select {DUE_DAY}", by)))


DUE_DAY = "(((clock_timestamp() - make_interval(hours => %(fresh_by_hour)s)) at time zone 'utc')::date - 1)"
"""The day of `due_day`, for questions that compare with it."""


# One transaction


def _transact(work: Callable[[Connection], PublishResult], day: date) -> PublishResult:
    try:
        return transact(work)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # Postgres' own text quotes the row, and with it the user.
        rule = error.diag.constraint_name or type(error).__name__
        raise _refusal(day, f"{error.diag.table_name or 'the staged scores'} broke {rule}") from None
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
        raise InputError(
            f"Postgres has not all that is declared to be published: {error.diag.message_primary}.",
            todo="Bring its tables up to date: rekindle migrate",
            safe="Nothing was published: readers keep what they had.",
        ) from error


def take_turn(connection: Connection) -> datetime:
    """Wait until no one else publishes; stamp this publish later than every one before, whatever the clock does."""
    try:
        connection.execute("select pg_advisory_xact_lock(hashtextextended('rekindle publish', 0))")
    except psycopg.errors.LockNotAvailable as error:
        raise InputError(
            "Another process is publishing.", todo="Wait for it to end and run again.", code="already_running"
        ) from error
    # All joins here are of whole tables. Postgres has no statistics yet of what was just written, and a nested loop
    # that it believes to be short takes minutes for 60,000 rows.
    connection.execute("set local enable_nestloop to off")
    # One publishes at a time, so its hash tables and sorts may be larger than everybody's.
    connection.execute("set local work_mem to '128MB'")
    ((published_at,),) = connection.execute(
        """
        select greatest(clock_timestamp(), max(published_at) + interval '1 microsecond')
        from (
            select max(published_at) as published_at from rekindle.publish_log
            union all select max(published_at) from rekindle.freshness
        ) as before
        """
    )
    return published_at


def _leave_out_erased(connection: Connection, spooled: Spooled) -> None:
    """Leave out who was erased after the scores were read: they would come back."""
    if "user_id" in spooled.publication.key:
        connection.execute(
            f"delete from {spooled.publication.staging} where user_id in (select user_id from rekindle.erasure)"
        )


def _refuse(day: date, judged: Mapping[str, Sequence[CheckResult]]) -> None:
    failed = [(table, r) for table, results in judged.items() for r in results if stops(r)]
    if failed:
        raise _refusal(
            day,
            "; ".join(
                f"{table}: {r.rule}, " + (f"{r.failed_rows} rows" if r.failed_rows else _seen(r)) for table, r in failed
            ),
            "".join(how_to_accept(table, [r]) for table, r in failed) if all(is_soft(r) for _, r in failed) else "",
        )


def _seen(result: CheckResult) -> str:
    """The figures of a check about all rows."""
    return ", ".join(
        f"{name} {result.detail[name]:g}" for name in ("rows", "median", "change") if name in result.detail
    )


def _refusal(day: date, what: str, how_to_accept: str = "") -> CheckFailedError:
    return CheckFailedError(
        f"The scores of {day} are not fit to be published. {what}.",
        todo=f"Find out which stage made them so, repair it, and run the day again.{how_to_accept}",
        safe="Nothing was published: readers keep what they had.",
        code="check_failed",
    )


def _publish_scores(connection: Connection, spooled: Spooled, stamps: Stamps, *, backfill: bool) -> Published:
    publication = spooled.publication
    current_day = merge.current_day(connection, publication.table)
    is_current = not backfill and (current_day is None or stamps["day"] >= current_day)
    if publication.history:
        merge.merge_history(connection, publication, stamps)
    changed_count = 0
    if is_current:
        current_day = stamps["day"]
        changed_count = merge.merge_scores(connection, publication, stamps)
        merge.renew(connection, publication, stamps)
    row_count = merge.count(connection, publication.staging)
    connection.execute(
        """
        insert into rekindle.publish_log
            (day, run_id, product, is_current, row_count, changed_count, content_digest, published_at)
        values (%(day)s, %(run_id)s, %(name)s, %(is_current)s, %(row_count)s, %(changed_count)s, %(digest)s, %(at)s)
        """,
        {
            **stamps,
            "name": publication.name,
            "is_current": is_current,
            "row_count": row_count,
            "changed_count": changed_count,
            "digest": spooled.digest,
        },
    )
    return Published(publication.name, publication.target, row_count, changed_count, current_day, is_current)


def _publish_query(connection: Connection, publication: Publication, stamps: Stamps, at: datetime | None) -> Published:
    """Bring a query's table up to date; it is about the day of what it is of, else about the day of the publish."""
    current_day = merge.current_day(connection, publication.table)
    day = merge.current_day(connection, publication.of) if publication.of else stamps["day"]
    if day is None or (current_day is not None and day < current_day):
        return Published(publication.name, publication.target, 0, 0, current_day, is_current=False)
    asked = {**_settings(), **stamps, "time": at or stamps["at"], "table_day": day}
    if publication.permits is not None:
        permission.decide_beforehand(connection, str(publication.query), asked)
    changed_count = merge.merge_query(connection, publication, asked)
    row_count = merge.renew(connection, publication, {**stamps, "day": day})
    return Published(publication.name, publication.target, row_count, changed_count, day, is_current=True)


def _settings() -> dict[str, Any]:
    """Settings as parameters of queries."""
    return {name: value for name, value in settings() if isinstance(value, bool | int | float | str)}


def _follow(connection: Connection, changed: Collection[str], stamps: Stamps, at: datetime | None = None) -> None:
    """Bring up to date what is made of tables that changed, and what is made of that."""
    changed = set(changed)
    for publication in publications.declared():
        reads = {f"sms.{table}" for table in publication.reads}
        if changed & reads and _publish_query(connection, publication, stamps, at).is_current:
            changed.add(publication.target)


def _logged(connection: Connection, spooled: Sequence[Spooled], day: date, run_id: str) -> PublishResult | None:
    """Find this very publish in the log: whether a commit arrived whose answer was lost."""
    products = []
    published_at = None
    for one in spooled:
        publication = one.publication
        row = connection.execute(
            """
            select row_count, changed_count, is_current, published_at from rekindle.publish_log
            where day = %s and run_id = %s and product = %s and content_digest = %s
            order by publish_id desc limit 1
            """,
            [day, run_id, publication.name, one.digest],
        ).fetchone()
        if row is None:
            return None
        row_count, changed_count, is_current, published_at = row
        current_day = merge.current_day(connection, publication.table)
        products.append(
            Published(publication.name, publication.target, row_count, changed_count, current_day, is_current)
        )
    return PublishResult(day, published_at, tuple(products)) if published_at else None
