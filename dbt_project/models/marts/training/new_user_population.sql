with features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

objecting as (
    {{ objecting('features') }}
),

new_users as (
    select
        day,
        user_id,
        tenure_days
    from features
    left anti join objecting using (day, user_id)
    where tenure_days < {{ var('new_user_days') }}
        and {{ vip_purchases('orders_365d', 'event_counts_365d') }} = 0
)

select * from new_users
