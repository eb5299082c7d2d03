{# Label kind `vip_purchase`: 1 where a user made a purchase that counts in the window, else 0; see the setting vip_event_types. #}

{% macro label_vip_purchase_amount() -%} cast({{ vip_purchases('orders', 'event_counts') }} as decimal(19, 2)) {%- endmacro %}

{% macro label_vip_purchase_value(total) -%} cast({{ total }} > 0 as int) {%- endmacro %}

{% macro label_vip_purchase_rule() -%} value in (0, 1) {%- endmacro %}

{# Purchases that count among orders and events by type: all orders, or the events of the types that are named. #}
{% macro vip_purchases(orders, event_counts) -%}
    {%- if var("vip_event_types") -%}
        coalesce(aggregate(map_values(map_filter({{ event_counts }}, (type, n) -> type in ('{{ var("vip_event_types") | join("', '") }}'))), 0L, (total, n) -> total + n), 0L)
    {%- else -%}
        coalesce({{ orders }}, 0L)
    {%- endif -%}
{%- endmacro %}
