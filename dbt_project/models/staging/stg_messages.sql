with source as (
    select * from {{ source('raw', 'messages') }}
),

renamed as (
    select
        day,
        message_id,
        campaign_id,
        user_id,

        message_channel,
        arm,
        status,

        sent_at,
        cost
    from source
)

select * from renamed
