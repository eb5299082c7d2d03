"""
How many times something happens: orders, visits, of which many users have none.

Raw scores are logarithms of an expected count, so contributions multiply: 0.7 more is twice as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml.objectives import figures, pictures
from ml.objectives.declaration import Figures, Objective


@dataclass(frozen=True)
class Rate:
    """Count = slope * exp(raw): predictions add up to what happened."""

    kind: ClassVar[str] = "rate"
    slope: float

    @classmethod
    def fit(cls, raw: np.ndarray, outcome: np.ndarray) -> Rate:
        return cls(slope=float(outcome.sum() / np.exp(raw).sum()))

    def again(self, raw: np.ndarray, outcome: np.ndarray) -> Rate:
        return type(self).fit(raw, outcome)

    def scale(self, raw: np.ndarray) -> float:  # noqa: ARG002 - calibrations share it
        return 1.0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        return self.slope * np.exp(raw)


def _counted(outcome: np.ndarray) -> int:
    """Rows with any; where fewer have none, those without."""
    return min(int((outcome > 0).sum()), int((outcome <= 0).sum()) or len(outcome))


def _minus_deviance(outcome: np.ndarray, prediction: np.ndarray) -> float:
    return -figures.deviance(outcome, prediction)


def _level(raw: np.ndarray, outcome: np.ndarray) -> float:
    """Infinite where nothing came."""
    with np.errstate(divide="ignore"):
        return float(np.log(Rate.fit(raw, outcome).slope))


def _worth(raw: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    """Fit a Poisson regression on the rule alone, standardised so that no unit is too small to be learnt."""
    from sklearn.linear_model import PoissonRegressor

    centre, spread = float(raw.mean()), float(raw.std()) or 1.0
    fitted = PoissonRegressor(alpha=0.0, solver="newton-cholesky")
    fitted.fit(((raw - centre) / spread)[:, None], outcome, sample_weight=weight)
    slope = float(fitted.coef_[0]) / spread
    return slope, float(fitted.intercept_) - slope * centre


OBJECTIVE = Objective(
    name="count",
    unit="{kind}",
    loss="poisson",
    calibration=Rate,
    choose_by=_minus_deviance,
    level=_level,
    rarer=_counted,
    figures=Figures(
        primary="gini",
        ranking={"gini": figures.gini},
        level={
            "deviance": figures.deviance,
            "decile_mape": figures.decile_mape,
            "predicted_over_actual": figures.predicted_over_actual,
        },
        has_level=False,
        chance=0.0,
        proper="deviance",
    ),
    pictures={"gain.svg": pictures.gain, "calibration.svg": pictures.calibration},
    # Twice the orders are one step more of a logarithm.
    rule_scale="log",
    rule_worth=_worth,
    moves="the expected count",
    counted_in="logarithms: +0.69 is twice as many",
)
