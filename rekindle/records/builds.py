"""What released partitions of tables are built from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from psycopg.rows import dict_row

from rekindle.postgres import only_value, transact
from rekindle.records.rows import insert_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from rekindle.days import Days
    from rekindle.postgres import Connection


@dataclass(frozen=True)
class Input:
    """The days of an input that a partition used, or looked for, and their state at that time."""

    from_day: date
    to_day: date
    fingerprint: str


@dataclass(frozen=True)
class Build:
    """Where a released partition comes from."""

    table: str
    day: date
    build_id: str
    run_id: str
    snapshot_id: int | None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    made_by: str | None = None
    """Digest of the code, contracts and settings that made it; None of what was built before that was recorded."""
    built_at: datetime | None = None


def record_builds(builds: Iterable[Build]) -> None:
    """Record where partitions come from, all or none, instead of what was recorded of them before."""
    builds = list(builds)

    def work(connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "delete from rekindle.build where table_name = %s and day = %s", [(b.table, b.day) for b in builds]
            )
        insert_many(
            connection,
            "rekindle.build (table_name, day, build_id, run_id, snapshot_id, made_by)",
            [(b.table, b.day, b.build_id, b.run_id, b.snapshot_id, b.made_by) for b in builds],
        )
        insert_many(
            connection,
            "rekindle.build_input (table_name, day, input, from_day, to_day, fingerprint)",
            [
                (b.table, b.day, name, used.from_day, used.to_day, used.fingerprint)
                for b in builds
                for name, used in b.inputs.items()
            ],
        )

    transact(work)


def doubt_builds(table: str, days: Days) -> None:
    """Record, before other rows take their place, that nobody knows any more what made some days of a table."""
    transact(
        lambda connection: connection.execute(
            "update rekindle.build set made_by = null where table_name = %s and day = any(%s)", [table, list(days)]
        )
    )


def builds(table: str, first_day: date, last_day: date) -> dict[date, Build]:
    """Find the builds of a table's partitions from `first_day` to `last_day`, both included."""

    def work(connection: Connection) -> dict[date, Build]:
        rows = connection.cursor(row_factory=dict_row).execute(
            """
            select b.table_name as table, b.day, b.build_id, b.run_id, b.snapshot_id, b.made_by, b.built_at,
                i.input, i.from_day, i.to_day, i.fingerprint
            from rekindle.build as b left join rekindle.build_input as i using (table_name, day)
            where b.table_name = %s and b.day between %s and %s
            order by b.day, i.input
            """,
            [table, first_day, last_day],
        )
        found: dict[date, Build] = {}
        for row in rows:
            name, used = row.pop("input"), Input(row.pop("from_day"), row.pop("to_day"), row.pop("fingerprint"))
            build = found.setdefault(row["day"], Build(**row, inputs={}))
            if name is not None:
                found[row["day"]] = replace(build, inputs={**build.inputs, name: used})
        return found

    return transact(work)


def last_served(table: str) -> date | None:
    """The last day of a score table that a daily run has scored and published."""

    def work(connection: Connection) -> date | None:
        found = connection.execute(
            """
            select max(day) from rekindle.build join rekindle.run using (run_id)
            where table_name = %s and kind = 'daily' and status = 'done'
            """,
            [table],
        )
        return only_value(found)

    return transact(work)
