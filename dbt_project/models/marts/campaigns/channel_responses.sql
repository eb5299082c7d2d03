{# What users did with what they were shown in the 7 days to each day, as it was known at the end of it. #}
with users as (
    select
        day,
        user_id,
        coalesce(channel, '') as channel
    from {{ source('features', 'user') }}
    where {{ being_built() }}
),

impressions as (
    select
        {{ each_day_of_week_since('day', 'activity_on') }} as day,
        user_id,
        event_counts['impression'] as impressions
    from {{ source('features', 'user_day') }}
    where
        day between date_sub({{ from_day() }}, 7) and {{ to_day() }}
        and {{ is_in_a_week('day', 'activity_on') }}
        and event_counts['impression'] > 0
),

events as (
    select * from {{ ref('stg_events') }}
    where day between date_sub({{ from_day() }}, 7) and {{ to_day() }}
),

clicks as (
    select * from events
    where event_type = 'click' and {{ is_in_a_week('day', 'activity_on') }}
),

-- Of several deliveries of an event the first wins, and only what is not of its day can repeat one: an hour is more than a delivery
-- may hold of the next day.
repeats as (
    select distinct clicks.day, clicks.event_id, clicks.activity_on
    from clicks
    inner join events as earlier
        on
            earlier.event_id = clicks.event_id
            and earlier.activity_on = clicks.activity_on
            and earlier.day < clicks.day
    where clicks.occurred_at < timestampadd(hour, 1, cast(clicks.day as timestamp))
),

known_clicks as (
    select
        {{ each_day_of_week_since('clicks.day', 'clicks.activity_on') }} as day,
        clicks.user_id,
        clicks.item_id,
        clicks.occurred_at,
        {{ "case when clicks.value >= 0 and clicks.value < double('infinity') then clicks.value end" if var("click_value_is_seconds") else "cast(null as double)" }} as seconds
    from clicks
    left anti join repeats
        on repeats.day = clicks.day and repeats.event_id = clicks.event_id and repeats.activity_on = clicks.activity_on
),

first_clicks as (
    select
        day,
        user_id,
        item_id,
        min(occurred_at) as occurred_at
    from known_clicks
    where item_id is not null
    group by day, user_id, item_id
),

sales as (
    select
        order_id,
        activity_on,
        min(day) as day,
        min_by(user_id, day) as user_id,
        min_by(item_id, day) as item_id,
        min_by(occurred_at, day) as occurred_at
    from {{ ref('stg_orders') }}
    where
        day between date_sub({{ from_day() }}, 7) and {{ to_day() }}
        and kind = 'sale'
        and activity_on >= date_sub({{ from_day() }}, 6)
    group by order_id, line_id, activity_on
),

known_sales as (
    select
        {{ each_day_of_week_since('day', 'activity_on') }} as day,
        order_id,
        activity_on,
        user_id,
        item_id,
        occurred_at
    from sales
    where {{ is_in_a_week('day', 'activity_on') }}
),

-- An item of an order is bought once, however many lines it has.
purchases as (
    select
        sales.day,
        sales.user_id,
        count(distinct sales.order_id, sales.activity_on, sales.item_id) as purchases
    from known_sales as sales
    inner join first_clicks
        on
            first_clicks.day = sales.day
            and first_clicks.user_id = sales.user_id
            and first_clicks.item_id = sales.item_id
            and first_clicks.occurred_at <= sales.occurred_at
    group by sales.day, sales.user_id
),

shown as (
    select
        day,
        user_id,
        sum(impressions) as impressions
    from impressions
    group by day, user_id
),

clicked as (
    select
        day,
        user_id,
        count(*) as clicks,
        count(seconds) as timed_clicks,
        sum(seconds) as seconds
    from known_clicks
    group by day, user_id
),

by_user as (
    select
        users.day,
        users.channel,
        stack(
            3,
            'ctr', cast(shown.impressions as double), cast(coalesce(clicked.clicks, 0) as double),
            'cvr', cast(clicked.clicks as double), cast(coalesce(purchases.purchases, 0) as double),
            'stay_seconds', cast(clicked.timed_clicks as double), clicked.seconds
        ) as (measure, per, y)
    from users
    left join shown on shown.day = users.day and shown.user_id = users.user_id
    left join clicked on clicked.day = users.day and clicked.user_id = users.user_id
    left join purchases on purchases.day = users.day and purchases.user_id = users.user_id
    where shown.impressions is not null or clicked.clicks is not null
),

responses as (
    select
        day,
        channel,
        measure,

        count(*) as users,

        sum(per) as per,
        sum(y) as y,
        sum(per * per) as uu,
        sum(per * y) as uy,
        sum(y * y) as yy
    from by_user
    where per > 0
    group by day, channel, measure
)

select * from responses
