{#
  What ads bought, and who of those that were asked for came back: of the requests of 28 days, the last of which has had its time to
  return. Everybody who was asked for counts, shown an ad or not, so that a strategy and its control group are alike.
#}
{% set last = var('recall_horizon_days') + var('lateness_days') - 1 %}
{% set first = last + 27 %}

with days as (
    select explode(sequence({{ from_day() }}, {{ to_day() }})) as day
),

-- Of several deliveries of a request the first counts.
requests as (
    select
        request_id,
        occurred_on,
        min(day) as known_on,
        min_by(id_hash, day) as id_hash,
        min_by(strategy, day) as strategy,
        min_by(is_won, day) as is_won,
        min_by(is_clicked, day) as is_clicked,
        min_by(price, day) as price
    from {{ ref('stg_ad_exposures') }}
    where
        day between date_sub({{ from_day() }}, {{ first }}) and {{ to_day() }}
        and occurred_on between date_sub({{ from_day() }}, {{ first }}) and date_sub({{ to_day() }}, {{ last }})
    group by request_id, occurred_on
),

asked as (
    select
        days.day,
        requests.occurred_on,
        requests.id_hash,
        requests.strategy,
        requests.is_won,
        requests.is_clicked,
        requests.price
    from requests
    inner join days
        on
            days.day >= requests.known_on
            and requests.occurred_on between date_sub(days.day, {{ first }}) and date_sub(days.day, {{ last }})
),

bought as (
    select
        day,
        strategy,
        count(*) as requests,
        count_if(is_won) as won,
        count_if(is_clicked) as clicks,
        coalesce(sum(case when is_won then price end), 0) as spend
    from asked
    group by day, strategy
),

held as (
    select
        user_id,
        id_hash,
        min(day) as known_on
    from {{ ref('stg_devices') }}
    where day <= {{ to_day() }}
    group by user_id, id_hash
),

entered as (
    select
        asked.day,
        asked.strategy,
        held.user_id,
        min(asked.occurred_on) as asked_on
    from asked
    inner join held on held.id_hash = asked.id_hash and held.known_on <= asked.day
    group by asked.day, asked.strategy, held.user_id
),

active as (
    select
        user_id,
        activity_on,
        min(day) as known_on
    from {{ source('features', 'user_day') }}
    where
        day between date_sub({{ from_day() }}, {{ first }}) and {{ to_day() }}
        and is_first
    group by user_id, activity_on
),

came as (
    select
        entered.day,
        entered.strategy,
        entered.user_id,
        count(active.user_id) > 0 as is_activated
    from entered
    left join active
        on
            active.user_id = entered.user_id
            and active.known_on <= entered.day
            and active.activity_on between entered.asked_on and date_add(entered.asked_on, {{ var('recall_horizon_days') - 1 }})
    group by entered.day, entered.strategy, entered.user_id
),

known as (
    select
        day,
        strategy,
        count(*) as users,
        count_if(is_activated) as activated
    from came
    group by day, strategy
),

results as (
    select
        bought.day,
        bought.strategy,

        bought.requests,
        bought.won,
        bought.clicks,
        coalesce(known.users, 0) as users,
        coalesce(known.activated, 0) as activated,

        cast(bought.spend as decimal(28, 6)) as spend
    from bought
    left join known on known.day = bought.day and known.strategy = bought.strategy
)

select * from results
