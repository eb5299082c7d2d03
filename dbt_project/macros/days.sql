{# The first and the last day that this run builds, as SQL dates. #}
{% macro from_day() -%} date'{{ var("from_day") }}' {%- endmacro %}

{% macro to_day() -%} date'{{ var("to_day") }}' {%- endmacro %}

{# True for rows of the days that this run builds. #}
{% macro being_built(column="day") -%}
    {{ column }} between {{ from_day() }} and {{ to_day() }}
{%- endmacro %}

{# Each day that this run builds, from the day of a row on, which is none after the last of them. #}
{% macro each_day_since(day) -%}
    explode(sequence(greatest({{ day }}, {{ from_day() }}), {{ to_day() }}))
{%- endmacro %}

{# Every data test looks at the days being built only: what a day's tests cost follows the day, not the history. #}
{% macro get_where_subquery(relation) -%}
    (select * from {{ relation }} where {{ being_built() }}) as being_built
{%- endmacro %}

{# True where a row of this delivery and date of activity is known on one of the days that this run builds, and of the 7 days to it. #}
{% macro is_in_a_week(day, activity_on) -%}
    greatest({{ day }}, {{ activity_on }}, {{ from_day() }}) <= least(date_add({{ activity_on }}, 6), {{ to_day() }})
{%- endmacro %}

{# Each of these days, for a row where there is one. #}
{% macro each_day_of_week_since(day, activity_on) -%}
    explode(sequence(
        greatest({{ day }}, {{ activity_on }}, {{ from_day() }}), least(date_add({{ activity_on }}, 6), {{ to_day() }})
    ))
{%- endmacro %}
