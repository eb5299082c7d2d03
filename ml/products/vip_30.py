"""VIP purchase: how likely a new user buys for the first time within 30 days, so that a coupon goes where it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.columns import AsSaid, Column, Fixed, OfMember
from ml.products.declaration import Business, Product, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS = 30
"""The horizon is part of the name: another one is another product."""

RULES = (
    Rule("newest", "days since the registration, the fewest first", {"tenure_days": -1.0}),
    Rule("frequency_28d", "active days within 28 days", {"active_days_28d": 1.0}),
    # Who has not come at all yet comes last, as if they had been away for a year.
    Rule("recency", "days since the last activity, the fewest first", {"recency_days": -1.0}, missing=365.0),
    Rule("interest_28d", "different items looked at within 28 days", {"distinct_items_28d": 1.0}),
)


def _targets(business: Business) -> tuple[Target, ...]:  # noqa: ARG001 - products share it
    return (Target("vip_purchase", 1, DAYS, RULES),)


def _columns(business: Business) -> Mapping[str, Column]:
    (target,) = _targets(business)
    return {
        "first_purchase_probability": AsSaid(target.label),
        "tenure_days": OfMember("tenure_days"),
        "horizon_days": Fixed(target.to_day),
    }


def _predicted(business: Business) -> Mapping[str, str]:
    (target,) = _targets(business)
    return {target.label: f"case when horizon_days = {target.to_day} then first_purchase_probability end"}


PRODUCT = Product(
    name="vip_30",
    title="Chance of a first purchase within 30 days",
    use=(
        "Give coupons to new users in whom a first purchase is undecided: `expected_gain` of `sms.activation_audience` does.",
        "Plan how many of those who registered will buy.",
    ),
    limits=(
        "It is learnt from days as they were, with the coupons that were given: the chance without one only where few were.",
        "A high one is a reason not to pay for a coupon.",
        "Of somebody who registered today it knows country, channel and attributes only.",
        "A score makes nobody eligible for a message.",
    ),
    table="scores.vip_30_daily",
    population="marts.new_user_population",
    objective="probability",
    candidates=("logistic", "boosting"),
    sources=("orders",),
    targets=_targets,
    columns=_columns,
    predicted=_predicted,
)
