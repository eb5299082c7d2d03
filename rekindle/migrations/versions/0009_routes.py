"""By which route a version came through the gate, and each criterion with what was asked for and what was found."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

COLUMNS = """
alter table rekindle.gates
    add column route text,
    add column criteria jsonb not null default '[]',
    add column judged_digest text check (judged_digest ~ '^[0-9a-f]{64}$'),
    add column last_label_day date,
    add column run_id text,
    add column recorded_by text;
alter table rekindle.gates alter column recorded_by set default session_user;
comment on column rekindle.gates.route is 'Null of a version that was judged before there were routes.';
comment on column rekindle.gates.criteria is
    'Name, threshold, value, interval (low, high) and verdict (passed) of each, with a sentence (told).';
comment on column rekindle.gates.judged_digest is
    'Of the model that the figures are of. Another than digest where the same recipe was fitted again on all days.';
comment on column rekindle.gates.last_label_day is 'The last day whose label what scores has learnt.';
comment on column rekindle.gates.run_id is 'Of the training.';
"""


def upgrade() -> None:
    op.execute(COLUMNS)
