"""
Taking permission away, within the hour and whatever the state of everything else; it never grants.

New consents, replies and erasures of the landing zone are read in plain Python and recorded in Postgres, then rows of the
published audiences are turned. Neither Spark nor dbt is needed, nor a lock on a table of the warehouse: scoring may be broken,
a day may wait for its delivery, a backfill may run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from rekindle.errors import CheckFailedError, InputError
from rekindle.landing.zone import LandingZone
from rekindle.permission import withdrawals
from rekindle.permission.constraints import ONLY_WHERE_ELIGIBLE
from rekindle.permission.withdrawals import NO_KEY, SOURCES, Context, digest_of
from rekindle.points import durable
from rekindle.postgres import clock, only_value, transact
from rekindle.publishing import amend
from rekindle.publishing.erasing import ERASED, REASON
from rekindle.publishing.publications import MEMBER
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from rekindle.landing.delivery import FoundFile, Part
    from rekindle.permission.withdrawals import Read
    from rekindle.postgres import Connection
    from rekindle.publishing.merge import Stamps
    from rekindle.publishing.publications import Publication, PublishedColumn

LOOK_BACK_DAYS = 7
"""The warehouse knows what was delivered up to the day that was published; of so many days before it, repeats are read, too."""


@dataclass
class Taken:
    """What was done at a time."""

    at: datetime
    files: int = 0
    """Files that were read: new ones, and those that have changed."""
    recorded: int = 0
    """Withdrawals that were not known before."""
    codes: Counter[str] = field(default_factory=Counter)
    """Rows that may not be sent to any more, by code."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Files of which not all could be used, and why."""

    @property
    def words(self) -> str:
        """What was done, for people."""
        turned = ", ".join(f"{count:,} {code}" for code, count in sorted(self.codes.items())) or "nobody"
        return (
            f"{self.files:,} files read, {self.recorded:,} opt-outs, withdrawals and erasures recorded; "
            f"not eligible any more: {turned}."
        )

    def refuse_unusable(self) -> None:
        """Raise CheckFailedError where a file could not be used whole: somebody has to look at it."""
        if self.unusable:
            listed = "; ".join(f"{path}: {why}" for path, why in self.unusable.items())
            raise CheckFailedError(
                f"Not all that takes permission away could be read. {listed}.",
                todo="Repair the file and deliver it again; the daily run's quarantine says which rows.",
                safe="All other opt-outs are published.",
                code="unreadable_opt_outs",
            )


def main(run_id: str, *, at: datetime | None = None, zone: LandingZone | None = None) -> Taken:
    """
    Record what new files take away, and publish it; rows whose time is over are turned, too.

    `at` is Postgres' time unless it is given. What lies in the landing zone of a time that is not over then is left for
    later, so that a simulated time knows nothing of its future.
    """
    done = Taken(at or transact(clock))
    zone = zone or LandingZone()
    for part, file in _new_files(zone, done):
        _take_in(zone, part, file, done)
    with durable("taking away"):
        amend(lambda connection, publication, stamps: _turn(connection, publication, stamps, done), run_id, at=at)
    return done


def _new_files(zone: LandingZone, done: Taken) -> Iterator[tuple[Part, FoundFile]]:
    """Yield the files that have not been read, or were other files then."""
    at = done.at
    published = transact(lambda c: only_value(c.execute("select min(day) from rekindle.permission_state")))
    since = min(published or at.date(), at.date()) - timedelta(days=LOOK_BACK_DAYS)
    known = _known()
    for source in SOURCES:
        for part, files in _found(zone, source, since, done):
            for file in files:
                if known.get((source, file.path)) != (file.size, file.modified_at):
                    yield part, file


def _found(zone: LandingZone, source: str, since: date, done: Taken) -> list[tuple[Part, list[FoundFile]]]:
    """Complete parts of a source whose time is over. Of one that cannot be looked at no other is held up."""
    try:
        return [(part, zone.files(part)) for part in zone.parts(source, since) if part.is_over_at <= done.at]
    except InputError as error:
        done.unusable[source] = error.code or error.what
        return []


def _known() -> Mapping[tuple[str, str], tuple[int, datetime]]:
    rows = transact(lambda c: c.execute("select source, path, size, modified_at from rekindle.read_file").fetchall())
    return {(source, path): (size, modified_at) for source, path, size, modified_at in rows}


def _take_in(zone: LandingZone, part: Part, file: FoundFile, done: Taken) -> None:
    """Record what a file takes away, and that it was read."""
    content = zone.content(part, file)
    digest = digest_of(content)
    read = withdrawals.read(file.name, content, Context(settings(), done.at, part, digest))
    done.files += 1
    with durable("withdrawals", part.source):
        is_news, recorded = transact(lambda connection: _record(connection, part, file, digest, read))
    done.recorded += recorded
    if read.why_unusable and is_news:
        done.unusable[f"{zone.folder(part.source, part.day)}/{_within(part, file)}"] = read.why_unusable


def _within(part: Part, file: FoundFile) -> str:
    return file.name if part.hour is None else f"hour={part.hour:02}/{file.name}"


def _record(connection: Connection, part: Part, file: FoundFile, digest: str, read: Read) -> tuple[bool, int]:
    """Say whether the file's content is new, and how many withdrawals are."""
    before = connection.execute(
        "select sha256 from rekindle.read_file where source = %s and path = %s", [part.source, file.path]
    ).fetchone()
    recorded = 0
    for one in read.withdrawals:
        recorded += connection.execute(
            """
            insert into rekindle.withdrawal (kind, source_id, at, user_id, phone_hmac) values (%s, %s, %s, %s, %s)
            on conflict do nothing
            """,
            [one.kind, one.source_id, one.at, one.user_id, one.phone_hmac],
        ).rowcount
    if NO_KEY not in read.unusable:  # else the file is read again when there is one
        _note(connection, part, file, digest, read)
    return before is None or before[0] != digest, recorded


def _note(connection: Connection, part: Part, file: FoundFile, digest: str, read: Read) -> None:
    """Remember a file that was read."""
    connection.execute(
        """
        insert into rekindle.read_file (source, path, size, modified_at, sha256, error)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (source, path) do update
        set (size, modified_at, sha256, error, read_at) =
            (excluded.size, excluded.modified_at, excluded.sha256, excluded.error, excluded.read_at)
        """,
        [part.source, file.path, file.size, file.modified_at, digest, read.why_unusable],
    )


def _turn(connection: Connection, publication: Publication, stamps: Stamps, done: Taken) -> int:
    """Turn rows that may not be sent to any more; of erased people nothing else is said either."""
    columns = publication.current_columns
    names = ", ".join([*(column.name for column in columns), "day", "run_id", "updated_at"])
    values = ", ".join([*(_turned(publication, column) for column in columns), "%(day)s", "%(run_id)s", "%(at)s"])
    rows = connection.execute(
        f"""
        with turned as (
            select
                a.user_id,
                case
                    when t.is_erased then 'erased'
                    when t.is_withdrawn then 'consent_withdrawn'
                    when t.is_shared then 'phone_shared_with_opted_out'
                    when coalesce(a.valid_until, f.valid_until) <= %(time)s then 'expired'
                end as code
            from {publication.target} as a
            left join rekindle.taken_away as t using (user_id)
            cross join (select valid_until from rekindle.freshness where table_name = %(table)s) as f
            where a.eligible_before_holdout or (t.is_erased and a.{REASON} <> '{ERASED}')
        )
        update {publication.target} as a set ({names}) = row({values})
        from turned as t
        where a.user_id = t.user_id and t.code is not null
        returning t.code
        """,
        {**stamps, "time": done.at, "table": publication.table},
    ).fetchall()
    done.codes += Counter(code for (code,) in rows)
    return len(rows)


def _turned(publication: Publication, column: PublishedColumn) -> str:
    """SQL of a column of a row that is turned."""
    if column.name == REASON:
        return "t.code"
    if column.name in {publication.permits, "eligible_before_holdout"}:
        return "false"
    if publication.since and column.name == publication.since.column:
        return "%(at)s"
    if column.name in ONLY_WHERE_ELIGIBLE:
        return f"null::{column.type}"
    of_the_erased = "false" if column.name == MEMBER else f"null::{column.type}"
    return f"case when t.code = '{ERASED}' then {of_the_erased} else a.{column.name} end"
