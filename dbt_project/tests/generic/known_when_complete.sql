{# A label is one of those that were asked for, and comes with the delivery that completed it: never before, never after. #}
{% test known_when_complete(model) %}
    select * from {{ model }}
    where not coalesce(
        datediff(day, feature_day) = case
            when false then 0
            {% for label in var("labels") %} when label = '{{ label.name }}' then {{ known_after_days(label) }} {% endfor %}
        end,
        false
    )
{% endtest %}
