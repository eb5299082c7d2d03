"""Suppression codes are counted by table: since new users have an audience of their own, more than one table permits."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

BY_TABLE = """
alter table rekindle.suppression add column if not exists table_name text not null default 'sms.audience';
alter table rekindle.suppression
    alter column table_name drop default,
    drop constraint suppression_pkey,
    add primary key (day, table_name, code);
comment on table rekindle.suppression is
    'How many rows of a table that permits had each suppression code when a day was published; eligible where they had none.';
"""


def upgrade() -> None:
    op.execute(BY_TABLE)
