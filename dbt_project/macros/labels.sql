{# Days from the feature day until the delivery with which a label is complete. #}
{% macro known_after_days(label) -%} {{ label.to_day + var("lateness_days") }} {%- endmacro %}

{# The feature days whose label this run completes. #}
{% macro first_feature_day(label) -%} date_sub({{ from_day() }}, {{ known_after_days(label) }}) {%- endmacro %}

{% macro last_feature_day(label) -%} date_sub({{ to_day() }}, {{ known_after_days(label) }}) {%- endmacro %}

{# The amount of a tile that a label adds up; null where the tile has nothing to add. #}
{% macro label_amount(label) -%}
    {%- if label.kind == "activity" -%} case when is_first then cast(1 as decimal(19, 2)) end
    {%- elif label.kind == "net_revenue" -%} cast(sale_amount - refund_amount as decimal(19, 2))
    {%- else -%} {{ exceptions.raise_compiler_error("Label " ~ label.name ~ ": kind " ~ label.kind ~ " is neither activity nor net_revenue.") }}
    {%- endif -%}
{%- endmacro %}

{# Names of the labels that say whether there was activity, as a SQL list. #}
{% macro activity_labels() -%}
    {{ "''" }}
    {%- for label in var("labels") if label.kind == "activity" %}, '{{ label.name }}'{% endfor -%}
{%- endmacro %}
