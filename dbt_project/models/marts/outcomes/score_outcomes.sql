{#
  The scores of a day meet what their users did once it is known. Predictions are taken by label, not by horizon: those of
  horizons are sums of increments, and so are theirs here. A day that nobody scored has no rows.

  Scores say what users do by themselves: who was sent a message before the window was over is left out.
#}
{% set longest = var('outcomes') | map(attribute='to_day') | max | default(0) %}
with scored as (
    {% for outcome in var('outcomes') %}
    select
        date_add(day, {{ known_after_days(outcome) }}) as day,
        '{{ outcome.product }}' as product,
        '{{ outcome.label }}' as label,
        day as scored_on,
        date_add(day, {{ outcome.to_day }}) as window_ends,
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
        feature_day as window_ends,
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

messaged as (
    select
        user_id,
        date(sent_at) as sent_on,
        min(day) as told_on
    from {{ ref('stg_messages') }}
    where {{ was_sent() }}
        and date(sent_at) > date_sub({{ from_day() }}, {{ longest + var('lateness_days') }})
        -- Nothing is told of a message more than minutes before it is sent: earlier deliveries need not be read.
        and day between date_sub({{ from_day() }}, {{ longest + var('lateness_days') }}) and {{ to_day() }}
    group by user_id, date(sent_at)
),

came_true as (
    select
        scored.day,
        scored.product,
        scored.label,
        scored.scored_on,
        scored.decile,
        scored.is_backfilled,
        scored.predicted,
        known.value as actual
    from scored
    inner join known
        on known.day = scored.day
            and known.feature_day = scored.scored_on
            and known.label = scored.label
            and known.user_id = scored.user_id
    left anti join messaged
        on messaged.user_id = scored.user_id
            and messaged.sent_on > scored.scored_on
            and messaged.sent_on <= scored.window_ends
            and messaged.told_on <= scored.day
    -- A score about another horizon, or one that was not to be had, predicted nothing of this label.
    where scored.predicted is not null
),

by_decile as (
    select
        day,
        product,
        label,
        scored_on,
        cast(decile as int) as decile,

        bool_or(is_backfilled) as is_backfilled,
        count(*) as users,

        sum(predicted) as predicted,
        sum(actual) as actual,
        sum(power(actual - predicted, 2)) as squared_error
    from came_true
    group by day, product, label, scored_on, decile
)

select * from by_decile
