"""An amount of money, of which most users may spend nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.model.calibration import Level
from ml.objectives import figures, pictures
from ml.objectives.declaration import Figures, Objective

if TYPE_CHECKING:
    import numpy as np


def _spenders(outcome: np.ndarray) -> int:
    return int((outcome > 0).sum())


def _worth(raw: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
    return Level.fit(raw, outcome).factor, 0.0


OBJECTIVE = Objective(
    name="amount",
    unit="money",
    # The squared error: with a log link contributions would not be in money.
    loss="regression",
    calibration=Level,
    # The squared error of amounts is that of a few large customers; the order of all is what the gate reads, too.
    choose_by=figures.gini,
    rarer=_spenders,
    figures=Figures(
        primary="gini",
        ranking={"gini": figures.gini},
        level={"decile_mape": figures.decile_mape, "predicted_over_actual": figures.predicted_over_actual},
        has_level=True,
        chance=0.0,
    ),
    pictures={"gain.svg": pictures.gain, "deciles.svg": pictures.deciles},
    # Amounts are sums of money.
    rule_scale="plain",
    rule_worth=_worth,
    adds_up=True,
)
