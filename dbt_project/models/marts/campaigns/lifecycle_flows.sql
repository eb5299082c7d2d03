{# Each user's stage on the day and a week before. A day without features a week before has no flows. #}
with staged as (
    select
        day,
        user_id,
        case
            when recency_days < {{ var('lapse_days') }} then 'active'
            when tenure_days < 7 then 'new'
            when recency_days < 365 then 'lapsed'
            else 'silent'
        end as stage
    from {{ source('features', 'user') }}
    where day between date_sub({{ from_day() }}, 7) and {{ to_day() }}
),

days_with_a_week_before as (
    select this.day
    from (select distinct day from staged) as this
    inner join (select distinct day from staged) as before on before.day = date_sub(this.day, 7)
    where this.day between {{ from_day() }} and {{ to_day() }}
),

flows as (
    select
        staged.day,
        coalesce(before.stage, 'not registered') as stage_before,
        staged.stage,
        count(*) as users
    from staged
    inner join days_with_a_week_before on days_with_a_week_before.day = staged.day
    left join staged as before
        on before.day = date_sub(staged.day, 7) and before.user_id = staged.user_id
    group by staged.day, coalesce(before.stage, 'not registered'), staged.stage
)

select * from flows
