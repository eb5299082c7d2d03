"""What Rekindle records about its runs: schema `rekindle`."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
create table rekindle.run (
    run_id text primary key,
    kind text not null,
    first_day date not null,
    last_day date not null check (last_day >= first_day),
    status text not null default 'running' check (status in ('running', 'done', 'failed')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    error text,
    dag_run_id text,
    check ((status = 'running') = (finished_at is null))
);
create index on rekindle.run (last_day, first_day);

create table rekindle.run_snapshot (
    run_id text not null references rekindle.run on delete cascade,
    table_name text not null,
    snapshot_id bigint not null,
    primary key (run_id, table_name, snapshot_id)
);
comment on table rekindle.run_snapshot is 'The Iceberg snapshots that a run read.';

create table rekindle.stage (
    run_id text not null references rekindle.run on delete cascade,
    day date not null,
    stage text not null,
    status text not null check (status in ('done', 'failed')),
    seconds double precision not null check (seconds >= 0),
    row_count bigint check (row_count >= 0),
    detail jsonb not null default '{}',
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (run_id, day, stage)
);
create index on rekindle.stage (day);

create table rekindle.check_result (
    run_id text not null references rekindle.run on delete cascade,
    day date not null,
    table_name text not null,
    rule text not null,
    severity text not null check (severity in ('stop', 'warn')),
    outcome text not null check (outcome in ('passed', 'failed', 'not_judged')),
    failed_rows bigint check (failed_rows >= 0),
    detail jsonb not null default '{}',
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (run_id, day, table_name, rule, severity)
);
create index on rekindle.check_result (day);

create table rekindle.build (
    table_name text not null,
    day date not null,
    build_id text not null,
    run_id text not null,
    snapshot_id bigint,
    built_at timestamptz not null default clock_timestamp(),
    primary key (table_name, day)
);
comment on table rekindle.build is 'The build that each released partition comes from. Outlives the record of its run.';

create table rekindle.build_input (
    table_name text not null,
    day date not null,
    input text not null,
    from_day date not null,
    to_day date not null check (to_day >= from_day),
    fingerprint text not null,
    primary key (table_name, day, input),
    foreign key (table_name, day) references rekindle.build on delete cascade
);
comment on table rekindle.build_input is
    'What a partition was built from. An input whose fingerprint is another today makes the partition stale.';

create table rekindle.promotion (
    promotion_id bigint generated always as identity primary key,
    product text not null,
    version text not null,
    digest text not null,
    effective_from_day date not null,
    reason text not null,
    run_id text not null,
    promoted_at timestamptz not null default clock_timestamp(),
    -- The same promotion, told again after a lost connection, is one promotion.
    unique (product, version, digest, effective_from_day, run_id)
);

create table rekindle.publish_log (
    publish_id bigint generated always as identity primary key,
    day date not null,
    run_id text not null,
    product text not null,
    is_current boolean not null,
    row_count bigint not null,
    changed_count bigint not null,
    content_digest text not null,
    published_at timestamptz not null
);
create index on rekindle.publish_log (product, day);
create index on rekindle.publish_log (published_at);
comment on column rekindle.publish_log.is_current is
    'Whether the current rows were published, or history only: a backfill, or a day older than the current one.';
comment on column rekindle.publish_log.published_at is 'The updated_at of each row that this publish changed.';
"""


def upgrade() -> None:
    op.execute(TABLES)
