{#-
  A message of ours that was sent: what training counts as one, and what outcomes are told without. Controls are sent none.
-#}
{% macro was_sent() -%}
    arm = 'treatment' and sent_at is not null
{%- endmacro %}
