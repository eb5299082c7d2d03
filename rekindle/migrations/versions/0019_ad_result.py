"""What ads bought and who came back: the rows of marts.ad_results, kept here too for the daily report."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"

AD_RESULT = """
create table if not exists rekindle.ad_result (
    day date not null,
    strategy text not null,
    requests bigint not null check (requests > 0),
    won bigint not null,
    clicks bigint not null,
    users bigint not null,
    activated bigint not null,
    spend numeric(28, 6) not null,
    primary key (day, strategy)
);
comment on table rekindle.ad_result is
    'What dbt_project/models/marts/campaigns/ad_results.yml says of its columns.';
"""


def upgrade() -> None:
    op.execute(AD_RESULT)
