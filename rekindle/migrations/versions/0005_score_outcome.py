"""What came true of scores: the rows of marts.score_outcomes, kept here too for the daily report."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
create table rekindle.score_outcome (
    day date not null,
    product text not null,
    label text not null,
    scored_on date not null,
    decile integer not null,
    is_backfilled boolean not null,
    users bigint not null,
    predicted double precision not null,
    actual double precision not null,
    squared_error double precision not null,
    primary key (product, day, label, scored_on, decile)
);
create index on rekindle.score_outcome (day);
comment on table rekindle.score_outcome is 'What dbt_project/models/marts/outcomes/score_outcomes.yml says of its columns.';
"""


def upgrade() -> None:
    op.execute(TABLES)
