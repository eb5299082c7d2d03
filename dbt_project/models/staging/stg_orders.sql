with source as (
    select * from {{ source('raw', 'orders') }}
),

renamed as (
    select
        day,
        order_id,
        line_id,
        user_id,
        item_id,

        occurred_at,
        date(occurred_at) as activity_on,
        date(occurred_at) < day as is_late,

        kind,
        {{ var('order_is_activity') }} as is_activity,

        amount,
        case kind when 'refund' then -amount else amount end as net_amount,
        currency
    from source
)

select * from renamed
