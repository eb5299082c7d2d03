"""What a person has accepted: a check that would have stopped a day, of one table, for that day."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = """
create table rekindle.acceptance (
    acceptance_id bigint generated always as identity primary key,
    table_name text not null,
    condition text not null,
    day date not null,
    moved double precision not null check (moved >= 0),
    accepted_by text not null check (accepted_by <> ''),
    because text not null check (because <> ''),
    accepted_at timestamptz not null default clock_timestamp()
);
create index on rekindle.acceptance (table_name, day);
comment on table rekindle.acceptance is
    'A row: a person let a check of a table pass for a day, of those alone that compare a day with days before it.';
comment on column rekindle.acceptance.condition is 'As the contract names it, with its column: mean_moves_by.raw_score.';
comment on column rekindle.acceptance.moved is 'By how much the day had moved then. A larger move stops it again.';
create trigger only_ever_added before update or delete on rekindle.acceptance
for each row execute function rekindle.refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
