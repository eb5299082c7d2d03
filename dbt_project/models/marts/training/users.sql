with scored_days as (
    select distinct day from {{ source('features', 'user') }} where {{ being_built() }}
),

states as (
    select
        *,
        lead(day) over (partition by user_id order by day) as next_day
    from {{ ref('stg_users') }}
    where day <= {{ to_day() }}
),

as_of_the_day as (
    select
        scored_days.day,
        states.user_id,

        states.registered_at,
        states.registered_on,

        states.country,
        states.timezone,
        states.channel,
        states.attributes
    from scored_days
    inner join states
        on states.day <= scored_days.day
        and (states.next_day > scored_days.day or states.next_day is null)
    where states.registered_on <= scored_days.day
)

select * from as_of_the_day
