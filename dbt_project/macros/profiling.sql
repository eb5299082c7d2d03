{#
  Users who object to being scored, by day: of what was delivered up to the day, the latest counts; at equal times the objection,
  which is also the later word of the alphabet. `days` names a relation with the days that are asked for.
#}
{% macro objecting(days) -%}
    select
        asked.day,
        said.user_id
    from (select distinct day from {{ days }}) as asked
    inner join {{ ref('stg_profiling') }} as said on said.day <= asked.day
    group by asked.day, said.user_id
    having max_by(said.action, struct(said.at, said.action)) = 'withdraw'
{%- endmacro %}
