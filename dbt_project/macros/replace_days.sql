{#
  Replace the days being built by what the model returns, also by nothing.

  Takes the place of dbt-spark's overwrite by partitions that appear in the rows, under which a day without rows keeps its
  old ones. dbt asserts the contract only where it creates a table; here it is asserted in every run.
#}
{% macro get_insert_overwrite_sql(source_relation, target_relation, existing_relation) %}
    {{ get_assert_columns_equivalent(model.compiled_code) }}
    insert into {{ target_relation }} replace where {{ being_built() }}
    select {{ adapter.get_columns_in_relation(target_relation) | map(attribute="quoted") | join(", ") }} from {{ source_relation }}
{% endmacro %}
