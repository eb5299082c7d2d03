with deliveries as (
    select distinct day from {{ source('raw', 'deliveries') }} where {{ being_built() }}
),

tiles as (
    select * from {{ source('features', 'user_day') }} where {{ being_built() }}
),

by_user as (
    select
        day,
        user_id,
        count(*) as tiles,
        count_if(activity_on < day) as late_tiles,
        bool_or(is_first) as is_active,
        sum(aggregate(map_values(event_counts), 0L, (total, n) -> total + n)) as events,
        sum(orders) as orders,
        sum(sale_amount) as sale_amount,
        sum(refund_amount) as refund_amount
    from tiles
    group by day, user_id
),

added_up as (
    select
        day,
        sum(tiles) as tiles,
        sum(late_tiles) as late_tiles,
        count(*) as users,
        count_if(is_active) as active_users,
        sum(events) as events,
        sum(orders) as orders,
        cast(sum(sale_amount) as decimal(28, 2)) as sale_amount,
        cast(sum(refund_amount) as decimal(28, 2)) as refund_amount
    from by_user
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
