"""What users did with what they were shown: the rows of marts.channel_responses, kept here too for the daily report."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

CHANNEL_RESPONSE = """
create table if not exists rekindle.channel_response (
    day date not null,
    channel text not null,
    measure text not null check (measure in ('ctr', 'cvr', 'stay_seconds')),
    users bigint not null check (users > 0),
    per double precision not null,
    y double precision not null,
    uu double precision not null,
    uy double precision not null,
    yy double precision not null,
    primary key (day, channel, measure)
);
comment on table rekindle.channel_response is
    'What dbt_project/models/marts/campaigns/channel_responses.yml says of its columns.';
"""


def upgrade() -> None:
    op.execute(CHANNEL_RESPONSE)
