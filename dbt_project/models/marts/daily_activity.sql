with deliveries as (
    select distinct day from {{ source('raw', 'deliveries') }} where {{ being_built() }}
),

tiles as (
    select * from {{ source('features', 'user_day') }} where {{ being_built() }}
),

added_up as (
    select
        day,
        count(*) as tiles,
        count_if(activity_on < day) as late_tiles,
        count(distinct user_id) as users,
        count(distinct case when is_first then user_id end) as active_users,
        sum(aggregate(map_values(event_counts), 0L, (total, n) -> total + n)) as events,
        sum(orders) as orders,
        sum(sale_amount) as sale_amount,
        sum(refund_amount) as refund_amount
    from tiles
    group by day
),

by_delivery as (
    select
        deliveries.day,

        coalesce(added_up.tiles, 0) as tiles,
        coalesce(added_up.late_tiles, 0) as late_tiles,

        coalesce(added_up.users, 0) as users,
        coalesce(added_up.active_users, 0) as active_users,

        coalesce(added_up.events, 0) as events,
        coalesce(added_up.orders, 0) as orders,

        coalesce(added_up.sale_amount, 0) as sale_amount,
        coalesce(added_up.refund_amount, 0) as refund_amount
    from deliveries
    left join added_up on added_up.day = deliveries.day
)

select * from by_delivery
