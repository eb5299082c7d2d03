with source as (
    select * from {{ source('permission', 'opt_outs') }}
),

renamed as (
    select
        day,
        reply_id,
        occurred_on,

        phone_hmac,
        at as stopped_at
    from source
)

select * from renamed
