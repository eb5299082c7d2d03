{# Label kind `net_revenue`: sales minus refunds in the window, each on its own day. #}

{% macro label_net_revenue_amount() -%} cast(sale_amount - refund_amount as decimal(19, 2)) {%- endmacro %}

{% macro label_net_revenue_value(total) -%} {{ total }} {%- endmacro %}

{% macro label_net_revenue_rule() -%} true {%- endmacro %}
