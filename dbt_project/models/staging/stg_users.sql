with source as (
    select * from {{ source('raw', 'users') }}
),

renamed as (
    select
        day,
        user_id,

        registered_at,
        date(registered_at) as registered_on,

        country,
        timezone,
        channel,
        attributes
    from source
)

select * from renamed
