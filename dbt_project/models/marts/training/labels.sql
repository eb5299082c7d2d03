{#
  A tile counts for a feature day if its activity lies in the label's window and its delivery came before the label was
  complete. That is one stretch of feature days: the tile enters with the first of them and leaves after the last, and the
  value of a feature day is the running sum. One plan serves a day and a year, and reads each tile once a label. Stretches
  are cut off at the feature days that are asked for, so a single day has no step but the ones it counts.
#}
with feature_days as (
    {% for label in var('labels') %}
    select
        date_add(day, {{ known_after_days(label) }}) as day,
        day as feature_day,
        user_id,
        '{{ label.name }}' as label
    from {{ source('features', 'user') }}
    where day between {{ first_feature_day(label) }} and {{ last_feature_day(label) }}
    {{ "union all" if not loop.last }}
    {% else %}
    select day, day as feature_day, user_id, '' as label from {{ source('features', 'user') }} where false
    {% endfor %}
),

stretches as (
    {% for label in var('labels') %}
    select
        user_id,
        '{{ label.name }}' as label,
        greatest(
            date_sub(activity_on, {{ label.to_day }}),
            date_sub(day, {{ known_after_days(label) }}),
            {{ first_feature_day(label) }}
        ) as enters_on,
        date_sub(activity_on, {{ label.from_day - 1 }}) as leaves_on,
        {{ last_feature_day(label) }} as last_on,
        {{ of_kind(label, 'amount')() }} as amount
    from {{ source('features', 'user_day') }}
    -- Nothing is delivered before its day, except what happened in the minutes after midnight: one day before.
    where day between date_add({{ first_feature_day(label) }}, {{ label.from_day - 1 }}) and {{ to_day() }}
    {{ "union all" if not loop.last }}
    {% else %}
    select user_id, '' as label, day as enters_on, day as leaves_on, day as last_on, cast(0 as decimal(19, 2)) as amount
    from {{ source('features', 'user_day') }} where false
    {% endfor %}
),

counted as (
    select * from stretches where enters_on < leaves_on and enters_on <= last_on and amount <> 0
),

steps as (
    select day, feature_day, user_id, label, cast(0 as decimal(19, 2)) as amount from feature_days
    union all
    select null, enters_on, user_id, label, amount from counted
    union all
    select null, leaves_on, user_id, label, -amount from counted where leaves_on <= last_on
),

running as (
    select
        *,
        sum(amount) over (
            partition by user_id, label
            order by feature_day
            range between unbounded preceding and current row
        ) as total
    from steps
),

known as (
    select
        day,
        feature_day,
        user_id,
        label,
        cast(
            case label
                when '' then null
                {% for label in var('labels') %}
                when '{{ label.name }}' then {{ of_kind(label, 'value')('total') }}
                {% endfor %}
            end as double
        ) as value
    from running
    where day is not null
)

select * from known
