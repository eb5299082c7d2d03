"""
What SMS tools read: schema `sms` and the role `sms_reader`.

A column is here when it has a value, or when its null says something; the others of the plan come with what fills them.
The tables only ever gain columns. `user_id` is compared by bytes: its order does not depend on the server's locale.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

KEY = "user_id text collate \"C\" not null check (user_id <> '')"

TRACE = """
    schema_version integer not null default 1,
    day date not null,
    run_id text not null,
    updated_at timestamptz not null
"""

RANK_AND_MODEL = """
    percentile integer check (percentile between 1 and 100),
    decile integer check (decile between 1 and 10),
    reason_1 text,
    reason_2 text,
    reason_3 text,
    other_contribution numeric(18,2),
    model_name text,
    model_version text,
    model_digest text check (model_digest ~ '^[0-9a-f]{64}$')
"""
RANK_AND_MODEL_NAMES = "percentile, decile, other_contribution, model_name, model_version, model_digest"

RECALL = f"""
    return_probability numeric(4,3) check (return_probability between 0 and 1),
    lapsed_days integer check (lapsed_days > 0),
    horizon_days integer check (horizon_days > 0),
    {RANK_AND_MODEL}
"""
RECALL_NAMES = f"return_probability, lapsed_days, horizon_days, {RANK_AND_MODEL_NAMES}"


def horizon(days: int) -> str:
    return f"""
    ltv_{days} numeric(18,2),
    ltv_{days}_status text check (ltv_{days}_status in ('modelled', 'extrapolated', 'not_available')),
    check ((ltv_{days} is not null) = (coalesce(ltv_{days}_status, 'not_available') <> 'not_available'))
    """


VALUE = f"{horizon(30)}, {horizon(90)}, {horizon(365)}, currency text check (currency ~ '^[A-Z]{{3}}$')"

LTV = f"{VALUE}, {RANK_AND_MODEL}"
LTV_NAMES = f"ltv_30_status, ltv_90_status, ltv_365_status, currency, {RANK_AND_MODEL_NAMES}"


def scores(name: str, columns: str, required: str) -> str:
    """One table of current rows and its history."""
    required_count = required.count(",") + 1
    return f"""
    create table sms.{name}_scores (
        {KEY} primary key,
        in_population boolean not null,
        {columns},
        {TRACE},
        check (num_nonnulls({required}) = case when in_population then {required_count} else 0 end),
        check (in_population or num_nonnulls(reason_1, reason_2, reason_3) = 0)
    );
    create index on sms.{name}_scores (updated_at, user_id);

    create table sms.{name}_scores_history (
        {KEY},
        {columns},
        is_backfilled boolean not null,
        {TRACE},
        primary key (user_id, day),
        check (num_nulls({required}) = 0)
    );
    create index on sms.{name}_scores_history (day);
    """


AUDIENCE = f"""
create table sms.audience (
    {KEY} primary key,
    in_population boolean not null,
    eligible boolean not null,
    eligible_before_holdout boolean not null,
    suppression_reason text check (suppression_reason in (
        'erased', 'not_in_population', 'no_consent', 'consent_withdrawn', 'consent_incomplete', 'consent_stale',
        'no_phone', 'invalid_phone', 'not_mobile', 'phone_changed', 'phone_shared_with_opted_out', 'unknown_timezone',
        'no_send_window', 'frequency_cap', 'recently_messaged', 'low_expected_gain', 'expired', 'holdout'
    )),
    valid_until timestamptz,
    phone_e164 text check (phone_e164 ~ '^\\+[1-9][0-9]{{6,14}}$'),
    consent_at timestamptz,
    consent_source text,
    policy_version text,
    timezone text,
    send_window_start timestamptz,
    send_window_end timestamptz check (send_window_end > send_window_start),
    {RECALL},
    {VALUE},
    {TRACE},
    constraint permission_only_where_eligible check (
        num_nonnulls(valid_until, phone_e164, consent_at, consent_source, policy_version, timezone,
            send_window_start, send_window_end) = case when eligible then 8 else 0 end
    ),
    constraint eligible_or_a_reason check (eligible = (suppression_reason is null)),
    constraint only_holdout_comes_after_eligible check (
        eligible_before_holdout = (eligible or coalesce(suppression_reason, '') = 'holdout')
    ),
    constraint eligible_only_in_population check (in_population or not eligible),
    check (num_nonnulls({RECALL_NAMES}) = case when in_population then {RECALL_NAMES.count(",") + 1} else 0 end)
);
create index on sms.audience (updated_at, user_id);

-- What the audience holds, derived from what is published: publishing brings sms.audience to this.
-- No consent is known to Rekindle yet, and unknown means not eligible.
create view rekindle.audience as
select
    r.user_id,
    r.in_population,
    false as eligible,
    false as eligible_before_holdout,
    case when r.in_population then 'no_consent' else 'not_in_population' end as suppression_reason,
    null::timestamptz as valid_until,
    null::text as phone_e164,
    null::timestamptz as consent_at,
    null::text as consent_source,
    null::text as policy_version,
    null::text as timezone,
    null::timestamptz as send_window_start,
    null::timestamptz as send_window_end,
    r.return_probability, r.lapsed_days, r.horizon_days, r.percentile, r.decile,
    r.reason_1, r.reason_2, r.reason_3, r.other_contribution,
    r.model_name, r.model_version, r.model_digest,
    l.ltv_30, l.ltv_30_status, l.ltv_90, l.ltv_90_status, l.ltv_365, l.ltv_365_status, l.currency,
    1 as schema_version
from sms.recall_scores as r left join sms.ltv_scores as l using (user_id);
"""

FRESHNESS = """
create table rekindle.freshness (
    table_name text primary key,
    day date not null,
    row_count bigint not null,
    published_at timestamptz not null,
    valid_until timestamptz not null
);
create view sms.freshness as
select *, case when clock_timestamp() <= valid_until then 'current' else 'expired' end as status
from rekindle.freshness;
"""

READER = """
do $$
declare
    database text := current_database();
begin
    if to_regrole('sms_reader') is null then
        if not (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) then
            raise insufficient_privilege using message =
                'the role sms_reader is missing and ' || current_user || ' may not create it: '
                'have an administrator run "create role sms_reader login password ..."';
        end if;
        begin
            create role sms_reader nologin;
        exception when duplicate_object or unique_violation then
            null;  -- roles are shared by the databases of a server: another one's migration was faster
        end;
    end if;

    -- A guard rail on top of the grants, for when sms_reader itself logs in. Where an administrator made the role,
    -- these settings are theirs to make.
    if (select rolsuper or rolcreaterole from pg_roles where rolname = current_user)
        and pg_has_role('sms_reader', 'member with admin option')
    then
        execute format('alter role sms_reader in database %I set default_transaction_read_only to on', database);
        execute format('alter role sms_reader in database %I set statement_timeout to ''60s''', database);
        execute format(
            'alter role sms_reader in database %I set idle_in_transaction_session_timeout to ''300s''', database
        );
    end if;

    execute format('grant connect on database %I to sms_reader', database);
    execute format('revoke temporary on database %I from public', database);
end
$$;
grant usage on schema sms to sms_reader;
grant select on
    sms.recall_scores, sms.ltv_scores, sms.recall_scores_history, sms.ltv_scores_history, sms.audience, sms.freshness
to sms_reader;
"""


def upgrade() -> None:
    op.execute("create schema sms")
    op.execute(scores("recall", RECALL, RECALL_NAMES))
    op.execute(scores("ltv", LTV, LTV_NAMES))
    op.execute(AUDIENCE)
    op.execute(FRESHNESS)
    op.execute(READER)
