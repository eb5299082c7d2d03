{# Each user and day is in the other table too. #}
{% test keys_in(model, to) %}
    select day, user_id from {{ model }}
    except
    select day, user_id from {{ get_where_subquery(to) }}
{% endtest %}
