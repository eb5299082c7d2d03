{# The totals of a day are those of the other table, to the cent. #}
{% test sums_equal(model, to, columns) %}
    select day {% for column in columns %}, sum({{ column }}) as {{ column }} {% endfor %}
    from {{ get_where_subquery(to) }}
    group by day
    except
    select day {% for column in columns %}, sum({{ column }}) as {{ column }} {% endfor %}
    from {{ model }}
    group by day
{% endtest %}
