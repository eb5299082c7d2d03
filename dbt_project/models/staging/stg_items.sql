with source as (
    select * from {{ source('raw', 'items') }}
),

renamed as (
    select
        day,
        item_id,

        category,
        title,
        attributes
    from source
)

select * from renamed
