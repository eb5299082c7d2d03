"""Purchase: how likely any registered user is to buy within a fortnight. Made up, for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.columns import AsSaid, Column, Fixed
from ml.products.declaration import Business, Product, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS = 14


def _targets(_business: Business) -> tuple[Target, ...]:
    return (Target("bought", 1, DAYS, (Rule("orders_90d", "orders within 90 days", {"orders_90d": 1.0}),)),)


def _columns(business: Business) -> Mapping[str, Column]:
    (target,) = _targets(business)
    return {"purchase_probability": AsSaid(target.label), "horizon_days": Fixed(target.to_day)}


PRODUCT = Product(
    name="purchase",
    title="Chance that a user buys within a fortnight",
    table="scores.purchase_daily",
    population="marts.ltv_population",
    objective="reach",
    candidates=("logistic", "steps"),
    sources=("orders",),
    targets=_targets,
    columns=_columns,
    features=("features.user", "features.user_basket"),
)
