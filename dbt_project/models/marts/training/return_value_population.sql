{#
  The difference of two means, by band of past spending, drawn towards that of all users where a band has few who returned. The
  interval is a bootstrap that draws whole blocks of users, so that a user's weeks stay together; the draws are by a hash,
  so that a day built again is the same.
#}
with lapsed as (
    select lapsed.day, lapsed.user_id, {{ spend_band('features') }} as band
    from {{ ref('recall_population') }} as lapsed
    inner join {{ source('features', 'user') }} as features using (day, user_id)
    where {{ being_built('lapsed.day') }}
),

days as (
    select distinct day from lapsed
),

known as (
    select
        days.day,
        worth.band,
        worth.block,
        sum(worth.returned_users) as returned_users,
        sum(worth.returned_revenue) as returned_revenue,
        sum(worth.other_users) as other_users,
        sum(worth.other_revenue) as other_revenue
    from days inner join {{ ref('return_worth') }} as worth
        on worth.day between date_sub(days.day, {{ return_days() }}) and days.day
    where worth.day between date_sub({{ from_day() }}, {{ return_days() }}) and {{ to_day() }}
    group by all
),

draws as (
    select explode(sequence(0, 100)) as draw
),

-- Draw 0 takes each block once: the estimate itself. The others take it as often as a Poisson variable of mean 1 says.
weighed as (
    select
        *,
        pmod(xxhash64('return value', draw, block), 1000000) / 1000000d as u
    from known cross join draws
),

drawn as (
    select
        day,
        draw,
        band,
        sum(taken * returned_users) as returned_users,
        sum(taken * returned_revenue) as returned_revenue,
        sum(taken * other_users) as other_users,
        sum(taken * other_revenue) as other_revenue
    from (
        select
            *,
            case when draw = 0 or u >= 0.3679 and u < 0.7358 then 1 when u < 0.3679 then 0 when u < 0.9197 then 2
                when u < 0.9810 then 3 when u < 0.9963 then 4 else 5 end as taken
        from weighed
    )
    group by all
),

of_all as (
    select
        day,
        draw,
        try_divide(sum(returned_revenue), sum(returned_users)) - try_divide(sum(other_revenue), sum(other_users)) as worth
    from drawn
    group by all
    having draw > 0 or least(sum(returned_users), sum(other_users)) >= {{ return_least_users() }}
),

bands as (
    select explode(sequence(0, 20)) as band
),

estimated as (
    select
        of_all.day,
        of_all.draw,
        bands.band,
        of_all.worth + coalesce(
            (
                try_divide(drawn.returned_revenue, drawn.returned_users) - try_divide(drawn.other_revenue, drawn.other_users)
                - of_all.worth
            ) * try_divide(least(drawn.returned_users, drawn.other_users),
                least(drawn.returned_users, drawn.other_users) + {{ return_least_users() }}),
            0d
        ) as worth
    from of_all cross join bands
    left join drawn on drawn.day = of_all.day and drawn.draw = of_all.draw and drawn.band = bands.band
),

by_band as (
    select
        day,
        band,
        max(if(draw = 0, worth, null)) as worth,
        percentile(if(draw > 0, worth, null), 0.1) as worth_low,
        percentile(if(draw > 0, worth, null), 0.9) as worth_high
    from estimated
    group by all
)

select
    lapsed.day,
    lapsed.user_id,
    round(by_band.worth, 4) as return_worth,
    round(if(by_band.worth is null, null, least(by_band.worth_low, by_band.worth)), 4) as return_worth_low,
    round(if(by_band.worth is null, null, greatest(by_band.worth_high, by_band.worth)), 4) as return_worth_high
from lapsed left join by_band using (day, band)
