"""
Logistic regression on recency, frequency, monetary value and rhythm alone.

What everybody looks at first (Fader, Hardie and Lee 2005, RFM and CLV), and no more: where there are few returns to learn from,
each further column costs more by what is learnt of it by chance than it tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.model.encoder import Dense
from ml.model.learners.declaration import Learner
from ml.model.learners.linear import Design, Linear, of_chances
from ml.model.part import Part

if TYPE_CHECKING:
    from ml.model.encoder import Encoders
    from ml.model.learners.declaration import Examples, Stop

COLUMNS = (
    *("recency_days", "tenure_days", "active_days_28d", "active_days_90d", "active_days_365d", "active_days_ever"),
    *("orders_365d", "sale_amount_28d", "sale_amount_365d", "gap_mean_days", "gap_spread_days", "current_gap_ratio"),
)

C = 0.03
"""
How little weights are shrunk.

Log-loss of the validation days of a simulated weekly business (2,000 users), Online Retail, Complete Journey and CDNOW, means
over five blocks: .2135, .2341, .5599, .0855; of all columns, C .1: .2150, .2342, .5567, .0856.
"""


def _fit(encoders: Encoders, loss: str, train: Examples, stop: Stop) -> tuple[Part, ...]:  # noqa: ARG001 - learners share it
    dense = encoders.of(Dense)
    used = np.array([i for i, f in enumerate(dense.features) if f.column in COLUMNS and f.key is None], dtype=int)
    if not used.size:
        rate = float(np.average(train.outcome > 0, weights=train.weight))
        return (Part(dense, Linear(len(dense.features), float(np.log(rate / (1 - rate))), ())),)
    design = Design.of(train.rows.by(dense), used, ["log"] * len(used), tail=0.0)
    return (Part(dense, of_chances(dense, design, train, C)),)


LEARNER = Learner(
    "rfm",
    "logistic regression on recency, frequency, monetary value and rhythm (RFM)",
    fit=_fit,
    predictors=(Linear,),
    losses=("binary",),
)
