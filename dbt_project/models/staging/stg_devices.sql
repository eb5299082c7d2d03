with source as (
    select * from {{ source('raw', 'devices') }}
),

renamed as (
    select
        day,
        user_id,
        id_type,
        id_hash
    from source
)

select * from renamed
