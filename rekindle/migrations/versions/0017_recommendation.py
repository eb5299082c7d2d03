"""What the service recommends from: the published day's lists and items, and keys that may ask for them."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"

RECOMMENDATION = """
create table if not exists serving.recommendation (
    kind text not null check (kind in ('users', 'items')),
    part integer not null,
    day date not null,
    model_name text not null,
    model_version text not null,
    model_digest text not null check (model_digest ~ '^[0-9a-f]{64}$'),
    rows bytea not null,
    primary key (kind, part)
);
-- It is compressed already.
alter table serving.recommendation alter column rows set storage external;
comment on table serving.recommendation is
    'What users are recommended on the published day, and what is known of its items, as Arrow. '
    'One row per some thousand users or items.';
"""


def upgrade() -> None:
    op.execute(RECOMMENDATION)
