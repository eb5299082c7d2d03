"""Value of a return: what a lapsed user brings beyond what would come anyway, if the user returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.columns import CENTS, Column, Fixed, OfMember
from ml.products.declaration import Business, Product, Target

if TYPE_CHECKING:
    from collections.abc import Mapping


def _targets(business: Business) -> tuple[Target, ...]:
    """What the estimate is made of: whether users returned, and what they then spent. No model learns from them here."""
    return (
        Target("active", 1, business.recall_horizon_days, ()),
        Target("net_revenue", 1, business.gain_horizon_days, ()),
    )


def _columns(business: Business) -> Mapping[str, Column]:
    """Of the revenue that a return brings, the margin is left."""
    values = {
        f"value_if_returns{end}": OfMember(f"cast(return_worth{end} * {business.margin} as {CENTS})")
        for end in ("", "_low", "_high")
    }
    return {**values, "currency": Fixed(business.currency)}


PRODUCT = Product(
    name="return_value",
    title="Value of a return",
    table="scores.return_value_daily",
    population="marts.return_value_population",
    objective="amount",
    candidates=(),
    sources=("orders",),
    targets=_targets,
    columns=_columns,
    features=(),
    is_trained=False,
)
