with source as (
    select * from {{ source('raw', 'ad_exposures') }}
),

renamed as (
    select
        day,
        request_id,
        occurred_on,
        id_hash,

        strategy,

        bid,
        price,

        won = 1 as is_won,
        clicked = 1 as is_clicked
    from source
)

select * from renamed
