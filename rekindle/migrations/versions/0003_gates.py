"""What the gate said of each version of a model: `rekindle.gates`, which scoring and promoting believe, and nothing else."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
create table rekindle.gates (
    product text not null,
    version text not null,
    digest text not null check (digest ~ '^[0-9a-f]{64}$'),
    passed boolean not null,
    why text not null,
    figures jsonb not null,
    sample_digest text,
    trained_day date not null,
    from_tags boolean not null default false,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (product, version)
);
comment on column rekindle.gates.digest is 'Of the bytes that were judged.';
comment on column rekindle.gates.sample_digest is 'Of the rows it was trained and judged on; null where from_tags.';
comment on column rekindle.gates.from_tags is 'Registered before this table was there, and taken over from MLflow once.';

create function rekindle.refuse_change() returns trigger language plpgsql as $$
begin
    raise insufficient_privilege using message = 'rows of rekindle.' || tg_table_name || ' are only ever added';
end
$$;
create trigger only_ever_added before update or delete on rekindle.gates
for each row execute function rekindle.refuse_change();

create table rekindle.gates_taken_over (
    taken_over_at timestamptz not null default clock_timestamp()
);
create unique index on rekindle.gates_taken_over ((true));
comment on table rekindle.gates_taken_over is
    'A row: the verdicts that were tags in MLflow only are taken over, or there were none. This happens once.';
-- Training records a run: where nothing has run there is no version, and whatever tag comes later is not ours.
insert into rekindle.gates_taken_over (taken_over_at) select clock_timestamp() where not exists (select from rekindle.run);
"""


def upgrade() -> None:
    op.execute(TABLES)
