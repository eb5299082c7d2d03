{#
  The scores of a day meet what their users did once it is known. Predictions are taken by label, not by horizon: those of
  horizons are sums of increments, and so are theirs here. A day that nobody scored has no rows.

  A product counts the users that its training judges by: all of them, or, where it foretells what happens without a message of
  ours, those without one as ml/training/messages.py says who they are. Not whoever was sent none: who comes back is sent no
  more, so these have come back more often. A message counts that came no later than the first return, and of those who came
  back before any, as many are left out as would have been sent one on the days left: one minus the product-limit estimate of
  staying without. Users who are alike are those of a decile here, by which tools choose whom to send to.
#}
with scored as (
    {% for outcome in var('outcomes') %}
    select
        date_add(day, {{ known_after_days(outcome) }}) as day,
        '{{ outcome.product }}' as product,
        '{{ outcome.label }}' as label,
        day as scored_on,
        {{ outcome.to_day }} as last_day,
        {{ outcome.without_messages }} as without_messages,
        user_id,
        decile,
        is_backfilled,
        cast({{ outcome.predicted }} as double) as predicted
    from {{ outcome.table }}
    where day between {{ first_feature_day(outcome) }} and {{ last_feature_day(outcome) }}
    {{ "union all" if not loop.last }}
    {% else %}
    select
        day,
        '' as product,
        label,
        feature_day as scored_on,
        0 as last_day,
        false as without_messages,
        user_id,
        1 as decile,
        false as is_backfilled,
        value as predicted
    from {{ ref('labels') }} where false
    {% endfor %}
),

known as (
    select * from {{ ref('labels') }} where {{ being_built() }}
),

met as (
    select
        scored.*,
        known.value as actual,
        -- Null where training asks for neither, and of labels that an earlier Rekindle built: nobody was sent any then.
        if(scored.without_messages, known.message_after_days, null) as message_after_days,
        if(scored.without_messages, known.active_after_days, null) as active_after_days
    from scored
    inner join known
        on known.day = scored.day
            and known.feature_day = scored.scored_on
            and known.label = scored.label
            and known.user_id = scored.user_id
    -- A score about another horizon, or one that was not to be had, predicted nothing of this label.
    where scored.predicted is not null
),

told as (
    select
        *,
        -- A message of the day of the return counts as before it: it was decided on by what was known the day before.
        coalesce(message_after_days <= coalesce(active_after_days, message_after_days), false) as is_messaged,
        -- The last day on which the first message could come.
        least(message_after_days, active_after_days, last_day) as away_until
    from met
),

-- Who came back without a message is drawn by a hash of user and day: the same at each build, whatever else is built.
alike as (
    select
        day,
        product,
        label,
        scored_on,
        decile,
        away_until,
        is_messaged,
        if(
            active_after_days is null or is_messaged,
            null,
            pmod(xxhash64('without a message', user_id, scored_on), 1000000) / 1000000
        ) as drawn,

        bool_or(is_backfilled) as is_backfilled,
        count(*) as users,

        sum(predicted) as predicted,
        sum(actual) as actual,
        sum(power(actual - predicted, 2)) as squared_error
    from told
    group by all
),

at_risk as (
    select
        *,
        sum(users) over (
            partition by day, product, label, decile
            order by away_until desc
            range between unbounded preceding and current row
        ) as still_away
    from alike
),

-- The chance of no message on any later day: a product, as a sum of logarithms. Of a day one row of a decile at most is messaged.
staying as (
    select
        *,
        exp(coalesce(
            sum(case
                when is_messaged and users < still_away then ln(1 - users / still_away)
                -- The logarithm of 0 is null to Spark, and would count as 1.
                when is_messaged then double('-infinity')
            end) over (
                partition by day, product, label, decile
                order by away_until desc
                range between unbounded preceding and 1 preceding
            ),
            0
        )) as stays
    from at_risk
),

by_decile as (
    select
        day,
        product,
        label,
        scored_on,
        cast(decile as int) as decile,

        bool_or(is_backfilled) as is_backfilled,
        sum(users) as users,

        sum(predicted) as predicted,
        sum(actual) as actual,
        sum(squared_error) as squared_error
    from staying
    where not is_messaged and (drawn is null or drawn < stays)
    group by day, product, label, scored_on, decile
)

select * from by_decile
