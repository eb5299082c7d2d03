with source as (
    select * from {{ source('raw', 'consents') }}
),

renamed as (
    select
        day,
        consent_id,
        user_id,

        action,

        coalesce(at, timestamp(date_add(occurred_on, 1))) as at
    from source
    where (purpose = 'profiling' and (action = 'withdraw' or at is not null))
        or (action = 'withdraw' and purpose is null and message_channel is null)
)

select * from renamed
