"""What the daily report said of each day, in figures: what the index page over all days is made of."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
create table rekindle.reported_day (
    day date primary key,
    run_id text not null,
    kind text not null,
    severity text not null check (severity in ('failed', 'warned', 'open', 'passed')),
    headline text not null,
    failed_checks integer not null check (failed_checks >= 0),
    warnings integer not null check (warnings >= 0),
    seconds double precision not null check (seconds >= 0),
    at_stake numeric,
    published jsonb not null,
    reported_at timestamptz not null default clock_timestamp()
);
comment on table rekindle.reported_day is
    'A row per day that has a report, as its last one said. Reports are files: this is what lists them.';
comment on column rekindle.reported_day.seconds is 'Of all stages of the run, added up.';
comment on column rekindle.reported_day.at_stake is 'Value at stake of all users of the day; null where nobody has one.';
comment on column rekindle.reported_day.published is
    'By publication: rows of the day and, of its headline figure, name, kind and mean.';
"""


def upgrade() -> None:
    op.execute(TABLES)
