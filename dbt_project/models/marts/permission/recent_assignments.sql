with days as (
    select explode(sequence({{ from_day() }}, {{ to_day() }})) as day
),

messages as (
    select * from {{ ref('stg_messages') }}
    where day between date_sub({{ from_day() }}, {{ var('cap_days') + var('dedup_days') }}) and {{ to_day() }}
        and trim(lower(message_channel)) = trim(lower({{ quoted(var('message_channel')) }}))
),

-- A message that nobody has sent yet was assigned at the latest when it was first delivered.
as_of_the_day as (
    select
        days.day,
        max_by(messages.campaign_id, messages.day) as campaign_id,
        max_by(messages.user_id, messages.day) as user_id,
        coalesce(
            max_by(messages.sent_at, messages.day) filter (where messages.sent_at is not null),
            {{ end_of('min(messages.day)') }}
        ) as assigned_at
    from days
    inner join messages
        on messages.day between date_sub(days.day, {{ var('cap_days') + var('dedup_days') }}) and days.day
    group by days.day, messages.message_id
),

recent as (
    select distinct
        day,
        campaign_id,
        user_id,
        assigned_at
    from as_of_the_day
    where assigned_at >= cast(date_sub(day, {{ var('cap_days') }}) as timestamp)
)

select * from recent
