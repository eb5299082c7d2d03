{#
  Sums from which what an assignment caused follows, with its error (rekindle.experiments.Sums): outcomes are added up by
  cluster, the users of a phone, before they are squared. The segment '' is everybody; each user counts there and in their own.
#}
with assigned as (
    select * from {{ source('campaigns', 'assignment') }} where {{ being_built() }}
),

known as (
    select * from {{ ref('labels') }} where {{ being_built() }}
),

came as (
    select
        assigned.day,
        assigned.kind,
        assigned.campaign_id,
        assigned.feature_day,
        assigned.segment,
        assigned.arm,
        assigned.is_control,
        assigned.cluster,
        assigned.cost,
        assigned.probability,
        known.label,
        known.value as y,
        case known.label
            when '' then null
            {% for label in var('labels') %}
            when '{{ label.name }}' then {{ expected_of(label) }}
            {% endfor %}
        end as x
    from assigned
    inner join known
        on known.day = assigned.day
            and known.feature_day = assigned.feature_day
            and known.user_id = assigned.user_id

    {% for label in var('labels') if label.kind == 'active' %}
    union all

    -- An offer is redeemed by an event, within the days in which a return counts.
    select
        assigned.day,
        assigned.kind,
        assigned.campaign_id,
        assigned.feature_day,
        max(assigned.segment),
        assigned.arm,
        assigned.is_control,
        max(assigned.cluster),
        max(assigned.cost),
        max(assigned.probability),
        'redeemed_{{ label.from_day }}_{{ label.to_day }}' as label,
        cast(count(tiles.user_id) > 0 as double) as y,
        cast(null as double) as x
    from assigned
    left join {{ source('features', 'user_day') }} as tiles
        on tiles.user_id = assigned.user_id
            and tiles.day <= assigned.day
            -- Nothing is delivered before its day, except what happened in the minutes after midnight: one day before.
            and tiles.day >= date_add(assigned.feature_day, {{ label.from_day - 1 }})
            and tiles.day between date_add({{ first_feature_day(label) }}, {{ label.from_day - 1 }}) and {{ to_day() }}
            and tiles.activity_on between date_add(assigned.feature_day, {{ label.from_day }})
                and date_add(assigned.feature_day, {{ label.to_day }})
            and tiles.event_counts[assigned.redeemed_by] > 0
    where assigned.redeemed_by is not null
        and date_add(assigned.feature_day, {{ known_after_days(label) }}) = assigned.day
    group by assigned.day, assigned.kind, assigned.campaign_id, assigned.feature_day, assigned.arm, assigned.is_control, assigned.user_id
    {% endfor %}
),

in_segments as (
    select
        *,
        explode(array_distinct(array('', coalesce(segment, '')))) as of_segment
    from came
),

clusters as (
    select
        day,
        kind,
        campaign_id,
        feature_day,
        label,
        of_segment as segment,
        arm,
        is_control,
        cluster,

        count(*) as u,
        sum(y) as y,
        coalesce(sum(x), 0) as x,
        -- One user without it, and the campaign is measured without what was known before.
        bool_and(x is not null) as has_x,
        coalesce(sum(cost), 0) as cost,
        max(probability) as probability
    from in_segments
    group by all
),

sums as (
    select
        day,
        kind,
        campaign_id,
        feature_day,
        label,
        segment,
        arm,

        is_control,
        bool_and(has_x) as has_x,
        max(probability) as probability,

        count(*) as clusters,
        sum(u) as users,

        sum(y) as y,
        sum(x) as x,
        cast(sum(u * u) as double) as uu,
        sum(u * y) as uy,
        sum(u * x) as ux,
        sum(y * y) as yy,
        sum(x * x) as xx,
        sum(x * y) as xy,

        cast(sum(cost) as double) as cost
    from clusters
    group by day, kind, campaign_id, feature_day, label, segment, arm, is_control
)

select * from sums
