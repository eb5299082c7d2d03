"""Recall: how likely a lapsed user is to be active again within the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.declaration import Business, Product, Target

if TYPE_CHECKING:
    from collections.abc import Mapping


def _targets(business: Business) -> tuple[Target, ...]:
    return (Target("active", 1, business.recall_horizon_days, naive={"recency_days": -1.0}),)


def _columns(business: Business) -> Mapping[str, str]:
    (target,) = _targets(business)
    return {
        "return_probability": target.label,
        "lapsed_days": "lapsed_days",
        "horizon_days": str(target.to_day),
    }


PRODUCT = Product(
    name="recall",
    title="Chance that a lapsed user comes back",
    table="scores.recall_daily",
    population="marts.recall_population",
    objective="probability",
    candidates=("logistic", "boosting"),
    sources=(),
    targets=_targets,
    columns=_columns,
)
