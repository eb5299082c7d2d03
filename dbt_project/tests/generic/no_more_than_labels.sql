{# Of a scored day at most those users count who have the label, each once. #}
{% test no_more_than_labels(model) %}
    select outcomes.day, outcomes.label, outcomes.product, outcomes.scored_on
    from (select day, label, product, scored_on, sum(users) as users from {{ model }} group by 1, 2, 3, 4) as outcomes
    left join (
        select day, label, feature_day, count(*) as users from {{ get_where_subquery(ref('labels')) }} group by 1, 2, 3
    ) as labels
        on labels.day = outcomes.day and labels.label = outcomes.label and labels.feature_day = outcomes.scored_on
    where outcomes.users > coalesce(labels.users, 0)
{% endtest %}
