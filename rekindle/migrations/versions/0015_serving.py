"""What the service answers from: schema `serving`, published with the scores, and the keys of those who may ask."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

SERVING = """
create schema if not exists serving;

create table if not exists serving.model (
    product text primary key,
    model_name text not null,
    model_version text not null,
    model_digest text not null check (model_digest ~ '^[0-9a-f]{64}$'),
    archive bytea not null,
    cut_points double precision[] not null check (cardinality(cut_points) = 100),
    day date not null,
    run_id text not null,
    published_at timestamptz not null
);
comment on table serving.model is
    'The models that scored the published day. One row per product that has a model.';
comment on column serving.model.archive is
    'Its native files in one archive: whoever reads them computes model_digest again.';
comment on column serving.model.cut_points is
    'The lowest raw score of each percentile of the day, from 1 to 100; NaN where nobody has it.';

create table if not exists serving.features (
    part integer primary key,
    day date not null,
    inputs bytea not null
);
-- It is compressed already.
alter table serving.features alter column inputs set storage external;
comment on table serving.features is
    'What the models of serving.model read of the users of the published day, as Arrow. One row per some thousand users.';

create table if not exists serving.api_key (
    key_id text primary key check (key_id ~ '^[a-z0-9]{8}$'),
    name text not null check (name <> ''),
    secret_sha256 text not null check (secret_sha256 ~ '^[0-9a-f]{64}$'),
    scopes text[] not null check (cardinality(scopes) > 0),
    created_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);
comment on table serving.api_key is
    'Who may ask the service for what. The key itself is shown once and kept nowhere: it is 256 random bits, so its SHA-256 '
    'tells nobody what it is. One row per key.';
"""


def upgrade() -> None:
    op.execute(SERVING)
