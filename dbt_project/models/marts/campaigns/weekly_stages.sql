{# The five stages of growth, each over the 7 days to the day; retention asks who was active in the 7 days before these. #}
with features as (
    select
        *,
        coalesce(recency_days < 7, false) as is_active,
        tenure_days < 7 as is_new,
        tenure_days between 7 and 13 as is_a_week_old
    from {{ source('features', 'user') }}
    where day between date_sub({{ from_day() }}, 7) and {{ to_day() }}
),

week_before as (
    select
        date_add(day, 7) as day,
        user_id
    from features
    where is_active
),

stages as (
    select
        features.day,

        count_if(features.is_new) as registered_users,
        count_if(features.is_new and features.channel in ('{{ var("referral_channels") | join("', '") }}')) as referred_users,
        count_if(features.is_a_week_old) as week_old_users,
        count_if(features.is_a_week_old and features.recency_days < 365) as activated_users,
        count_if(week_before.user_id is not null) as active_before_users,
        count_if(week_before.user_id is not null and features.is_active) as retained_users,
        count_if(features.is_active) as active_users,
        count_if(features.orders_7d > 0) as buyers,

        cast(sum(features.sale_amount_7d - features.refund_amount_7d) as decimal(18, 2)) as net_revenue
    from features
    left join week_before on week_before.day = features.day and week_before.user_id = features.user_id
    where features.day between {{ from_day() }} and {{ to_day() }}
    group by features.day
)

select * from stages
