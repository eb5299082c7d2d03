"""What may be said of where an uplift comes from: until now an experiment was all or nothing."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

STATUS = """
do $$
declare rule text;
begin
    -- A database without the column gets the rule with it.
    if not exists (select from pg_attribute where attrelid = to_regclass('sms.audience') and attname = 'uplift_status') then
        return;
    end if;
    for rule in
        select conname from pg_constraint
        where conrelid = 'sms.audience'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%uplift_status%'
    loop
        execute format('alter table sms.audience drop constraint %I', rule);
    end loop;
    alter table sms.audience add check (
        uplift_status in ('no_experiment', 'not_believed', 'not_shown', 'average', 'modelled')
    );
end $$
"""


def upgrade() -> None:
    op.execute(STATUS)
