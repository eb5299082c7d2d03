"""
What a score product declares: what differs between products, and nothing else does.

What a setting decides (a horizon, the currency) is a function that is given the settings, so that no reader can take a default
for the value in force. Standard library only: DAG files import this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml.products.columns import Column


UPLIFT = ("uplift", "uplift_low", "uplift_high")
"""The columns that say what a message changes, with the ends of its 95 % interval."""


class Business(Protocol):
    """The settings that products depend on (`rekindle.settings.Settings` has them all)."""

    @property
    def recall_horizon_days(self) -> int: ...

    @property
    def ltv_horizons_days(self) -> tuple[int, ...]: ...

    @property
    def currency(self) -> str: ...

    @property
    def gain_horizon_days(self) -> int: ...

    @property
    def margin(self) -> float: ...


class Modelled:
    """What models are trained of: how the model registry names them."""

    name: str

    @property
    def model_name(self) -> str:
        """Name in the model registry, of the experiment and of what was trained in it."""
        return f"rekindle_{self.name}"

    @property
    def champion_name(self) -> str:
        """Name in the model registry of what was promoted: who may train may not promote."""
        return f"{self.model_name}_champion"


class Registered(Protocol):
    """What the model registry wants to know of what its models are of."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def table(self) -> str:
        """The table that a champion fills: the days that it has are those that were served."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that a champion fills."""
        ...

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def is_trained(self) -> bool: ...

    @property
    def model_name(self) -> str: ...

    @property
    def champion_name(self) -> str: ...


@dataclass(frozen=True)
class Rule:
    """A naive rule: a weighted sum of features that ranks, or foretells, without having learnt anything."""

    name: str
    says: str
    """In words, for people."""
    weights: Mapping[str, float] = field(hash=False)
    missing: float = 0.0
    """What a missing feature counts as."""


@dataclass(frozen=True)
class Target:
    """What is predicted: something about a user on the days `day + from_day` to `day + to_day`."""

    kind: str
    """What is counted of the user's days: a file of dbt_project/macros/labels."""
    from_day: int
    to_day: int
    rules: tuple[Rule, ...]
    """The naive rules. A model has to beat the one that is best on validation days; the first wins a tie."""
    without_messages: bool = False
    """
    Whether it is what happens without a message of ours on these days. Messages that were sent are then an input in training and
    none in scoring, and what is predicted is chosen, calibrated and judged on rows without one: see ml.training.messages.
    """

    total: str = ""
    """
    What all users of the business together do on a date, as Spark SQL over a tile (features.user_day), to be added up. Where it
    rises and falls with the year, so may the level of predictions: see ml.training.seasons. Empty: it does not.
    """

    def __post_init__(self) -> None:
        """Refuse a window that holds the day itself or what lies before it: features would foretell what they are made of."""
        if not 1 <= self.from_day <= self.to_day:
            raise ValueError(
                f"The label {self.label} counts day {self.from_day} to {self.to_day} after the day of its features: let it begin "
                "with 1 or later, and end no earlier than it begins."
            )

    @property
    def label(self) -> str:
        """Name of the label in marts.labels, of the prediction, and of the model's part: `active_1_7`."""
        return f"{self.kind}_{self.from_day}_{self.to_day}"

    @property
    def messaged(self) -> str:
        """Name of the column of a sample that says who was sent a message on these days: `messaged_1_7`."""
        return f"messaged_{self.from_day}_{self.to_day}"


@dataclass(frozen=True)
class Product(Modelled):
    """A score product."""

    name: str
    title: str
    table: str
    """The Iceberg table of its scores; its contract says what they are."""
    population: str
    """The dbt model of who is scored: a row per day and user."""
    objective: str
    """The kind of prediction: a file of ml/objectives."""
    candidates: tuple[str, ...]
    """
    The learners that compete on validation days, by their names in ml.model.learners, the simplest first: a later one is chosen
    where it is ahead by more than a standard error.
    """
    sources: tuple[str, ...]
    """Landing sources without which there is nothing to predict: where one never delivered, the product is skipped."""
    targets: Callable[[Business], tuple[Target, ...]]
    """In order of time. Predictions of amounts are increments: the windows touch and never overlap."""
    columns: Callable[[Business], Mapping[str, Column]]
    """The columns of `table` that only it has: see `ml.products.columns`."""

    predicted: Callable[[Business], Mapping[str, str]] | None = None
    """
    What a row of `table` predicts of each label, as Spark SQL; null where it is about another window. What came true is
    judged by it; of a product without it, nothing is.
    """
    horizons: Callable[[Business], tuple[int, ...]] | None = None
    """
    Days until which amounts are published, with intervals: ends of targets, and later ones, which are extrapolated. None: a
    prediction is published as it is.
    """
    features: tuple[str, ...] = ("features.user",)
    """The tables that its features are taken from; a member of the population need not have a row there."""
    key: tuple[str, ...] = ("user_id",)
    """What a score is about, beside the day."""
    registration: tuple[str, ...] = ()
    """
    What is known of users from their registration on, as columns of `features`. Where it helps, a part of the model that reads
    nothing else corrects what the others say of new users, and fades as they become active. Empty: there is none. It is a
    regression of amounts, so only of products whose raw scores are amounts.
    """
    has_uplift: bool = False
    """
    Whether campaigns that were assigned by lot teach what a message changes of its target, for each user. Only of products with
    one target; `table` then has uplift, uplift_low and uplift_high, null where no campaign has shown it.
    """
    is_trained: bool = True
    """Whether a model makes the scores. If not, `columns` are computed from the population alone."""

    use: tuple[str, ...] = ()
    """What its scores are for, in sentences; shown where a version is promoted."""
    limits: tuple[str, ...] = ()
    """What they do not say, in sentences, beside what holds of every product."""

    def besides(self, business: Business) -> tuple[str, ...]:
        """Name what the scorer says beside the prediction of each target; `columns` may use it."""
        uplift = UPLIFT if self.has_uplift else ()
        if self.horizons is None:
            return uplift
        targets, horizons = self.targets(business), sorted(self.horizons(business))
        ends = [f"{end}_1_{horizon}" for horizon in horizons for end in ("low", "high")]
        stretches = [(a + 1, b) for a, b in pairwise(horizons) if b > targets[-1].to_day]
        beyond = [f"{targets[-1].kind}_{first}_{last}" for first, last in stretches]
        return (*ends, *beyond, "purchase_probability", "p_alive", *uplift)

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that it makes: the one of its scores."""
        return (self.table,)


def labels_of(products: Iterable[Product], business: Business) -> list[dict[str, str | int]]:
    """List the labels that some product learns from, once each, as dbt gets them."""
    targets = [target for product in products for target in product.targets(business)]
    about_unmessaged = {target.label for target in targets if target.without_messages}
    found: list[dict[str, str | int]] = []
    for label, t in sorted({target.label: target for target in targets}.items()):
        found.append({"name": label, "kind": t.kind, "from_day": t.from_day, "to_day": t.to_day})
        if label in about_unmessaged:
            found[-1]["messages"] = True
    return found


def outcomes_of(products: Iterable[Product], business: Business) -> list[dict[str, str | int]]:
    """List what products predict of labels, and of whom, as dbt gets it to say what came true."""
    return [
        {
            "product": product.name,
            "table": product.table,
            "label": target.label,
            "from_day": target.from_day,
            "to_day": target.to_day,
            "without_messages": target.without_messages,
            "predicted": product.predicted(business)[target.label],
        }
        for product in products
        if product.predicted
        for target in product.targets(business)
    ]
