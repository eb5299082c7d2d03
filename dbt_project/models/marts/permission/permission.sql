{#
  Who may be texted, as far as deliveries say. Every column that a code depends on says what is right, and a code is left out
  only where that is true: what nobody knows is a reason not to send.

  Each step is read by one other: Spark does a step again for every reader.
#}

-- Consents: a ledger of facts. Of several deliveries of one the first counts.

with delivered as (
    select
        *,
        row_number() over (partition by consent_id, occurred_on order by day) as delivery
    from {{ ref('stg_consents') }}
    where day <= {{ to_day() }}
),

consents as (
    select
        {{ each_day_since('day') }} as day,
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

-- A withdrawal counts at once, a grant only when the time at which it says it was given has come. The latest grant is the one
-- that counts; of two at one time the incomplete one, and one without a time only where it is alone.
ledger as (
    select
        day,
        user_id,

        max_by(
            struct(given_at, consent_source, policy_version, phone_hmac, is_incomplete),
            struct(given_at, is_incomplete, consent_id)
        ) filter (where is_grant) as granted,
        max(given_at) filter (where is_grant and not is_incomplete) as fully_granted_at,
        max(withdrawn_at) filter (where is_withdrawal) as withdrawn_at,
        collect_list(struct(withdrawn_at as at, withdrawn_on as since_on, phone_hmac, false as is_stop))
            filter (where is_withdrawal) as withdrawals
    from consents
    where is_withdrawal or (is_grant and (given_at is null or given_at < {{ end_of('day') }}))
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
        *,
        min(day) over (partition by user_id, run) as held_since
    from runs
),

daily as (
    select
        {{ each_day_since('day') }} as day,
        user_id,
        day as from_day,
        until_day,
        phone_hmacs,
        struct(
            held_since,
            phone_hmac,
            phone_hmacs,
            has_phone,
            is_valid,
            is_mobile,
            number_country,
            number_zones
        ) as number
    from held
),

-- Every name of a number that a user held, since a reply or a consent may use any of them.
named as (
    select
        day,
        user_id,
        from_day,
        until_day,
        coalesce(until_day > day, true) as is_current,
        number,
        explode_outer(phone_hmacs) as phone_hmac
    from daily
),

-- Replies that opt out: each closes a phone, and opts out whoever held it then.

replies as (
    select
        {{ each_day_since('day') }} as day,
        phone_hmac,
        stopped_at
    from {{ ref('stg_opt_outs') }}
    where day <= {{ to_day() }}
),

stopped as (
    select
        day,
        phone_hmac,
        collect_set(struct(phone_hmac, stopped_at as at)) as stops
    from replies
    group by day, phone_hmac
),

-- Nobody knows the hour of a delivery: who held a number on any part of the date held it.
heard as (
    select
        named.*,
        stopped.stops,
        filter(
            stopped.stops,
            stop -> named.from_day <= date(stop.at) and coalesce(named.until_day >= date(stop.at), true)
        ) as stops_of_the_user
    from named
    left join stopped on stopped.day = named.day and stopped.phone_hmac = named.phone_hmac
),

phones as (
    select
        day,
        user_id,

        any_value(number) filter (where is_current) as number,
        collect_set(phone_hmac) filter (where is_current) as current_names,
        collect_list(struct(phone_hmac, until_day)) filter (where phone_hmac is not null) as names,
        flatten(collect_list(stops) filter (where is_current)) as stops,
        flatten(collect_list(stops_of_the_user)) as stops_of_the_user
    from heard
    group by day, user_id
),

-- Only a complete grant of the same user, and a later one, opens again what was closed.
people as (
    select
        *,
        filter(
            concat(
                coalesce(ledger.withdrawals, array()),
                coalesce(
                    transform(
                        phones.stops_of_the_user,
                        stop -> struct(stop.at, date(stop.at) as since_on, stop.phone_hmac, true as is_stop)
                    ),
                    array()
                )
            ),
            taken -> coalesce(ledger.fully_granted_at <= taken.at, true)
        ) as opt_outs
    from ledger
    full outer join phones using (day, user_id)
),

judged as (
    select
        day,
        user_id,
        coalesce(current_names, array()) as current_names,

        -- Closed for everybody else: what an opted-out user holds, has held since, or has named.
        case
            when size(opt_outs) > 0
                then array_union(
                    transform(
                        filter(
                            coalesce(names, array()),
                            name -> coalesce(
                                name.until_day >= array_min(transform(opt_outs, opt_out -> opt_out.since_on)),
                                name.until_day is null
                            )
                        ),
                        name -> name.phone_hmac
                    ),
                    array_compact(transform(opt_outs, opt_out -> opt_out.phone_hmac))
                )
            else array()
        end as closed_names,

        struct(
            granted,
            number,
            granted is not null or withdrawn_at is not null as has_any_consent,

            granted is not null
                and (withdrawn_at is null or granted.given_at > withdrawn_at)
                and not exists(opt_outs, opt_out -> opt_out.is_stop) as is_granted,
            not granted.is_incomplete as is_complete,
            granted.given_at >= {{ end_of('day') }} - make_dt_interval({{ var('consent_valid_days') }}) as is_fresh,
            number.held_since <= date(granted.given_at)
                and (granted.phone_hmac is null or array_contains(number.phone_hmacs, granted.phone_hmac)) as is_of_the_grant,
            -- A phone that said stop stays closed for who came to it later, whatever they grant.
            size(array_except(coalesce(stops, array()), coalesce(stops_of_the_user, array()))) = 0 as is_of_no_earlier_stop
        ) as found
    from people
),

-- One row per user and number, so that who has one meets who has closed it.
told as (
    select
        day,
        user_id,
        closed_names,
        current_names,
        found,
        explode_outer(array_union(current_names, closed_names)) as phone_hmac
    from judged
),

met as (
    select
        *,
        array_contains(current_names, phone_hmac) as is_held,
        min(if(array_contains(closed_names, phone_hmac), user_id, null)) over same_number as first_closed_by,
        max(if(array_contains(closed_names, phone_hmac), user_id, null)) over same_number as last_closed_by
    from told
    -- Those without a number have nobody in common.
    window same_number as (partition by day, coalesce(phone_hmac, user_id))
),

answered as (
    select
        day,
        user_id,
        any_value(found) as found,
        not coalesce(bool_or(is_held and (first_closed_by <> user_id or last_closed_by <> user_id)), false)
            as is_of_no_opted_out
    from met
    group by day, user_id
),

-- Addresses: the state of the user.

addresses as (
    select
        *,
        lead(day) over (partition by user_id order by day) as until_day
    from {{ ref('stg_users') }}
    where day <= {{ to_day() }}
),

daily_addresses as (
    select
        {{ each_day_since('day') }} as day,
        user_id,
        until_day,
        {{ address_zones('timezone', 'country') }} as address_zones
    from addresses
),

current_addresses as (
    select * from daily_addresses where until_day > day or until_day is null
),

coded as (
    select
        answered.day,
        answered.user_id,

        case
            when not coalesce(found.is_granted, false) then 'consent_withdrawn'
            when not coalesce(found.is_complete, false) then 'consent_incomplete'
            when not coalesce(found.is_fresh, false) then 'consent_stale'
            when not coalesce(found.number.has_phone, false) then 'no_phone'
            when not coalesce(found.number.is_valid, false) then 'invalid_phone'
            when not coalesce(found.number.is_mobile, false) then 'not_mobile'
            when not coalesce(found.is_of_the_grant, false) then 'phone_changed'
            when not coalesce(found.is_of_no_earlier_stop and is_of_no_opted_out, false) then 'phone_shared_with_opted_out'
        end as code,

        found.number.phone_hmac,
        found.granted.given_at as consent_at,
        found.granted.consent_source,
        found.granted.policy_version,

        -- An address that says nothing leaves the number's zones; one that nobody understands leaves none.
        case
            when found.number.number_zones is not null
                and (current_addresses.user_id is null or current_addresses.address_zones is not null)
                then array_join(
                    array_sort(
                        array_distinct(
                            filter(
                                split(concat_ws('|', found.number.number_zones, current_addresses.address_zones), '[|]'),
                                zone -> zone <> ''
                            )
                        )
                    ),
                    '|'
                )
        end as zones,
        found.number.number_country as country
    from answered
    left join current_addresses
        on current_addresses.day = answered.day and current_addresses.user_id = answered.user_id
    where found.has_any_consent
)

select * from coded
