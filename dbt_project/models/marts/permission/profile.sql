{% set classes = var('segments') %}
with lapsed as (
    select * from {{ ref('recall_population') }} where {{ being_built() }}
),

features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

named as (
    select
        lapsed.day,
        lapsed.user_id,

        features.country,
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
        ) as segment
    from lapsed
    inner join features on features.day = lapsed.day and features.user_id = lapsed.user_id
)

select * from named
