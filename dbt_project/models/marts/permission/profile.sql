{% set classes = var('segments') %}
with lapsed as (
    select * from {{ ref('recall_population') }} where {{ being_built() }}
),

features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

came as (
    select
        day,
        user_id,
        occurred_at
    from {{ ref('stg_orders') }}
    where is_activity
    union all
    select
        day,
        user_id,
        occurred_at
    from {{ ref('stg_events') }}
    where is_activity
),

recently as (
    select * from came
    where day between date_sub({{ from_day() }}, {{ var('usual_hour_days') }}) and {{ to_day() }}
),

-- How often is on how many days: a long visit is one.
hours as (
    select
        lapsed.day,
        lapsed.user_id,
        hour(recently.occurred_at) as utc_hour,
        count(distinct date(recently.occurred_at)) as active_days
    from lapsed
    inner join recently
        on recently.user_id = lapsed.user_id
        and recently.day between date_sub(lapsed.day, {{ var('usual_hour_days') }}) and lapsed.day
    group by lapsed.day, lapsed.user_id, hour(recently.occurred_at)
),

-- Of hours that are equally frequent the latest: early messages are those that disturb.
usual as (
    select
        day,
        user_id,
        max_by(utc_hour, struct(active_days, utc_hour)) as usual_hour
    from hours
    where active_days > 1
    group by day, user_id
),

named as (
    select
        lapsed.day,
        lapsed.user_id,

        features.country,
        features.channel,
        concat(
            case
                when features.sale_amount_365d >= {{ classes.big_spender_amount }} then 'big spender'
                when features.active_days_365d >= {{ classes.regular_active_days }} then 'regular'
                when features.active_days_365d >= {{ classes.occasional_active_days }} then 'occasional visitor'
                else 'rare visitor'
            end,
            ', ',
            case
                when lapsed.lapsed_days <= {{ classes.just_lapsed_days }} then 'just lapsed'
                when lapsed.lapsed_days <= {{ classes.lapsed_days }} then 'lapsed'
                else 'long lapsed'
            end
        ) as segment,
        usual.usual_hour
    from lapsed
    inner join features on features.day = lapsed.day and features.user_id = lapsed.user_id
    left join usual on usual.day = lapsed.day and usual.user_id = lapsed.user_id
)

select * from named
