"""
What the metrics are and where they come from: a question to Postgres for each table, in one read-only transaction.

A question's columns are named after the labels and the metrics that they hold; a null is no sample.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row, dict_row

from rekindle.errors import InputError
from rekindle.metrics.exposition import Metric, Sample
from rekindle.postgres import refused
from rekindle.publishing import DUE_DAY
from rekindle.records import Gate, Promotion, standing, waiting_of
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rekindle.postgres import Connection

    Rows = Sequence[Mapping[str, Any]]

Row = TypeVar("Row")

UP = "rekindle_up"
IS_UP = "Whether Postgres answered: 1, or 0, and then nothing else is told."

PATIENCE_SECONDS = 5
"""Prometheus waits ten by default. Who answers later is not seen to be up, and must not pile up questions."""


@dataclass(frozen=True)
class About:
    """Metrics with the same labels, and what each is."""

    labels: tuple[str, ...]
    metrics: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """A query, and what is told of its rows."""

    sql: str
    about: tuple[About, ...]


PUBLISHED = Question(
    f"""
    select
        table_name as table,
        extract(epoch from day) as rekindle_published_day_timestamp_seconds,
        greatest({DUE_DAY} - day, 0) as rekindle_published_days_behind,
        (day >= {DUE_DAY})::int as rekindle_published_fresh,
        row_count as rekindle_published_rows,
        extract(epoch from published_at) as rekindle_published_timestamp_seconds,
        extract(epoch from valid_until) as rekindle_published_valid_until_timestamp_seconds
    from sms.freshness order by 1
    """,
    (
        About(
            ("table",),
            {
                "rekindle_published_day_timestamp_seconds": "Day that a published table is about: its first second, UTC.",
                "rekindle_published_days_behind": "Days by which a published table is older than it must be by now.",
                "rekindle_published_fresh": "Whether a published table is about the day that is due, or a later one.",
                "rekindle_published_rows": "Rows of a published table.",
                "rekindle_published_timestamp_seconds": "When a table was published.",
                "rekindle_published_valid_until_timestamp_seconds": "Until when a published table may be used.",
            },
        ),
    ),
)

CHANGED = Question(
    """
    select distinct on (product) product as publication, changed_count as rekindle_published_changed_rows
    from rekindle.publish_log where is_current order by product, publish_id desc
    """,
    (About(("publication",), {"rekindle_published_changed_rows": "Rows that the last publish has changed."}),),
)

RUNS = Question(
    """
    select
        kind,
        status,
        count(*) as rekindle_runs,
        (array_agg(extract(epoch from finished_at - started_at) order by started_at desc)
            filter (where finished_at is not null))[1] as rekindle_run_last_duration_seconds,
        extract(epoch from max(finished_at)) as rekindle_run_last_end_timestamp_seconds,
        extract(epoch from min(started_at) filter (where status = 'running')) as rekindle_run_running_since_timestamp_seconds
    from rekindle.run group by 1, 2 order by 1, 2
    """,
    (
        About(
            ("kind", "status"),
            {
                "rekindle_runs": "Runs on record by kind and status: running, done, failed, unchanged.",
                "rekindle_run_last_duration_seconds": "How long the last run took that ended so.",
                "rekindle_run_last_end_timestamp_seconds": "When the last run ended so.",
            },
        ),
        About(
            ("kind",),
            {"rekindle_run_running_since_timestamp_seconds": "Since when the oldest run runs; none where none does."},
        ),
    ),
)

STAGES = Question(
    # Stages of the last week: one that is no longer taken falls out, and a week without a day has other alarms.
    """
    select distinct on (stage)
        stage,
        seconds as rekindle_stage_duration_seconds,
        (status = 'failed')::int as rekindle_stage_failed,
        case when starts_with(stage, 'ingest ') and detail ? 'delivered' then substr(stage, 8) end as source,
        (detail ->> 'delivered')::bigint as rekindle_delivered_rows,
        (detail ->> 'loaded')::bigint as rekindle_loaded_rows,
        (detail ->> 'duplicates')::bigint as rekindle_duplicate_rows,
        (detail ->> 'quarantined')::bigint as rekindle_quarantined_rows
    from rekindle.stage
    where day > (select max(day) - 7 from rekindle.stage)
    order by stage, day desc, recorded_at desc
    """,
    (
        About(
            ("stage",),
            {
                "rekindle_stage_duration_seconds": "How long a step took when it was last taken; publish is one.",
                "rekindle_stage_failed": "Whether a step failed when it was last taken.",
            },
        ),
        About(
            ("source",),
            {
                "rekindle_delivered_rows": "Rows of a source's last delivery: loaded, duplicates and quarantined.",
                "rekindle_loaded_rows": "Rows that were loaded of a source's last delivery.",
                "rekindle_duplicate_rows": "Rows of a source's last delivery that repeat another of it.",
                "rekindle_quarantined_rows": "Rows of a source's last delivery that broke a rule, and were kept aside.",
            },
        ),
    ),
)

CHECKS = Question(
    """
    select
        severity,
        count(*) as rekindle_checks,
        count(*) filter (where outcome = 'failed') as rekindle_checks_failed,
        count(*) filter (where outcome = 'not_judged') as rekindle_checks_not_judged,
        extract(epoch from max(day)) as rekindle_checks_day_timestamp_seconds
    from (
        select distinct on (table_name, rule, severity) day, severity, outcome from rekindle.check_result
        where day = (select max(day) from rekindle.check_result)
        order by table_name, rule, severity, recorded_at desc
    ) as last_day
    group by 1 order by 1
    """,
    (
        About(
            ("severity",),
            {
                "rekindle_checks": "Checks of the last day that was checked; severity is stop or warn.",
                "rekindle_checks_failed": "Checks of the last day that failed. A failed stop has held up its table's release.",
                "rekindle_checks_not_judged": "Checks of the last day that had too little to go by.",
                "rekindle_checks_day_timestamp_seconds": "The last day that was checked: its first second, UTC.",
            },
        ),
    ),
)

AUDIENCE = Question(
    """
    select table_name as "table", code, users as rekindle_audience_users from rekindle.suppression
    where day = (select max(day) from rekindle.suppression) order by 1, 2
    """,
    (
        About(
            ("table", "code"),
            {
                "rekindle_audience_users": "Users of an audience by suppression code, or eligible, when it was published."
            },
        ),
    ),
)

QUESTIONS = (PUBLISHED, CHANGED, RUNS, STAGES, CHECKS, AUDIENCE)

CHAMPIONS = (
    About(("product", "version"), {"rekindle_champion": "1 for the version that scores a product's next day."}),
    About(
        ("product",),
        {
            "rekindle_champion_from_day_timestamp_seconds": "First day that a product's champion scores: its first second, UTC."
        },
    ),
)


WAITING = (
    About(
        ("product", "version"),
        {"rekindle_waiting_since_timestamp_seconds": "When the gate let a version pass that waits to be promoted."},
    ),
)


def names() -> list[str]:
    """Return the names of all metrics."""
    return [
        UP,
        *(
            name
            for abouts in (*(q.about for q in QUESTIONS), CHAMPIONS, WAITING)
            for about in abouts
            for name in about.metrics
        ),
    ]


def gather() -> list[Metric]:
    """Read all metrics; raises InputError where Postgres does not answer."""
    try:
        with psycopg.connect(settings().database_url, connect_timeout=PATIENCE_SECONDS) as connection:
            connection.read_only = True
            connection.execute("select set_config('statement_timeout', %s, true)", [f"{PATIENCE_SECONDS}s"])
            return [_up(1), *_asked(connection)]
    except psycopg.Error as error:
        raise refused(error) from error


def gather_or_down() -> list[Metric]:
    """Read all metrics; where that cannot be done, tell so by one metric, and why in the log."""
    try:
        return gather()
    except InputError as error:
        logging.getLogger(__name__).warning("%s", error)
        return [_up(0)]


def _up(value: int) -> Metric:
    return Metric(UP, IS_UP, (Sample(value),))


def _asked(connection: Connection) -> Iterable[Metric]:
    settled = {"fresh_by_hour": settings().fresh_by_hour}
    with connection.cursor(row_factory=dict_row) as cursor:
        for question in QUESTIONS:
            yield from told(cursor.execute(question.sql, settled).fetchall(), question.about)
    log = _rows(connection, Promotion, "rekindle.promotion order by promotion_id")
    yield from told(champions(log), CHAMPIONS)
    yield from told(waiting(log, _rows(connection, Gate, "rekindle.gates")), WAITING)


def _rows(connection: Connection, row: type[Row], source: str) -> list[Row]:
    columns = ", ".join(row.__dataclass_fields__)  # type: ignore[attr-defined]
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(f"select {columns} from {source}").fetchall()


def told(rows: Rows, abouts: Iterable[About]) -> list[Metric]:
    """Make metrics of a question's rows: a row has no sample of what is null in it, be it the figure or a label."""
    return [
        Metric(name, text, tuple(_samples(rows, about, name)))
        for about in abouts
        for name, text in about.metrics.items()
    ]


def _samples(rows: Rows, about: About, name: str) -> Iterable[Sample]:
    for row in rows:
        labels = {label: row[label] for label in about.labels}
        if row[name] is not None and None not in labels.values():
            yield Sample(float(row[name]), labels)


def champions(promotions: Sequence[Promotion]) -> list[dict[str, Any]]:
    """Return the champion of each product, by name: the last promotion that no rollback has withdrawn."""
    products = sorted({promotion.product for promotion in promotions})
    last = [standing([p for p in promotions if p.product == product])[-1:] for product in products]
    return [
        {
            "product": champion.product,
            "version": champion.version,
            "rekindle_champion": 1,
            "rekindle_champion_from_day_timestamp_seconds": _first_second(champion.effective_from_day),
        }
        for (champion,) in filter(None, last)
    ]


def waiting(log: Sequence[Promotion], gates: Sequence[Gate]) -> list[dict[str, Any]]:
    """Return of each product, by name, the version that passed its gate and waits for a person."""
    found = []
    for product in sorted({gate.product for gate in gates}):
        judged = {gate.version: gate for gate in gates if gate.product == product}
        gate = waiting_of([promotion for promotion in log if promotion.product == product], judged)
        if gate and gate.recorded_at:
            since = gate.recorded_at.timestamp()
            found.append(
                {"product": product, "version": gate.version, "rekindle_waiting_since_timestamp_seconds": since}
            )
    return found


def _first_second(day: date) -> float:
    return datetime.combine(day, time.min, UTC).timestamp()
