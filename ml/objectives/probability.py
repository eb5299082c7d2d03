"""The probability that something happens: yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.model.calibration import Platt
from ml.objectives import figures, pictures
from ml.objectives.declaration import Figures, Objective, Thorough

if TYPE_CHECKING:
    import numpy as np


def _rarer(outcome: np.ndarray) -> int:
    """Rows of the smaller class."""
    return min(int((outcome > 0).sum()), int((outcome <= 0).sum()))


def _minus_log_loss(outcome: np.ndarray, prediction: np.ndarray) -> float:
    """A proper score, after calibration: nobody wins by being overconfident, nor loses by what Platt repairs."""
    return -figures.log_loss(outcome, prediction)


def _level(raw: np.ndarray, outcome: np.ndarray) -> float:
    return Platt.shifted(raw, outcome).intercept


def _worth(raw: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    fit = Platt.fit(raw, outcome, weight)
    return fit.slope, fit.intercept


SHARES = (0.01, 0.05, 0.1, 0.2, 0.4)
"""Of the rows, best first, that lift and capture are shown at."""


FIGURES = Figures(
    primary="auc",
    ranking={"auc": figures.auc, "lift_10": figures.lift, "capture_40": figures.capture},
    level={
        "ece": figures.ece,
        "log_loss": figures.log_loss,
        "predicted_over_actual": figures.predicted_over_actual,
    },
    has_level=False,
    chance=0.5,
    proper="log_loss",
    noise={"ece_floor": lambda _, probability: figures.ece_floor(probability)},
)


COMPARED = ("auc", "average_precision", "precision_texted", "lift_10", "capture_40", "log_loss", "brier")


def _thorough(outcome: np.ndarray, raw: np.ndarray, probability: np.ndarray, share: float) -> dict[str, float]:
    """Add what a decision by the score comes to, and what calibration is made of."""
    return {
        "auc": figures.auc(outcome, raw),
        "average_precision": figures.average_precision(outcome, raw),
        **figures.of_texted(outcome, raw, share),
        **figures.by_share(outcome, raw, SHARES),
        "log_loss": figures.log_loss(outcome, probability),
        "brier": figures.brier(outcome, probability),
        "ece": figures.ece(outcome, probability),
        **figures.calibration_line(outcome, probability),
        "predicted_over_actual": figures.predicted_over_actual(outcome, probability),
    }


OBJECTIVE = Objective(
    name="probability",
    unit="1 or 0",
    loss="binary",
    calibration=Platt,
    # By what they move: nothing, the level, the level and how far chances lie apart.
    calibrations=(Platt.as_it_is, Platt.shifted, Platt.fit),
    choose_by=_minus_log_loss,
    level=_level,
    rarer=_rarer,
    figures=FIGURES,
    thorough=Thorough(_thorough, COMPARED, FIGURES.noise),
    pictures={"roc.svg": pictures.roc, "gain.svg": pictures.gain, "calibration.svg": pictures.calibration},
    # Ten times the days are one step less of a chance.
    rule_scale="log",
    rule_worth=_worth,
    moves="the chance",
    counted_in="log-odds: +0.69 doubles the odds",
)
