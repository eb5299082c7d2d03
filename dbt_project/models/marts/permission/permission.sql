{#
  Who may be texted, as far as deliveries say. Every column that a code depends on says what is right, and a code is left out
  only where that is true: what nobody knows is a reason not to send.
#}
with days as (
    select explode(sequence({{ from_day() }}, {{ to_day() }})) as day
),

-- Consents: a ledger of facts. Of several deliveries of one the first counts.

delivered as (
    select
        *,
        row_number() over (partition by consent_id, occurred_on order by day) as delivery
    from {{ ref('stg_consents') }}
    where day <= {{ to_day() }}
),

consents as (
    select
        day as delivered_on,
        consent_id,
        user_id,
        phone_hmac,
        consent_source,
        policy_version,
        given_at,

        coalesce(
            action = 'grant'
            and message_channel = {{ quoted(var('message_channel')) }}
            and purpose = {{ quoted(var('message_purpose')) }},
            false
        ) as is_grant,
        given_at is null or consent_source is null or policy_version is null as is_incomplete,

        action = 'withdraw'
            and {{ takes_away('message_channel', var('message_channel')) }}
            and {{ takes_away('purpose', var('message_purpose')) }} as is_withdrawal,
        coalesce(given_at, {{ end_of('day') }}) as withdrawn_at,
        occurred_on as withdrawn_on
    from delivered
    where delivery = 1
),

-- A withdrawal counts at once, a grant only when the time at which it says it was given has come.
known as (
    select
        days.day,
        consents.*
    from days
    inner join consents on consents.delivered_on <= days.day
    where consents.is_withdrawal
        or (consents.is_grant and (consents.given_at is null or consents.given_at < {{ end_of('days.day') }}))
),

-- The latest grant is the one that counts; of two at one time the incomplete one, and one without a time only where it is alone.
ledger as (
    select
        day,
        user_id,

        max_by(
            struct(given_at, consent_source, policy_version, phone_hmac, is_incomplete),
            struct(given_at, is_incomplete, consent_id)
        ) filter (where is_grant) as granted,
        max(given_at) filter (where is_grant and not is_incomplete) as fully_granted_at,
        max(withdrawn_at) filter (where is_withdrawal) as withdrawn_at
    from known
    group by day, user_id
),

-- Phones: states, each from its delivery to before the next. A run is how long a number stayed the same.

spans as (
    select
        *,
        lead(day) over (partition by user_id order by day) as until_day,
        coalesce(phone_hmac = lag(phone_hmac) over (partition by user_id order by day), false) as is_same_number
    from {{ ref('stg_numbers') }}
    where day <= {{ to_day() }}
),

runs as (
    select
        *,
        count_if(not is_same_number) over (
            partition by user_id
            order by day
            rows between unbounded preceding and current row
        ) as run
    from spans
),

held as (
    select
        user_id,
        day as from_day,
        until_day,
        min(day) over (partition by user_id, run) as held_since,

        phone_hmac,
        phone_hmacs,

        has_phone,
        is_valid,
        is_mobile,

        number_country,
        number_zones
    from runs
),

-- Every name of a number that a user held, since a reply or a consent may use any of them.
named as (
    select
        user_id,
        from_day,
        until_day,
        explode(phone_hmacs) as phone_hmac
    from held
),

current as (
    select
        days.day,
        held.*
    from days
    inner join held on held.from_day <= days.day and (held.until_day > days.day or held.until_day is null)
),

current_named as (
    select
        day,
        user_id,
        explode(phone_hmacs) as phone_hmac
    from current
),

-- Opt-outs: by reply, which closes a phone and all users who held it then, and by withdrawal.

stopped as (
    select
        days.day,
        opt_outs.phone_hmac,
        opt_outs.stopped_at
    from days
    inner join {{ ref('stg_opt_outs') }} as opt_outs on opt_outs.day <= days.day
    group by days.day, opt_outs.phone_hmac, opt_outs.stopped_at
),

-- Nobody knows the hour of a delivery: who held a number on any part of the date held it.
holders as (
    select
        stopped.day,
        stopped.phone_hmac,
        stopped.stopped_at,
        named.user_id
    from stopped
    inner join named
        on named.phone_hmac = stopped.phone_hmac
            and named.from_day <= least(stopped.day, date(stopped.stopped_at))
            and (named.until_day >= date(stopped.stopped_at) or named.until_day is null)
    group by stopped.day, stopped.phone_hmac, stopped.stopped_at, named.user_id
),

taken_away as (
    select day, user_id, phone_hmac, withdrawn_at, withdrawn_on, false as is_stop from known where is_withdrawal
    union all
    select day, user_id, phone_hmac, stopped_at, date(stopped_at), true from holders
),

-- Only a complete grant of the same user, and a later one, opens again what was closed.
in_force as (
    select taken_away.*
    from taken_away
    left join ledger on ledger.day = taken_away.day and ledger.user_id = taken_away.user_id
    where ledger.fully_granted_at is null or ledger.fully_granted_at <= taken_away.withdrawn_at
),

opted_out as (
    select
        day,
        user_id,
        min(withdrawn_on) as since_on,
        bool_or(is_stop) as has_stopped
    from in_force
    group by day, user_id
),

-- Closed for everybody else: what an opted-out user holds, has held since, or has named.
closed as (
    select
        opted_out.day,
        opted_out.user_id,
        named.phone_hmac
    from opted_out
    inner join named
        on named.user_id = opted_out.user_id
            and named.from_day <= opted_out.day
            and (named.until_day >= opted_out.since_on or named.until_day is null)
    union
    select day, user_id, phone_hmac from in_force where phone_hmac is not null
),

-- A phone that said stop stays closed for who came to it later, whatever they grant.
shared as (
    select
        current_named.day,
        current_named.user_id
    from current_named
    inner join closed on closed.day = current_named.day and closed.phone_hmac = current_named.phone_hmac
    where closed.user_id <> current_named.user_id
    union
    select
        current_named.day,
        current_named.user_id
    from current_named
    inner join stopped on stopped.day = current_named.day and stopped.phone_hmac = current_named.phone_hmac
    left anti join holders
        on holders.day = stopped.day
            and holders.phone_hmac = stopped.phone_hmac
            and holders.stopped_at = stopped.stopped_at
            and holders.user_id = current_named.user_id
),

-- Addresses: the state of the user.

addresses as (
    select
        *,
        lead(day) over (partition by user_id order by day) as until_day
    from {{ ref('stg_users') }}
    where day <= {{ to_day() }}
),

current_addresses as (
    select
        days.day,
        addresses.user_id,
        {{ address_zones('addresses.timezone', 'addresses.country') }} as address_zones
    from days
    inner join addresses
        on addresses.day <= days.day and (addresses.until_day > days.day or addresses.until_day is null)
),

judged as (
    select
        ledger.day,
        ledger.user_id,

        ledger.granted.given_at as consent_at,
        ledger.granted.consent_source,
        ledger.granted.policy_version,

        ledger.granted is not null
            and (ledger.withdrawn_at is null or ledger.granted.given_at > ledger.withdrawn_at)
            and not coalesce(opted_out.has_stopped, false) as is_granted,
        not ledger.granted.is_incomplete as is_complete,
        ledger.granted.given_at
            >= {{ end_of('ledger.day') }} - make_dt_interval({{ var('consent_valid_days') }}) as is_fresh,

        current.has_phone,
        current.is_valid,
        current.is_mobile,
        current.held_since <= date(ledger.granted.given_at)
            and (
                ledger.granted.phone_hmac is null
                or array_contains(current.phone_hmacs, ledger.granted.phone_hmac)
            ) as is_of_the_grant,
        shared.user_id is null as is_of_no_opted_out,

        current.phone_hmac,
        current.number_country as country,
        -- An address that says nothing leaves the number's zones; one that nobody understands leaves none.
        case
            when current.number_zones is not null
                and (current_addresses.user_id is null or current_addresses.address_zones is not null)
                then array_join(
                    array_sort(
                        array_distinct(
                            filter(
                                split(concat_ws('|', current.number_zones, current_addresses.address_zones), '[|]'),
                                zone -> zone <> ''
                            )
                        )
                    ),
                    '|'
                )
        end as zones
    from ledger
    left join opted_out on opted_out.day = ledger.day and opted_out.user_id = ledger.user_id
    left join current on current.day = ledger.day and current.user_id = ledger.user_id
    left join shared on shared.day = ledger.day and shared.user_id = ledger.user_id
    left join current_addresses
        on current_addresses.day = ledger.day and current_addresses.user_id = ledger.user_id
),

coded as (
    select
        day,
        user_id,

        case
            when not coalesce(is_granted, false) then 'consent_withdrawn'
            when not coalesce(is_complete, false) then 'consent_incomplete'
            when not coalesce(is_fresh, false) then 'consent_stale'
            when not coalesce(has_phone, false) then 'no_phone'
            when not coalesce(is_valid, false) then 'invalid_phone'
            when not coalesce(is_mobile, false) then 'not_mobile'
            when not coalesce(is_of_the_grant, false) then 'phone_changed'
            when not coalesce(is_of_no_opted_out, false) then 'phone_shared_with_opted_out'
        end as code,

        phone_hmac,
        consent_at,
        consent_source,
        policy_version,

        zones,
        country,
        -- No feature says at which hour a user is active.
        cast(null as int) as usual_hour
    from judged
)

select * from coded
