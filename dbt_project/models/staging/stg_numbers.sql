with source as (
    select * from {{ source('permission', 'numbers') }}
),

renamed as (
    select
        day,
        user_id,

        phone_hmac,
        phone_hmacs,

        number_kind,
        number_kind <> 'none' as has_phone,
        number_kind not in ('none', 'extension', 'invalid', 'unparsable') as is_valid,
        number_kind in ('mobile', 'fixed_line_or_mobile') as is_mobile,

        number_country,
        number_zones
    from source
)

select * from renamed
