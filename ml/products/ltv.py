"""LTV: the net revenue to expect of every registered user, in increments that add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.products.columns import AsSaid, Column, Fixed, Money, Whether
from ml.products.declaration import Business, Product, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELLED_DAYS = 90
"""Horizons up to here are learnt from labels. Longer ones need years of history: a purchase process foretells them."""

SPENDING_WINDOWS = (28, 90, 365)
"""Of features.user, in days, over which past spending is a rule for future spending."""


def _modelled_horizons(business: Business) -> list[int]:
    return [days for days in sorted(business.ltv_horizons_days) if days <= MODELLED_DAYS]


def _horizons(business: Business) -> tuple[int, ...]:
    return tuple(sorted(business.ltv_horizons_days))


def _targets(business: Business) -> tuple[Target, ...]:
    """Increments between horizons. The naive rules: who spent goes on spending as they did."""
    targets, after = [], 0
    for horizon in _modelled_horizons(business):
        rules = tuple(_spending(window, horizon - after) for window in SPENDING_WINDOWS)
        targets.append(Target("net_revenue", after + 1, horizon, rules, total="sale_amount - refund_amount"))
        after = horizon
    return tuple(targets)


def _spending(window: int, days: int) -> Rule:
    """Net spending of a window, scaled to as many days as are foretold."""
    share = days / window
    weights = {f"sale_amount_{window}d": share, f"refund_amount_{window}d": -share}
    return Rule(f"spending_{window}d", f"net spending within {window} days, scaled to the horizon", weights)


def _columns(business: Business) -> Mapping[str, Column]:
    """Each increment is rounded to cents before it is added, so that the horizons add up exactly."""
    columns: dict[str, Column] = {}
    increments: list[str] = []
    before = 0
    for horizon in sorted(business.ltv_horizons_days):
        increment = f"net_revenue_{before + 1}_{horizon}"
        increments.append(increment)
        columns[f"ltv_{horizon}"] = Money(tuple(increments))
        # A model of before there were intervals says nothing beyond its targets.
        extrapolated = Whether(increment, known="extrapolated", unknown="not_available")
        columns[f"ltv_{horizon}_status"] = Fixed("modelled") if horizon <= MODELLED_DAYS else extrapolated
        for end in ("low", "high"):
            columns[f"ltv_{horizon}_{end}"] = Money((f"{end}_1_{horizon}",))
        before = horizon
    besides = {name: AsSaid(name) for name in ("purchase_probability", "p_alive")}
    return {**columns, **besides, "currency": Fixed(business.currency)}


def _predicted(business: Business) -> Mapping[str, str]:
    """Horizons are published, increments come true: a horizon's increment is what it has beyond the one before it."""
    found, before = {}, ""
    for horizon, target in zip(_modelled_horizons(business), _targets(business), strict=True):
        column = f"case when ltv_{horizon}_status = 'modelled' then ltv_{horizon} end"
        found[target.label] = f"{column} - {before}" if before else column
        before = f"ltv_{horizon}"
    return found


PRODUCT = Product(
    name="ltv",
    title="Expected net revenue",
    use=(
        "Weigh what customers are worth to the business: budgets, tiers, whom to care for first.",
        "Foretell the revenue of a group: expectations add up.",
    ),
    limits=(
        "An expectation over many who look alike: what one customer will spend lies within the interval four times out of five.",
        "A value makes nobody eligible for a message, and says nothing of what a message changes.",
        "A horizon that no label reaches is extrapolated, and says so.",
    ),
    table="scores.ltv_daily",
    population="marts.ltv_population",
    objective="amount",
    candidates=("linear", "tweedie", "boosted_linear", "boosted_spending"),
    sources=("orders",),
    targets=_targets,
    columns=_columns,
    predicted=_predicted,
    horizons=_horizons,
    registration=("tenure_days", "country", "channel", "attributes"),
)
