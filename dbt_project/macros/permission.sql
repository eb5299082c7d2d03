{# A text as SQL writes it. #}
{% macro quoted(value) -%} '{{ value | replace("\\", "\\\\") | replace("'", "\\'") }}' {%- endmacro %}

{# The moment at which a day is over. #}
{% macro end_of(day) -%} cast(date_add({{ day }}, 1) as timestamp) {%- endmacro %}

{# True where a withdrawal that says `column` is of what is configured: it names it in any spelling, names nothing, or all. #}
{% macro takes_away(column, configured) -%}
    trim(lower(coalesce({{ column }}, ''))) in ('', 'all', trim(lower({{ quoted(configured) }})))
{%- endmacro %}

{#
  The time zones that an address may be in, with | between: that of the user, else those of the country; '' where the address
  says neither, null where it says what nobody knows.
#}
{% macro address_zones(timezone, country) -%}
    case
        when trim({{ timezone }}) <> '' then
            case when trim({{ timezone }}) in ('' {%- for zone in var("zones") %}, '{{ zone }}' {%- endfor %}) then trim({{ timezone }}) end
        when trim({{ country }}) <> '' then
            map('', cast(null as string) {%- for code, names in var("zones_by_country").items() %}, '{{ code }}', '{{ names }}' {%- endfor %})[upper(trim({{ country }}))]
        else ''
    end
{%- endmacro %}
