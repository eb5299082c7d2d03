{# Of the devices that may be bid for, the share that is, on each day that has some. #}
{% test bid_share_between(model, least, most) %}
    select
        day,
        count_if(no_bid_reason is null) / count(*) as bid_share
    from {{ model }}
    where is_permitted and not is_control
    group by day
    having bid_share < {{ least }} or bid_share > {{ most }}
{% endtest %}
