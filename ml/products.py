"""
The score products: what differs between them, and nothing else does.

DAGs, training, scoring, checks and publishing loop over `PRODUCTS`; nothing anywhere tests a product's name, so a new
product is an entry here, a contract and a dbt population. What a setting decides (a horizon, the currency) is a method
that is given the settings, so that no reader can take a default for the value in force.

Standard library only: DAG files import this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MODELLED_DAYS = 90
"""LTV horizons up to here are learnt from labels. Longer ones need years of history and have only a status yet."""

NAMES = {"activity": "active", "net_revenue": "net_revenue"}
"""What a kind of target is called in the names of its labels."""


class Business(Protocol):
    """The settings that products depend on (`rekindle.settings.Settings` has them all)."""

    @property
    def recall_horizon_days(self) -> int: ...

    @property
    def ltv_horizons_days(self) -> tuple[int, ...]: ...

    @property
    def currency(self) -> str: ...


@dataclass(frozen=True)
class Target:
    """What is predicted: something about a user on the days `day + from_day` to `day + to_day`."""

    kind: Literal["activity", "net_revenue"]
    from_day: int
    to_day: int
    naive: Mapping[str, float] = field(hash=False)
    """The naive rule a model has to beat: a weighted sum of features."""

    @property
    def label(self) -> str:
        """Name of the label in marts.labels, of the prediction, and of the model's part: `active_1_7`."""
        return f"{NAMES[self.kind]}_{self.from_day}_{self.to_day}"


@dataclass(frozen=True)
class Product:
    """A score product."""

    name: str
    title: str
    table: str
    """The Iceberg table of its scores; its contract says what they are."""
    population: str
    """The dbt model of who is scored: a row per day and user."""
    objective: Literal["probability", "amount"]
    """Decides metrics, calibration and pictures: see ml.objectives."""
    candidates: tuple[str, ...]
    """The learners that compete on validation days, by their names in ml.candidates; the first wins a tie."""
    sources: tuple[str, ...]
    """Landing sources without which there is nothing to predict: where one never delivered, the product is skipped."""
    targets: Callable[[Business], tuple[Target, ...]]
    """In order of time. Predictions of amounts are increments: the windows touch and never overlap."""
    columns: Callable[[Business], Mapping[str, str]]
    """The columns of `table` that only it has, as Spark SQL over a row of the population and the scorer's output."""

    @property
    def model_name(self) -> str:
        """Name in the model registry."""
        return f"rekindle_{self.name}"


def labels_of(products: Iterable[Product], business: Business) -> list[dict[str, str | int]]:
    """List the labels that some product learns from, once each, as dbt gets them."""
    targets = {target.label: target for product in products for target in product.targets(business)}
    return [{"name": t.label, "kind": t.kind, "from_day": t.from_day, "to_day": t.to_day} for t in targets.values()]


def product_named(name: str) -> Product:
    """Return the product, or raise a `KeyError`."""
    for product in PRODUCTS:
        if product.name == name:
            return product
    raise KeyError(name)


def _recall_targets(business: Business) -> tuple[Target, ...]:
    return (Target("activity", 1, business.recall_horizon_days, naive={"recency_days": -1.0}),)


def _recall_columns(business: Business) -> Mapping[str, str]:
    (target,) = _recall_targets(business)
    return {
        "return_probability": target.label,
        "lapsed_days": "lapsed_days",
        "horizon_days": str(target.to_day),
    }


def _modelled_horizons(business: Business) -> list[int]:
    return [days for days in sorted(business.ltv_horizons_days) if days <= MODELLED_DAYS]


def _ltv_targets(business: Business) -> tuple[Target, ...]:
    """Increments between horizons. The naive rule: who spent goes on spending as they did in the last weeks."""
    targets, after = [], 0
    for horizon in _modelled_horizons(business):
        window = 28 if horizon <= 30 else 90  # noqa: PLR2004 - the windows of features.user nearest to the horizons
        share = (horizon - after) / window
        naive = {f"sale_amount_{window}d": share, f"refund_amount_{window}d": -share}
        targets.append(Target("net_revenue", after + 1, horizon, naive))
        after = horizon
    return tuple(targets)


def _ltv_columns(business: Business) -> Mapping[str, str]:
    """Each increment is rounded to cents before it is added, so that the horizons add up exactly."""
    columns, increments = {}, []
    modelled = dict(zip(_modelled_horizons(business), _ltv_targets(business), strict=True))
    for horizon in sorted(business.ltv_horizons_days):
        if horizon in modelled:
            increments.append(f"cast({modelled[horizon].label} as decimal(18,2))")
            columns[f"ltv_{horizon}"] = f"cast({' + '.join(increments)} as decimal(18,2))"
            columns[f"ltv_{horizon}_status"] = "'modelled'"
        else:
            columns[f"ltv_{horizon}"] = "cast(null as decimal(18,2))"
            columns[f"ltv_{horizon}_status"] = "'not_available'"
    return {**columns, "currency": f"'{business.currency}'"}


PRODUCTS: tuple[Product, ...] = (
    Product(
        name="recall",
        title="Chance that a lapsed user comes back",
        table="scores.recall_daily",
        population="marts.recall_population",
        objective="probability",
        candidates=("logistic", "boosting"),
        sources=(),
        targets=_recall_targets,
        columns=_recall_columns,
    ),
    Product(
        name="ltv",
        title="Expected net revenue",
        table="scores.ltv_daily",
        population="marts.ltv_population",
        objective="amount",
        candidates=("linear", "boosting", "boosted_linear"),
        sources=("orders",),
        targets=_ltv_targets,
        columns=_ltv_columns,
    ),
)
