"""Who promoted a version, a log that nobody can rewrite, and which version's raw scores a recalibrated one has."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS = """
alter table rekindle.promotion add column promoted_by text;
alter table rekindle.promotion alter column promoted_by set default session_user;
comment on column rekindle.promotion.promoted_by is
    'The account of Postgres that did it; null of what was promoted before that was kept.';
create trigger only_ever_added before update or delete on rekindle.promotion
for each row execute function rekindle.refuse_change();

alter table rekindle.gates add column recalibrates text;
comment on column rekindle.gates.recalibrates is
    'The version whose raw scores it has, of one of which only the calibration is new; null of one that was trained.';
"""


def upgrade() -> None:
    op.execute(COLUMNS)
