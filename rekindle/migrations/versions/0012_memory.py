"""For how long a lapsed user may have been away: as long as the setting `recall_memory_days` says, which was a year."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

AWAY = """
do $$
declare found record;
begin
    for found in
        select conrelid::regclass as at, conname from pg_constraint
        where connamespace = 'sms'::regnamespace and contype = 'c' and conparentid = 0 and coninhcount = 0
            and pg_get_constraintdef(oid) like '%lapsed_days%365%'
    loop
        execute format('alter table %s drop constraint %I', found.at, found.conname);
        execute format('alter table %s add check (lapsed_days >= 1)', found.at);
    end loop;
end $$
"""


def upgrade() -> None:
    op.execute(AWAY)
