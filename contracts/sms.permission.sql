-- Who may be texted: asked of the users of each publication that permits, which its own query names (`asked`, put in here):
-- user_id, is_scored (whether it is about them on the day), expected_gain, and what else is published of them.
-- It says the same whatever a table is about. The first code that matches, in the order of the closed list: what the warehouse
-- has found (marts.permission, in rekindle.permission), what was taken away since (rekindle.taken_away), windows (in
-- send_window, found beforehand), caps, gain, time and the ledger of the holdout. What is unknown is never eligible: each
-- question is what has to hold. Of an erased user nothing else is told.
with asked as (
{asked}
),
assigned as (
  -- What a tool says of a message of a campaign that was planned here is the same text; of several it says more texts.
  select
    user_id,
    sum(greatest(planned_in_cap_days, told_in_cap_days)) as in_cap_days,
    sum(in_cool_down_days) as in_cool_down_days
  from (
    select
      campaign_id, user_id,
      count(*) filter (where is_planned and at > %(time)s - make_interval(days => %(cap_days)s)) as planned_in_cap_days,
      count(*) filter (where not is_planned and at > %(time)s - make_interval(days => %(cap_days)s)) as told_in_cap_days,
      count(*) filter (where at > %(time)s - make_interval(days => %(cool_down_days)s)) as in_cool_down_days
    from (
      select campaign_id, user_id, assigned_at as at, true as is_planned from rekindle.assignment
      union all select campaign_id, user_id, assigned_at, false from rekindle.sent_elsewhere
    ) as everywhere
    group by campaign_id, user_id
  ) as campaigns
  group by user_id
),
newest as (
  select distinct on (user_id) user_id, campaign_id, arm
  from rekindle.assignment order by user_id, assigned_at desc, campaign_id desc
),
held_out as (
  select user_id, bool_or(is_held_out) as is_held_out from rekindle.holdout group by user_id
),
standing as (
  select
    a.user_id, coalesce(t.is_erased, false) as is_erased, t.is_withdrawn, t.is_shared,
    t.is_erased is not true and coalesce(a.is_scored, false) as in_population, a.expected_gain
  from asked as a
  left join rekindle.taken_away as t using (user_id)
),
permitted as (
  select
    s.*, p.phone_e164, p.consent_at, p.consent_source, p.policy_version,
    w.timezone, w.starts as send_window_start, w.ends as send_window_end,
    v.valid_until, h.is_held_out, f.country, f.segment, n.campaign_id, n.arm,
    case
      when s.is_erased then 'erased'
      when not s.in_population then 'not_in_population'
      when p.user_id is null or p.code = 'no_consent' then 'no_consent'
      when p.code = 'consent_withdrawn' or s.is_withdrawn then 'consent_withdrawn'
      when p.code = 'consent_incomplete' then p.code
      when p.code = 'consent_stale' or (p.code is null and p.consent_at
        < (%(table_day)s::date + 1)::timestamp at time zone 'UTC' - make_interval(days => %(consent_valid_days)s))
        then 'consent_stale'
      when p.code in ('no_phone', 'invalid_phone', 'not_mobile', 'phone_changed') then p.code
      when p.code is not null or s.is_shared then 'phone_shared_with_opted_out'
      when w.window_key is null then 'unknown_timezone'
      when w.code is not null then w.code
      when c.in_cap_days >= %(cap_messages)s then 'frequency_cap'
      when c.in_cool_down_days > 0 then 'recently_messaged'
      when s.expected_gain > 0 then
        case when v.valid_until > %(time)s then null else 'expired' end
      else 'low_expected_gain'
    end as code,
    -- Where no new permission may be given, who had it may keep it; of others is said what was said of them.
    case
      when n_p.is_given or b.eligible_before_holdout then null
      when b.suppression_reason in ('erased', 'not_in_population') then 'no_consent'
      else coalesce(b.suppression_reason, 'no_consent')
    end as code_without_news
  from standing as s
  cross join (
    select (%(table_day)s::date + 1)::timestamp at time zone 'UTC' + make_interval(hours => %(valid_hours)s) as valid_until
  ) as v
  cross join (
    select coalesce(bool_or(day = %(table_day)s and why_nothing_new is null), false) as is_given
    from rekindle.permission_state
  ) as n_p
  left join rekindle.permission as p on p.user_id = s.user_id and not s.is_erased
  left join rekindle.profile as f on f.user_id = s.user_id and not s.is_erased
  left join send_window as w on w.window_key = p.window_key
  left join assigned as c on c.user_id = s.user_id
  left join newest as n on n.user_id = s.user_id and not s.is_erased
  left join held_out as h on h.user_id = s.user_id and not s.is_erased
  left join {target} as b on b.user_id = s.user_id
),
decided as (
  select
    *, coalesce(code, code_without_news) as code_before_holdout,
    coalesce(code, code_without_news, case when is_held_out is false then null else 'holdout' end) as suppression_reason
  from permitted
),
answered as (
  select
    user_id, in_population,
    suppression_reason is null as eligible, code_before_holdout is null as eligible_before_holdout, suppression_reason,
    case when suppression_reason is null then valid_until end as valid_until,
    case when suppression_reason is null then phone_e164 end as phone_e164,
    case when suppression_reason is null then consent_at end as consent_at,
    case when suppression_reason is null then consent_source end as consent_source,
    case when suppression_reason is null then policy_version end as policy_version,
    case when suppression_reason is null then timezone end as timezone,
    case when suppression_reason is null then send_window_start end as send_window_start,
    case when suppression_reason is null then send_window_end end as send_window_end,
    is_held_out as holdout, campaign_id, arm as experiment_arm, country, segment
  from decided
),
told as (
  select a.* from asked as a inner join standing as s on s.user_id = a.user_id and not s.is_erased
)
select * from answered left join told using (user_id)
