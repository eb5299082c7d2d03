with features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

registered as (
    select
        day,
        user_id
    from features
)

select * from registered
