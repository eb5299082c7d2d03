"""
The part of a model that speaks of new users: by what is known from their registration on.

Behaviour says nothing of who has not been active, and what is learnt of all users is learnt of those who spend: beside the
large amounts of these the small ones of new users are noise. So a regression of its own, on registration data alone, learns what
the other parts leave over of new users, and falls silent with each active day (`ml.model.part.Handover`). How soon it does is
chosen on validation days, beside a model without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml.model.encoder import Dense, Encoded
from ml.model.learners.linear import RIDGE, Design
from ml.model.part import ACTIVE_DAYS, Handover, Part, active_days, total
from ml.objectives import OBJECTIVES, figures
from ml.objectives.amount import nearness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.encoder import Encoders
    from ml.model.learners import Examples
    from ml.objectives.declaration import Metric
    from ml.products import Product

HANDOVERS = (2, 4, 8)
"""Numbers of active days after which behaviour alone may speak. After one it would be a jump."""

MIN_ROWS, MIN_OF_A_KIND = 200, 10
"""Of users who were never active: as many as any candidate is learnt from."""

WITHOUT = "without"
"""Names the model in which behaviour speaks of all."""


@dataclass(frozen=True)
class Start:
    """What came of trying to begin a model with registration data."""

    days: int | None = None
    """The handover that was chosen; None where behaviour speaks of all."""
    validation: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Figures among new users, by handover and without any: means over blocks of validation days."""
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"handover_days": self.days, "validation": dict(self.validation), "why_not": self.why_not}

    @property
    def told(self) -> str:
        """Say what became of it."""
        return f"by registration data until {self.days} active days" if self.days else f"as all: {self.why_not}"


FIGURES: Mapping[str, Metric] = {
    "gini": figures.gini,
    "predicted_over_actual": figures.predicted_over_actual,
    "nearness": nearness,
}


def are_enough(product: Product, some: Examples) -> bool:
    """Say whether rows tell anything of users who were never active."""
    if ACTIVE_DAYS not in some.rows.rows.column_names:
        return False
    outcome = some.outcome[active_days(some.rows.rows) == 0]
    return len(outcome) >= MIN_ROWS and OBJECTIVES[product.objective].rarer(outcome) >= MIN_OF_A_KIND


def are_new(some: Examples) -> np.ndarray:
    """Say of which rows some handover would have a part."""
    return active_days(some.rows.rows) < max(HANDOVERS)


def part(product: Product, encoders: Encoders, parts: Sequence[Part], train: Examples, days: int) -> Part | None:
    """
    Fit a part of new users beside others: ridge regression of what these leave over on registration data.

    By rows with fewer active days, so that the squared error of the whole sum is least: what is left over of a row for which the
    part counts by half is twice as far, and weighs a quarter. None where nothing that is known at registration differs.
    """
    from sklearn.linear_model import Ridge

    handover = Handover(days)
    weight = handover.weight(train.rows.rows)
    there = np.flatnonzero(weight > 0)
    rows, weight = train.rows.rows.take(pa.array(there)), weight[there]
    counts = weight**2 if train.weight is None else weight**2 * train.weight[there]
    left_over = train.outcome[there] - total([one.raw(Encoded(rows)) for one in parts])
    # With whose rows they are: a level is named by its users.
    asked = [name for name in ("user_id", *product.registration) if name in rows.column_names]
    dense = Dense.fit(rows.select(asked), leave_out=encoders.leave_out)
    if not dense.features:
        return None
    design = Design.of_all(dense.features, dense.encode(rows))
    fitted = Ridge(alpha=RIDGE).fit(design.matrix, left_over / weight, sample_weight=counts)
    return Part(dense, design.predictor(len(dense.features), fitted.coef_, float(fitted.intercept_)), handover)


def begun(
    product: Product, encoders: Encoders, parts: tuple[Part, ...], train: Examples, days: int | None
) -> tuple[Part, ...]:
    """Put a part of new users beside others; where too few new users are there, behaviour speaks of all."""
    if days is None or not are_enough(product, train):
        return parts
    start = part(product, encoders, parts, train, days)
    return parts if start is None else (*parts, start)
