"""
What is published is declared: histories become partitioned by month, and the audience's query stands in its publication.

A history keeps its name, columns, keys, rights and comments; its months are tables in schema `rekindle`, which readers do
not see. Only this page knows of histories that are not partitioned.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

PARTITION_HISTORIES = """
do $$
declare
    history record;
    part record;
    old name;
begin
    for history in
        select oid, relname, relowner, relacl, obj_description(oid, 'pg_class') as words from pg_class
        where relnamespace = 'sms'::regnamespace and relkind = 'r' and relname like '%\\_history'
    loop
        old := history.relname || '_whole';
        execute format('lock table sms.%I in access exclusive mode', history.relname);
        -- The new table's indexes take the names of the old one's.
        for part in
            select relname from pg_index join pg_class on pg_class.oid = indexrelid where indrelid = history.oid
        loop
            execute format('alter index sms.%I rename to %I', part.relname, part.relname || '_whole');
        end loop;
        execute format('alter table sms.%I rename to %I', history.relname, old);
        execute format(
            'create table sms.%I (like sms.%I including all) partition by range (day)', history.relname, old
        );
        for part in execute format('select distinct date_trunc(''month'', day)::date as month from sms.%I', old) loop
            execute format(
                'create table rekindle.%I partition of sms.%I for values from (%L) to (%L)',
                history.relname || to_char(part.month, '_YYYY_MM'), history.relname,
                part.month, (part.month + interval '1 month')::date
            );
        end loop;
        execute format('insert into sms.%I select * from sms.%I', history.relname, old);
        for part in
            select grantee, privilege_type, is_grantable from aclexplode(history.relacl)
            where grantee <> history.relowner
        loop
            execute format(
                'grant %s on sms.%I to %s%s', part.privilege_type, history.relname,
                case when part.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(part.grantee)) end,
                case when part.is_grantable then ' with grant option' else '' end
            );
        end loop;
        if history.words is not null then
            execute format('comment on table sms.%I is %L', history.relname, history.words);
        end if;
        execute format('drop table sms.%I', old);
    end loop;
end
$$
"""

COMMENTS = """
drop view rekindle.audience;
comment on column rekindle.publish_log.product is 'The name of the publication.';
comment on view sms.freshness is 'Which day each table is about and until when it may be used. One row per table.';
comment on column sms.freshness.table_name is 'The table, in schema sms.';
comment on column sms.freshness.day is 'The day that the table is about.';
comment on column sms.freshness.row_count is 'All its rows.';
comment on column sms.freshness.published_at is 'When it was published.';
comment on column sms.freshness.valid_until is 'Until when it may be used.';
comment on column sms.freshness.status is 'current, or expired: valid_until is over.';
"""


def upgrade() -> None:
    # A history of years takes as long as it takes.
    op.execute("set local statement_timeout to 0")
    op.execute(PARTITION_HISTORIES)
    op.execute(COMMENTS)
