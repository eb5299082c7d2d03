{# Each row has the whole key, and no two rows have the same. #}
{% test key(model, columns) %}
    select {{ columns | join(", ") }}, count(*) as rows_with_key
    from {{ model }}
    group by {{ columns | join(", ") }}
    having count(*) > 1 {% for column in columns %} or {{ column }} is null {% endfor %}
{% endtest %}
