"""What made a partition is recorded, and a run that found nothing to do is called so."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

UNCHANGED = """
alter table rekindle.build add column if not exists made_by text;
comment on column rekindle.build.made_by is
    'Digest of the code, contracts and settings that made it. Where it is another now, a run of the day builds it again.';
alter table rekindle.run
    drop constraint if exists run_status_check,
    add constraint run_status_check check (status in ('running', 'done', 'failed', 'unchanged'));
"""


def upgrade() -> None:
    op.execute(UNCHANGED)
