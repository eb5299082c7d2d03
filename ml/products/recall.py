"""Recall: how likely a lapsed user is to be active again within the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.columns import AsSaid, Column, Fixed, OfMember
from ml.products.declaration import UPLIFT, Business, Product, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Mapping


RULES = (
    Rule("recency", "days since the last activity, the fewest first", {"recency_days": -1.0}),
    # Where people come once a year, who was away longest is next.
    Rule("due", "days since the last activity, the most first", {"recency_days": 1.0}),
    Rule("frequency_28d", "active days within 28 days", {"active_days_28d": 1.0}),
    Rule("frequency_90d", "active days within 90 days", {"active_days_90d": 1.0}),
    Rule("frequency_365d", "active days within 365 days", {"active_days_365d": 1.0}),
    Rule("spending_28d", "spending within 28 days", {"sale_amount_28d": 1.0}),
    Rule("spending_365d", "spending within 365 days", {"sale_amount_365d": 1.0}),
    # Without two active days nobody knows a usual gap: such users come last, as if they were years beyond it.
    Rule("usual_gap", "the usual gap between active days, the shortest first", {"gap_mean_days": -1.0}, missing=365.0),
    Rule("gap_ratio", "the gap against the usual one, the shortest first", {"current_gap_ratio": -1.0}, missing=365.0),
)


def _targets(business: Business) -> tuple[Target, ...]:
    return (
        Target("active", 1, business.recall_horizon_days, RULES, without_messages=True, total="cast(is_first as int)"),
    )


def _columns(business: Business) -> Mapping[str, Column]:
    (target,) = _targets(business)
    return {
        "return_probability": AsSaid(target.label),
        "lapsed_days": OfMember("lapsed_days"),
        "horizon_days": Fixed(target.to_day),
        **{name: AsSaid(name) for name in UPLIFT},
    }


def _predicted(business: Business) -> Mapping[str, str]:
    (target,) = _targets(business)
    return {target.label: f"case when horizon_days = {target.to_day} then return_probability end"}


PRODUCT = Product(
    name="recall",
    title="Chance that a lapsed user comes back",
    use=(
        "Order lapsed users for a campaign, together with what a return is worth: `expected_gain` of `sms.audience` does.",
        "Plan how many will come back by themselves; messages bring `uplift` on top of it.",
    ),
    limits=(
        "It is the chance without a message of ours, as far as who was sent one can be told by what was known before.",
        "A high one is a reason not to pay for a message.",
        "What a message changes is `uplift`.",
        "Who was never active, or not within `recall_memory_days`, is not in its population.",
    ),
    table="scores.recall_daily",
    population="marts.recall_population",
    objective="probability",
    candidates=("rfm", "logistic", "curves", "boosting"),
    sources=(),
    targets=_targets,
    columns=_columns,
    predicted=_predicted,
    has_uplift=True,
)
