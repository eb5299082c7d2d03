with features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

objecting as (
    {{ objecting('features') }}
),

lapsed as (
    select
        day,
        user_id,
        recency_days as lapsed_days
    from features
    left anti join objecting using (day, user_id)
    where recency_days between {{ var('lapse_days') }} and {{ var('recall_memory_days') }} - 1
        and registered_on <= date_sub(day, {{ var('lapse_days') }})
)

select * from lapsed
