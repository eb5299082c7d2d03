{# The rule is true for each row; a rule that cannot be decided is broken. #}
{% test holds(model, rule) %}
    select * from {{ model }} where not coalesce({{ rule }}, false)
{% endtest %}
