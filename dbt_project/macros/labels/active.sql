{# Label kind `active`: 1 where a user was active in the window, else 0. #}

{# What a tile adds up to; null where it has nothing to add. #}
{% macro label_active_amount() -%} case when is_first then cast(1 as decimal(19, 2)) end {%- endmacro %}

{# The label, from the sum over the window. #}
{% macro label_active_value(total) -%} cast({{ total }} > 0 as int) {%- endmacro %}

{# What every value is. #}
{% macro label_active_rule() -%} value in (0, 1) {%- endmacro %}

{# What is expected of a user who is not sent anything, from columns of campaigns.assignment. #}
{% macro label_active_expected() -%} return_probability {%- endmacro %}
