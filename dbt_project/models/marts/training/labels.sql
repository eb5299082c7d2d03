{#
  A tile counts for a feature day if its activity lies in the label's window and its delivery came before the label was
  complete. That is one stretch of feature days: the tile enters with the first of them and leaves after the last, and the
  value of a feature day is the running sum. One plan serves a day and a year, and reads each tile once a label. Stretches
  are cut off at the feature days that are asked for, so a single day has no step but the ones it counts.

  Of a label about users without a message of ours, a row also says what was sent to them in its window, and when they were
  first active there: who comes back is not sent the next message, so who was sent none has come back more often.
#}
{% set about_unmessaged = var('labels') | selectattr('messages', 'defined') | selectattr('messages') | list %}
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

sent as (
    select
        user_id,
        date(sent_at) as sent_on,
        min(day) as told_on
    from {{ ref('stg_messages') }}
    where arm = 'treatment'
        and sent_at is not null
        -- Nothing is told of a message more than minutes before it is sent: earlier deliveries need not be read.
        and ({% for label in about_unmessaged %}
            day between date_add({{ first_feature_day(label) }}, {{ label.from_day - 1 }}) and {{ to_day() }}
            {{ "or" if not loop.last }}
            {% else %} false {% endfor %})
    group by user_id, message_id, date(sent_at)
),

-- What is told of later than the lateness allowance after it happened is not known when the last label is that holds it.
happened as (
    {% for label in about_unmessaged %}
    select user_id, '{{ label.name }}' as label, sent_on as happened_on, true as is_message
    from sent
    where told_on <= date_add(sent_on, {{ var('lateness_days') }})
    union all
    select user_id, '{{ label.name }}', activity_on, false
    from {{ source('features', 'user_day') }}
    where is_first
        and day <= date_add(activity_on, {{ var('lateness_days') }})
        and day between date_add({{ first_feature_day(label) }}, {{ label.from_day - 1 }}) and {{ to_day() }}
    {{ "union all" if not loop.last }}
    {% else %}
    select user_id, '' as label, day as happened_on, false as is_message from {{ source('features', 'user_day') }} where false
    {% endfor %}
),

steps as (
    select
        day,
        feature_day,
        user_id,
        label,
        cast(0 as decimal(19, 2)) as amount,
        cast(null as date) as sent_on,
        cast(null as date) as active_on
    from feature_days
    union all
    select null, enters_on, user_id, label, amount, null, null from counted
    union all
    select null, leaves_on, user_id, label, -amount, null, null from counted where leaves_on <= last_on
    union all
    select null, happened_on, user_id, label, 0, if(is_message, happened_on, null), if(is_message, null, happened_on) from happened
),

running as (
    select
        *,
        sum(amount) over (
            partition by user_id, label
            order by feature_day
            range between unbounded preceding and current row
        ) as total
        {%- for label in about_unmessaged %},
        count(sent_on) over in_{{ label.name }} as messages_of_{{ label.name }},
        min(sent_on) over in_{{ label.name }} as sent_of_{{ label.name }},
        min(active_on) over in_{{ label.name }} as active_of_{{ label.name }}
        {%- endfor %}
    from steps
    {%- for label in about_unmessaged %}
    {{ "window" if loop.first }} in_{{ label.name }} as (
        partition by user_id, label
        order by feature_day
        range between {{ label.from_day }} following and {{ label.to_day }} following
    ){{ "," if not loop.last }}
    {%- endfor %}
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
        ) as value,
        {{ of_unmessaged('messages', 'bigint', about_unmessaged) }} as messages,
        {{ of_unmessaged('sent', 'int', about_unmessaged) }} as message_after_days,
        {{ of_unmessaged('active', 'int', about_unmessaged) }} as active_after_days
    from running
    where day is not null
)

select * from known
