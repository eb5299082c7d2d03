{#
  Sums of what lapsed users spent, by whether they returned: added up over days they say what a return is worth. They become
  known with the delivery that completes the revenue, by when the return has long been known. One weekday's features are
  asked, as for training: a history built at once has no others, and windows of neighbouring days tell the same again.
#}
with revenue as (
    select day, feature_day, user_id, cast(value as decimal(18, 2)) as revenue from {{ ref('labels') }}
    where {{ being_built() }} and label = 'net_revenue_1_{{ var("gain_horizon_days") }}'
),

activity as (
    select feature_day, user_id, value as returned from {{ ref('labels') }}
    where label = 'active_1_{{ var("recall_horizon_days") }}'
        and day between date_sub({{ from_day() }}, {{ var('gain_horizon_days') - var('recall_horizon_days') }})
        and date_sub({{ to_day() }}, {{ var('gain_horizon_days') - var('recall_horizon_days') }})
),

spending as (
    select features.day as feature_day, features.user_id, {{ spend_band('features') }} as band
    from {{ source('features', 'user') }} as features
    inner join {{ ref('recall_population') }} as lapsed using (day, user_id)
    where features.day between date_sub({{ from_day() }}, {{ var('gain_horizon_days') + var('lateness_days') }})
        and date_sub({{ to_day() }}, {{ var('gain_horizon_days') + var('lateness_days') }})
        and weekday(features.day) = {{ var('training_weekday') }}
),

summed as (
    select
        day,
        band,
        cast(pmod(xxhash64('return worth', user_id), {{ return_blocks() }}) as int) as block,
        count_if(returned = 1) as returned_users,
        -- Exact sums, so that a day built again is the same.
        cast(sum(if(returned = 1, revenue, 0)) as double) as returned_revenue,
        count_if(returned = 0) as other_users,
        cast(sum(if(returned = 0, revenue, 0)) as double) as other_revenue
    from spending inner join revenue using (feature_day, user_id) inner join activity using (feature_day, user_id)
    group by all
)

select * from summed
