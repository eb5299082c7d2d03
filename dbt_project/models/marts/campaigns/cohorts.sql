with features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

by_month as (
    select
        day,
        cast(date_trunc('month', registered_on) as date) as registered_in,

        count(*) as users,
        count_if(active_days_28d > 0) as active_users,
        count_if(orders_28d > 0) as buyers,

        cast(sum(sale_amount_28d - refund_amount_28d) as decimal(18, 2)) as net_revenue
    from features
    group by day, cast(date_trunc('month', registered_on) as date)
)

select * from by_month
