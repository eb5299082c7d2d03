{# Label kind `bought`: 1 where a user placed an order in the window, else 0. #}

{% macro label_bought_amount() -%} cast(orders as decimal(19, 2)) {%- endmacro %}

{% macro label_bought_value(total) -%} cast({{ total }} > 0 as int) {%- endmacro %}

{% macro label_bought_rule() -%} value in (0, 1) {%- endmacro %}
