{# A layer's schema is its namespace as it stands: there is one catalog a deployment, so no prefix keeps deployments apart. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
