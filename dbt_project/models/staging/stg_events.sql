with source as (
    select * from {{ source('raw', 'events') }}
),

renamed as (
    select
        day,
        event_id,
        user_id,
        item_id,
        session_id,

        occurred_at,
        date(occurred_at) as activity_on,
        date(occurred_at) < day as is_late,

        type as event_type,
        {{ var('event_is_activity') }} as is_activity,

        value,
        properties
    from source
)

select * from renamed
