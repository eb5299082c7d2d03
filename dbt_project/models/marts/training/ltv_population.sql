with features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

objecting as (
    {{ objecting('features') }}
),

registered as (
    select
        day,
        user_id
    from features
    left anti join objecting using (day, user_id)
)

select * from registered
