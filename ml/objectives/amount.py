"""An amount of money, of which most users may spend nothing."""

from __future__ import annotations

import numpy as np

from ml.model.calibration import Level
from ml.model.learners.tweedie import POWER
from ml.objectives import figures, pictures
from ml.objectives.declaration import Figures, Objective, Thorough


def _spenders(outcome: np.ndarray) -> int:
    return int((outcome > 0).sum())


def _level(raw: np.ndarray, outcome: np.ndarray) -> float:
    """Infinite where nothing was foretold, or nothing came."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(Level.fit(raw, outcome).factor))


def _worth(raw: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    # A factor is a ratio of two sums: a row that counts half is as one of half its size.
    counts = 1.0 if weight is None else weight
    return Level.fit(counts * raw, counts * outcome).factor, 0.0


def nearness(outcome: np.ndarray, predicted: np.ndarray) -> float:
    """
    Say how near amounts come to what came true, by order and level alike; more is better.

    Minus the mean deviance by which Tweedie's trees learn: in proportion to what is expected, where a squared error hears the
    largest only and an order alone does not tell a level.
    """
    from sklearn.metrics import mean_tweedie_deviance

    spent = np.maximum(outcome, 0.0)
    # Of nothing foretold any purchase is infinitely far.
    least = max(0.01, 0.01 * float(spent.mean()))
    return -float(mean_tweedie_deviance(spent, np.maximum(predicted, least), power=POWER))


FIGURES = Figures(
    primary="gini",
    ranking={"gini": figures.gini},
    level={"decile_mape": figures.decile_mape, "predicted_over_actual": figures.predicted_over_actual},
    has_level=True,
    chance=0.0,
)


def _thorough(outcome: np.ndarray, raw: np.ndarray, prediction: np.ndarray, _share: float) -> dict[str, float]:
    """Add what a mean relative error hides: a bin of pennies counts there as one of fortunes."""
    return {
        "gini": figures.gini(outcome, raw),
        "spearman": figures.spearman(outcome, raw),
        "top_decile_share": figures.capture(outcome, raw, 0.1),
        "decile_mape": figures.decile_mape(outcome, prediction),
        "decile_wape": figures.decile_wape(outcome, prediction),
        "predicted_over_actual": figures.predicted_over_actual(outcome, prediction),
    }


NOISE = {"decile_mape_floor": figures.decile_mape_floor, "decile_wape_floor": figures.decile_wape_floor}


OBJECTIVE = Objective(
    name="amount",
    unit="money",
    # The squared error: with a log link contributions would not be in money.
    loss="regression",
    calibration=Level,
    calibrations=(Level.bent, Level.fit),
    calibrate_by=nearness,
    # The squared error of amounts is that of a few large customers; the order of all is what the gate reads, too.
    choose_by=figures.gini,
    level=_level,
    rarer=_spenders,
    figures=FIGURES,
    thorough=Thorough(_thorough, ("gini", "spearman", "top_decile_share"), NOISE),
    pictures={"gain.svg": pictures.gain, "deciles.svg": pictures.deciles},
    # Amounts are sums of money.
    rule_scale="plain",
    rule_worth=_worth,
    adds_up=True,
    moves="the expected amount",
    counted_in="{currency}",
)
