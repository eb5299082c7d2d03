{#
  Which devices ads are bid for, and how high. A device is judged by each of its users, and the most cautious holds: one who
  speaks against it is enough, and of several values the least counts. What nobody knows is a reason not to bid.
#}
{% set rta = var('rta') %}

with held as (
    select distinct
        {{ each_day_since('day') }} as day,
        user_id,
        id_hash
    from {{ ref('stg_devices') }}
    where day <= {{ to_day() }}
        -- What a device says that lets nobody follow it; such an id is everybody's.
        and id_hash <> sha2('00000000-0000-0000-0000-000000000000', 256)
),

features as (
    select * from {{ source('features', 'user') }} where {{ being_built() }}
),

-- Permission: a complete grant of what conf/rta.yml names, and no withdrawal as late as it. Of several deliveries of a consent the
-- first counts.

objecting as (
    {{ objecting('held') }}
),

delivered as (
    select
        *,
        row_number() over (partition by consent_id, occurred_on order by day) as delivery
    from {{ ref('stg_consents') }}
    where day <= {{ to_day() }}
),

said as (
    select
        {{ each_day_since('day') }} as day,
        user_id,
        given_at,
        coalesce(
            action = 'grant'
            and message_channel = {{ quoted(rta.consent.message_channel) }}
            and purpose = {{ quoted(rta.consent.purpose) }}
            and consent_source is not null
            and policy_version is not null,
            false
        ) as is_grant,
        action = 'withdraw'
            and {{ takes_away('message_channel', rta.consent.message_channel) }}
            and {{ takes_away('purpose', rta.consent.purpose) }} as is_withdrawal,
        coalesce(given_at, {{ end_of('day') }}) as withdrawn_at
    from delivered
    where delivery = 1
),

consented as (
    select
        day,
        user_id,
        max(given_at) filter (where is_grant) as granted_at,
        max(withdrawn_at) filter (where is_withdrawal) as withdrawn_at
    from said
    where is_withdrawal or (is_grant and given_at < {{ end_of('day') }})
    group by day, user_id
),

-- What is at stake: what a return that would not come by itself is worth, or what is to be expected of who is no customer yet.

valued as (
    select
        held.day,
        held.id_hash,

        case
            when objecting.user_id is not null then 'consent_withdrawn'
            when consented.withdrawn_at >= coalesce(consented.granted_at, consented.withdrawn_at) then 'consent_withdrawn'
            when consented.granted_at is null then 'no_consent'
            when consented.granted_at < date_sub(date_add(held.day, 1), {{ var('consent_valid_days') }}) then 'consent_stale'
            when features.user_id is null then 'unknown_user'
        end as forbidden,
        case
            when recall.user_id is not null then 'recall'
            when features.recency_days < {{ var('lapse_days') }} then 'current'
            when coalesce(features.recency_days >= {{ var('recall_memory_days') }}, true) then 'acquisition'
        end as audience,
        case
            when recall.user_id is not null
                then (1 - recall.return_probability)
                    * coalesce(worth.value_if_returns, {{ var('margin') }} * ltv.ltv_90)
            else {{ var('margin') }} * ltv.ltv_90
        end as value_at_stake,

        conv(substr(sha2(concat('{{ rta.control.salt }}', ':', held.user_id), 256), 1, 8), 16, 10) / 4294967296
            < {{ rta.control.share }} as is_control
    from held
    left join features on features.day = held.day and features.user_id = held.user_id
    left join objecting on objecting.day = held.day and objecting.user_id = held.user_id
    left join consented on consented.day = held.day and consented.user_id = held.user_id
    left join {{ source('scores', 'recall_daily') }} as recall
        on recall.day = held.day and recall.user_id = held.user_id and {{ being_built('recall.day') }}
    left join {{ source('scores', 'return_value_daily') }} as worth
        on worth.day = held.day and worth.user_id = held.user_id and {{ being_built('worth.day') }}
    left join {{ source('scores', 'ltv_daily') }} as ltv
        on ltv.day = held.day and ltv.user_id = held.user_id and {{ being_built('ltv.day') }}
),

devices as (
    select
        day,
        id_hash,

        -- Of several reasons the first by the alphabet.
        min(forbidden) as forbidden,
        bool_or(is_control) as is_control,
        bool_or(coalesce(audience = 'current', false)) as is_of_current_user,
        bool_or(coalesce(value_at_stake, 0) <= 0 or audience is null) as is_worth_nothing,
        min_by(audience, struct(value_at_stake, audience)) as audience,
        min(value_at_stake) as value_at_stake
    from valued
    group by day, id_hash
),

-- An exposure is counted once, however often it was delivered.
shown as (
    select
        days.day,
        won.id_hash,
        count(distinct won.request_id, won.occurred_on) as exposures
    from (select distinct day from held) as days
    inner join {{ ref('stg_ad_exposures') }} as won
        on won.day between date_sub(days.day, 90) and days.day
            and won.occurred_on > date_sub(days.day, {{ rta.cap.days }})
            and won.is_won
    where won.day between date_sub({{ from_day() }}, 90) and {{ to_day() }}
    group by days.day, won.id_hash
),

judged as (
    select
        devices.day,
        devices.id_hash,

        case devices.audience
            {% for audience, strategy in rta.strategies.items() %}
            when '{{ audience }}' then '{{ strategy.id }}'
            {% endfor %}
        end as strategy,
        devices.forbidden is null as is_permitted,
        devices.is_control,
        devices.value_at_stake,
        devices.audience,

        case
            when devices.forbidden is not null then devices.forbidden
            when devices.is_of_current_user then 'current_user'
            when devices.is_worth_nothing then 'no_value'
            when devices.audience not in ('' {%- for audience in rta.strategies %}, '{{ audience }}' {%- endfor %}) then 'no_strategy'
            when coalesce(shown.exposures, 0) >= {{ rta.cap.exposures }} then 'frequency_cap'
        end as unwanted
    from devices
    left join shown on shown.day = devices.day and shown.id_hash = devices.id_hash
),

ranked as (
    select
        *,
        median(case when unwanted is null then value_at_stake end) over (partition by day, strategy) as usual_value,
        -- One of the control group has the place that it would have among those that are bid for, so that both are of the same value.
        count_if(unwanted is null and not is_control) over (
            partition by day order by value_at_stake desc, id_hash
        ) + if(is_control, 1, 0) as place,
        count_if(is_permitted and not is_control) over (partition by day) as biddable
    from judged
),

decided as (
    select
        day,
        id_hash,

        if(unwanted is null, strategy, cast(null as string)) as strategy,
        is_permitted,
        is_control,
        case
            when unwanted is not null then unwanted
            when place > floor({{ rta.share.most }} * biddable) then 'beyond_share'
            when is_control then 'control'
        end as no_bid_reason,

        cast(value_at_stake as decimal(18, 2)) as value_at_stake,
        cast(
            case
                when unwanted is null then
                    case audience
                        {% for audience, strategy in rta.strategies.items() %}
                        when '{{ audience }}' then
                            least({{ strategy.most }}, greatest({{ strategy.least }}, power(value_at_stake / usual_value, {{ strategy.exponent }})))
                        {% endfor %}
                    end
            end as decimal(4, 2)
        ) as multiplier
    from ranked
)

select * from decided
