{# Days from the feature day until the delivery with which a label is complete. #}
{% macro known_after_days(label) -%} {{ label.to_day + var("lateness_days") }} {%- endmacro %}

{# The feature days whose label this run completes. #}
{% macro first_feature_day(label) -%} date_sub({{ from_day() }}, {{ known_after_days(label) }}) {%- endmacro %}

{% macro last_feature_day(label) -%} date_sub({{ to_day() }}, {{ known_after_days(label) }}) {%- endmacro %}

{#
  One of the three macros of a label's kind, which stand in macros/labels/<kind>.sql: `amount` is what a tile adds to a label,
  `value` the label from the sum over its window, `rule` what every value is.
#}
{% macro of_kind(label, part) -%}
    {%- set name = "label_" ~ label.kind ~ "_" ~ part -%}
    {%- if name not in context -%}
        {{ exceptions.raise_compiler_error("Label " ~ label.name ~ " has no macro " ~ name ~ ": write macros/labels/" ~ label.kind ~ ".sql.") }}
    {%- endif -%}
    {{ return(context[name]) }}
{%- endmacro %}

{# True for a row of labels whose value is what its kind promises. #}
{% macro label_rule() -%}
    case
        when false then true
        {%- for label in var("labels") %} when label = '{{ label.name }}' then {{ of_kind(label, "rule")() }} {% endfor -%}
    end
{%- endmacro %}

{#
  What a campaign knew of an outcome before it assigned anybody, from columns of campaigns.assignment: the fourth macro of a
  kind, `expected`, which may be missing. Such an outcome is measured without it.
#}
{% macro expected_of(label) -%}
    {%- set name = "label_" ~ label.kind ~ "_expected" -%}
    {{ return(context[name]() if name in context else "cast(null as double)") }}
{%- endmacro %}

{# What a row of labels says of messages, by label: a count, or days until what came first; null of a label that asks for none. #}
{% macro of_unmessaged(what, type, labels) -%}
    cast(
        case label
            when '' then null
            {%- for label in labels %}
            when '{{ label.name }}' then {{ what ~ "_of_" ~ label.name if what == "messages" else "datediff(" ~ what ~ "_of_" ~ label.name ~ ", feature_day)" }}
            {%- endfor %}
        end as {{ type }}
    )
{%- endmacro %}
