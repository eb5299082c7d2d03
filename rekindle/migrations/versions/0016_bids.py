"""What the service answers auctions from: the devices that are bid for, published with the scores."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

BIDS = """
create table if not exists serving.rta_bids (
    part integer primary key,
    day date not null,
    valid_until timestamptz not null,
    bids bytea not null
);
-- It is compressed already.
alter table serving.rta_bids alter column bids set storage external;
comment on table serving.rta_bids is
    'Devices that ads are bid for and their control group, by hashes of their ids, with strategy and multiplier, as Arrow: '
    'rekindle.publishing.bids. One row per some thousand devices.';

alter table rekindle.erasure add column if not exists id_hashes text[] not null default '{}';
comment on column rekindle.erasure.id_hashes is
    'Of the devices that were found of the user alone: an erasure that begins again finds no device any more.';
"""


def upgrade() -> None:
    op.execute(BIDS)
