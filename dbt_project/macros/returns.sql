{# Band of net spending within 365 days: 0 without any, then up to 2, 4, 8 … of the currency. #}
{% macro spend_band(features) -%}
    cast(
        case
            when {{ features }}.sale_amount_365d - {{ features }}.refund_amount_365d <= 0 then 0
            else 1 + greatest(0, least(19, floor(log2(
                cast({{ features }}.sale_amount_365d - {{ features }}.refund_amount_365d as double)
            ))))
        end as int
    )
{%- endmacro %}

{# Users are drawn by so many blocks: fewer give a rougher interval, and more cost time. #}
{% macro return_blocks() -%} 50 {%- endmacro %}

{# Revenue that became known within so many days before the day says what a return is worth: a quarter of a year. #}
{% macro return_days() -%} 91 {%- endmacro %}

{# Of fewer who returned, or did not, no difference is told; and a band of so many counts half. #}
{% macro return_least_users() -%} 50 {%- endmacro %}
