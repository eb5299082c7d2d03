with source as (
    select * from {{ source('raw', 'consents') }}
),

renamed as (
    select
        day,
        consent_id,
        occurred_on,
        user_id,
        phone_hmac,

        message_channel,
        purpose,
        action,

        at as given_at,
        source as consent_source,
        policy_version
    from source
)

select * from renamed
