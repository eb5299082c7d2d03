"""
The questions that all are asked, in SQL that DuckDB and Spark both read: features of one day, of events or of tiles.

They ask for less than Rekindle's features hold: nothing longer than a year, no spread of gaps, no sessions, no active dates.
"""

from __future__ import annotations

WINDOWS = 1, 7, 28, 90, 365
TYPES = "cart", "open", "search", "view"
SUMS = "active_days_1d", "active_days_365d", "orders_90d", "sale_amount_365d", "n_view_28d", "distinct_items_7d"
"""What is added up over all users, for a look at whether everybody has answered the same question."""

ITEM_DAYS = 28
PARTS = "night", "morning", "afternoon", "evening"
HOURS = 6


def tiles(events: str, orders: str) -> str:
    """Add events (user_id, occurred_at, type) and orders (user_id, occurred_at, amount) up by user and date."""
    types = ", ".join(f"count(*) filter (where type = '{one}') as n_{one}" for one in TYPES)
    parts = ", ".join(
        f"count(*) filter (where hour(occurred_at) >= {HOURS * at} and hour(occurred_at) < {HOURS * (at + 1)}) as {one}"
        for at, one in enumerate(PARTS)
    )
    return f"""
        select user_id, cast(occurred_at as date) as active_on, {types}, count(amount) as orders,
            coalesce(sum(amount), 0) as sale_amount, {parts}
        from (
            select user_id, occurred_at, type, cast(null as decimal(18, 2)) as amount from {events}
            union all select user_id, occurred_at, cast(null as varchar(9)) as type, amount from {orders}
        ) as facts
        group by user_id, cast(occurred_at as date)
    """


def items(events: str, day: str) -> str:
    """Items of each user and date within the longest window of items."""
    within = f"cast(occurred_at as date) > date '{day}' - interval {ITEM_DAYS} day"
    return (
        "select distinct user_id, cast(occurred_at as date) as active_on, item_id, category "
        f"from {events} where item_id is not null and {within}"
    )


def features(tiles: str, items: str, day: str) -> str:
    """A row for each user, of tiles and items up to a day."""

    def within(width: int) -> str:
        return f"filter (where active_on > date '{day}' - interval {width} day)"

    before = (
        f"filter (where active_on > date '{day}' - interval 56 day and active_on <= date '{day}' - interval 28 day)"
    )
    columns = [
        f"{of} {within(w)} as {name}_{w}d"
        for w in WINDOWS
        for name, of in {
            "active_days": "count(*)",
            "orders": "sum(orders)",
            "sale_amount": "sum(sale_amount)",
            **{f"n_{one}": f"sum(n_{one})" for one in TYPES},
        }.items()
    ]
    columns += [f"sum({part}) {within(90)} as activities_{part}_90d" for part in PARTS]
    columns += [f"count(*) {before} as active_days_prior_28d", f"sum(sale_amount) {before} as sale_amount_prior_28d"]
    columns += ["max(active_on) as last_active_on", "min(active_on) as first_active_on"]
    different = [
        f"count(distinct {column}) {within(w)} as distinct_{name}_{w}d"
        for w in WINDOWS[:3]
        for name, column in {"items": "item_id", "categories": "category"}.items()
    ]
    year = f"active_on > date '{day}' - interval 365 day and active_on <= date '{day}'"
    return f"""
        select * from (select user_id, {", ".join(columns)} from ({tiles}) as t where {year} group by user_id) as summed
        left join (select user_id, {", ".join(different)} from ({items}) as i where {year} group by user_id) as counted
        using (user_id)
    """
