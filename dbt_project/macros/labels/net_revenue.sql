{# Label kind `net_revenue`: sales minus refunds in the window, each on its own day. #}

{% macro label_net_revenue_amount() -%} cast(sale_amount - refund_amount as decimal(19, 2)) {%- endmacro %}

{% macro label_net_revenue_value(total) -%} {{ total }} {%- endmacro %}

{% macro label_net_revenue_rule() -%} true {%- endmacro %}

{# What is expected of a user who is not sent anything; a margin of it, which taking it out does not mind. #}
{% macro label_net_revenue_expected() -%} return_probability * cast(value_if_returns as double) {%- endmacro %}
