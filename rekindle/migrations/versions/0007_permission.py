"""
Permission, holdout, assignments and erasure: what decides who may be texted, beside the scores.

All of it is internal: readers see what the publications of schema `sms` show of it. No table here holds a phone; a phone is
told again by its HMAC.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

HMAC = "~ '^[0-9a-f]{64}$'"

PERMISSION = f"""
create table rekindle.permission (
    user_id text collate "C" primary key,
    day date not null,
    code text check (code in (
        'no_consent', 'consent_withdrawn', 'consent_incomplete', 'consent_stale', 'no_phone', 'invalid_phone',
        'not_mobile', 'phone_changed', 'phone_shared_with_opted_out'
    )),
    phone_hmac text check (phone_hmac {HMAC}),
    phone_hmacs text[] not null default '{{}}',
    phone_e164 text check (phone_e164 ~ '^\\+[1-9][0-9]{{6,14}}$'),
    consent_at timestamptz,
    consent_source text,
    policy_version text,
    zones text,
    country text,
    usual_hour smallint check (usual_hour between 0 and 23),
    window_key text generated always as (
        coalesce(zones, '') || '/' || coalesce(country, '') || '/' || coalesce(usual_hour::text, '')
    ) stored,
    check (code is not null or num_nonnulls(phone_hmac, phone_e164, consent_at, consent_source, policy_version) = 5)
);
comment on table rekindle.permission is
    'What marts.permission says of the newest day that was published. One row per user with '
    'any consent on record; of who has none, no_consent is said.';
comment on column rekindle.permission.code is
    'The first code that the warehouse knows of; null where nothing in it speaks against a message.';
comment on column rekindle.permission.phone_hmacs is
    'HMACs of all digits that the number may be named by in a reply or a consent: with its country and without.';
comment on column rekindle.permission.phone_e164 is 'Only where code is null: what sms.audience shows where eligible.';
comment on column rekindle.permission.zones is
    'Time zones that number and address allow, sorted, with | between; null where none is known.';
comment on column rekindle.permission.usual_hour is
    'Hour of the day (UTC) at which the user usually comes, as rekindle.profile says it of who may be texted.';
comment on column rekindle.permission.window_key is 'Whose windows are the same: a window is found once for all of them.';
create index on rekindle.permission (phone_hmac);

create table rekindle.permission_state (
    is_the_only_row boolean primary key default true check (is_the_only_row),
    day date not null,
    why_nothing_new text
);
comment on table rekindle.permission_state is
    'Which day rekindle.permission is about, and why it grants nobody permission who had none, if so. One row.';

create table rekindle.profile (
    user_id text collate "C" primary key,
    day date not null,
    country text,
    channel text,
    segment text,
    usual_hour smallint check (usual_hour between 0 and 23)
);
comment on table rekindle.profile is
    'What marts.profile says of the newest day that was published. One row per user who is scored for recall.';

create table rekindle.withdrawal (
    withdrawal_id bigint generated always as identity primary key,
    kind text not null check (kind in ('stop', 'consent', 'erasure')),
    user_id text collate "C",
    phone_hmac text check (phone_hmac {HMAC}),
    at timestamptz not null,
    source_id text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    unique (kind, source_id),
    check (user_id is not null or phone_hmac is not null)
);
comment on table rekindle.withdrawal is
    'Permission that was taken away, as the hourly DAG read it from deliveries: append-only, '
    'and it never grants. One row per reply, consent or erasure.';
comment on column rekindle.withdrawal.source_id is
    'Id of the reply, the consent or the erasure: recording it twice is recording it '
    'once.';
create index on rekindle.withdrawal (user_id) where user_id is not null;
create index on rekindle.withdrawal (phone_hmac) where phone_hmac is not null;

create table rekindle.read_file (
    source text not null,
    path text not null,
    size bigint not null,
    modified_at timestamptz not null,
    sha256 text not null check (sha256 {HMAC}),
    error text,
    read_at timestamptz not null default clock_timestamp(),
    primary key (source, path)
);
comment on table rekindle.read_file is
    'Files of the landing zone that taking permission away has read, as they were then: what has not changed is '
    'not read again. One row per file.';
comment on column rekindle.read_file.error is 'Why nothing of it, or not all of it, could be used; null where all was.';

-- Columns of sms.audience that its rules speak of; the others are added from its contract.
alter table sms.audience
    add column if not exists holdout boolean,
    add column if not exists expected_gain numeric(18,2),
    add column if not exists content_updated_at timestamptz,
    add constraint held_out_as_the_reason_says check (
        case when eligible then holdout is false when suppression_reason = 'holdout' then holdout is true else true end
    ),
    add constraint eligible_only_with_gain check (not eligible_before_holdout or coalesce(expected_gain, 0) > 0),
    add constraint erased_says_nothing_else check (
        suppression_reason is distinct from 'erased'
        or (not in_population and holdout is null and expected_gain is null)
    );
-- Tools that follow content find what has changed as fast as those that follow rows.
create index on sms.audience (content_updated_at, user_id);
"""

WATCHED = """
create table rekindle.suppression (
    day date not null,
    code text not null,
    users bigint not null check (users >= 0),
    primary key (day, code)
);
comment on table rekindle.suppression is
    'How many rows of sms.audience had each suppression code when a day was published; eligible where they had none.';
"""

LIFECYCLE = """
create table rekindle.lifecycle_flow (
    day date not null,
    stage_before text not null,
    stage text not null,
    users bigint not null,
    primary key (day, stage_before, stage)
);
comment on table rekindle.lifecycle_flow is 'What dbt_project/models/marts/campaigns/lifecycle_flows.yml says of its columns.';

create table rekindle.cohort (
    day date not null,
    registered_in date not null,
    users bigint not null,
    active_users bigint not null,
    buyers bigint not null,
    net_revenue numeric not null,
    primary key (day, registered_in)
);
comment on table rekindle.cohort is 'What dbt_project/models/marts/campaigns/cohorts.yml says of its columns.';

create table rekindle.weekly_stage (
    day date primary key,
    registered_users bigint not null,
    referred_users bigint not null,
    week_old_users bigint not null,
    activated_users bigint not null,
    active_before_users bigint not null,
    retained_users bigint not null,
    active_users bigint not null,
    buyers bigint not null,
    net_revenue numeric not null
);
comment on table rekindle.weekly_stage is 'What dbt_project/models/marts/campaigns/weekly_stages.yml says of its columns.';
"""

HOLDOUT = f"""
create table rekindle.holdout (
    holdout_id bigint generated always as identity primary key,
    user_id text collate "C" not null,
    phone_hmac text check (phone_hmac {HMAC}),
    is_held_out boolean not null,
    decided_on date not null,
    decided_by text not null check (decided_by in ('hash', 'user', 'phone')),
    share double precision not null check (share between 0 and 1),
    unique nulls not distinct (user_id, phone_hmac)
);
comment on table rekindle.holdout is
    'The ledger of the global holdout. One row per user and phone, from the first day on which '
    'the user might have been texted; who is in never leaves.';
comment on column rekindle.holdout.decided_by is
    'hash: by the salted hash; user: a new number keeps the arm; phone: met a phone that had been decided on.';
create index on rekindle.holdout (phone_hmac);
"""

CAMPAIGNS = f"""
create table rekindle.campaign (
    campaign_id text collate "C" primary key,
    planned_for date not null,
    planned_at timestamptz not null,
    settings jsonb not null,
    summary jsonb not null,
    content_digest text not null
);
comment on table rekindle.campaign is 'Campaigns as they were planned; a plan is never changed. One row per campaign.';
comment on column rekindle.campaign.planned_for is 'The data day whose scores it was planned with.';
comment on column rekindle.campaign.settings is 'Budget, costs, constraints, filters, arms and their shares, as asked for.';
comment on column rekindle.campaign.summary is
    'What the plan printed: expected returns and value with intervals, by '
    'strategy.';

create table rekindle.assignment (
    campaign_id text collate "C" not null references rekindle.campaign,
    user_id text collate "C" not null,
    phone_hmac text check (phone_hmac {HMAC}),
    assigned_at timestamptz not null,
    arm text not null check (arm <> ''),
    is_control boolean not null,
    probability double precision not null check (probability > 0 and probability <= 1),
    rank integer not null,
    offer text,
    segment text,
    country text,
    return_probability double precision not null,
    value_if_returns numeric,
    expected_gain numeric,
    cost numeric,
    primary key (campaign_id, user_id)
);
comment on table rekindle.assignment is
    'Who was assigned to which arm of a campaign, controls included, written before anything '
    'is sent and never changed. One row per campaign and user.';
comment on column rekindle.assignment.probability is
    'Of being assigned to this arm, given that the campaign chose the '
    'user.';
comment on column rekindle.assignment.rank is 'Place in the order of the campaign; 1 is texted first.';
create index on rekindle.assignment (user_id, assigned_at);

create table rekindle.sent_elsewhere (
    campaign_id text collate "C" not null,
    user_id text collate "C" not null,
    assigned_at timestamptz not null,
    primary key (campaign_id, user_id, assigned_at)
);
comment on table rekindle.sent_elsewhere is
    'Assignments of the last weeks that raw.messages tells of, as of the newest day that was '
    'published: caps count them beside those that were planned here.';
"""

RESULTS = """
create table rekindle.campaign_result (
    day date not null,
    kind text not null,
    campaign_id text collate "C" not null,
    feature_day date not null,
    label text not null,
    segment text not null,
    arm text not null,
    is_control boolean not null,
    has_x boolean not null,
    probability double precision,
    clusters bigint not null,
    users bigint not null,
    y double precision not null,
    x double precision not null,
    uu double precision not null,
    uy double precision not null,
    ux double precision not null,
    yy double precision not null,
    xx double precision not null,
    xy double precision not null,
    cost double precision not null,
    primary key (kind, campaign_id, label, segment, arm, day, feature_day)
);
create index on rekindle.campaign_result (day);
comment on table rekindle.campaign_result is
    'What dbt_project/models/marts/campaigns/campaign_results.yml says of its columns.';
"""

ERASURE = f"""
create table rekindle.tombstone (
    user_hmac text primary key check (user_hmac {HMAC}),
    erased_at timestamptz not null
);
comment on table rekindle.tombstone is
    'Erased people, by an HMAC of their id whose key is outside of database and warehouse: deliveries of them are dropped.';

create table rekindle.phone_opt_out (
    phone_hmac text primary key check (phone_hmac {HMAC}),
    at timestamptz not null
);
comment on table rekindle.phone_opt_out is
    'Phones that had said stop, or whose holder had withdrawn, when their holder was erased: '
    'they survive erasure and never expire.';

create table rekindle.erasure (
    user_id text collate "C" primary key,
    erased_at timestamptz not null,
    forgotten_after timestamptz not null,
    phone_hmacs text[] not null default '{{}}'
);
comment on column rekindle.erasure.phone_hmacs is
    'Of the phones that were found of the user: an erasure that begins again finds no contact any more.';
comment on table rekindle.erasure is
    'Erased users for as long as tools are told of them (sms.erasure_feed); the row is deleted when that time is over.';

create table rekindle.erasure_log (
    erasure_id bigint generated always as identity primary key,
    user_hmac text not null check (user_hmac {HMAC}),
    step text not null,
    detail jsonb not null,
    at timestamptz not null default clock_timestamp()
);
comment on table rekindle.erasure_log is 'The audit log of erasures: what was removed where. Append-only; it names nobody.';

create trigger only_ever_added before update or delete on rekindle.erasure_log
for each row execute function rekindle.refuse_change();

create table rekindle.expiry (
    table_name text primary key,
    kept_from date not null
);
comment on table rekindle.expiry is
    'From which day on rows of a table are kept; older ones were deleted for their age. What was built from them stands, '
    'and is never built again.';
"""


TAKEN_AWAY = """
create view rekindle.taken_away as
with named as (
    select user_id, unnest(phone_hmacs || phone_hmac) as phone_hmac from rekindle.permission where phone_hmac is not null
),
said_stop as (
    select n.user_id, max(w.at) as at
    from rekindle.withdrawal as w join named as n using (phone_hmac)
    where w.kind = 'stop'
    group by n.user_id
),
said as (
    select user_id, max(at) as at
    from (
        select user_id, at from rekindle.withdrawal where kind <> 'erasure' and user_id is not null
        union all select user_id, at from said_stop
    ) as by_user
    group by user_id
),
-- At equal times withdrawal wins; who has no grant has nothing that could come later.
opted_out as (
    select s.user_id
    from said as s left join rekindle.permission as p using (user_id)
    where s.at >= coalesce(p.consent_at, '-infinity')
    union select user_id from rekindle.permission where code = 'consent_withdrawn'
),
-- What an opted-out user has, or named when withdrawing: closed for everybody else.
closed as (
    select phone_hmac, min(user_id) as first_user, max(user_id) as last_user
    from (
        select n.phone_hmac, n.user_id from named as n join opted_out using (user_id)
        union all
        select w.phone_hmac, w.user_id
        from rekindle.withdrawal as w join opted_out using (user_id)
        where w.kind = 'consent' and w.phone_hmac is not null
    ) as phones
    group by phone_hmac
),
each_code as (
    select user_id, 'erased' as code from rekindle.erasure
    union all select user_id, 'erased' from rekindle.withdrawal where kind = 'erasure' and user_id is not null
    union all select user_id, 'consent_withdrawn' from opted_out
    union all
    select n.user_id, 'phone_shared_with_opted_out'
    from named as n join closed as c using (phone_hmac)
    where c.first_user <> n.user_id or c.last_user <> n.user_id
    union all
    select n.user_id, 'phone_shared_with_opted_out' from named as n join rekindle.phone_opt_out using (phone_hmac)
)
select
    user_id,
    bool_or(code = 'erased') as is_erased,
    bool_or(code = 'consent_withdrawn') as is_withdrawn,
    bool_or(code = 'phone_shared_with_opted_out') as is_shared
from each_code
group by user_id;
comment on view rekindle.taken_away is
    'Whose permission was taken away, and why, by all that has been recorded: asked by each publish and by the '
    'hourly DAG. One row per user.';
"""


def upgrade() -> None:
    for tables in (PERMISSION, WATCHED, LIFECYCLE, HOLDOUT, CAMPAIGNS, RESULTS, ERASURE):
        op.execute(tables)
    op.execute(TAKEN_AWAY)
