"""What a kind of prediction declares: how it is learnt, calibrated, chosen, judged and shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from matplotlib.axes import Axes

    from ml.model.calibration import Calibration
    from ml.model.learners.linear import Scale
    from ml.training.evaluation import Judged

    Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Figures:
    """The figures of an objective. The primary one decides; `better` says in which direction."""

    primary: str
    ranking: Mapping[str, Metric]
    """Of the raw score; the naive rule has them too."""
    level: Mapping[str, Metric]
    """Of the prediction."""
    has_level: bool
    """Whether the naive rule is in the unit of the outcome, so that its level can be shown as well."""
    chance: float
    """The primary figure of a ranking by lot."""
    proper: str | None = None
    """The figure of `level` that is compared with the base rate as a forecast for everybody; less is better."""
    noise: Mapping[str, Metric] = field(default_factory=dict)
    """What a perfect model would show of figures that cannot be 0, by the figure's name and `_floor`."""


@dataclass(frozen=True)
class Thorough:
    """The figures of a backtest, those of the gate among them."""

    of: Callable[[np.ndarray, np.ndarray, np.ndarray, float], dict[str, float]]
    """By name, given outcome, raw score, prediction and the share that is texted: what they share is computed once."""
    compared: tuple[str, ...]
    """Those that the model and the naive rule are compared by."""
    noise: Mapping[str, Metric]
    """As `Figures.noise`."""


@dataclass(frozen=True)
class Objective:
    """A kind of prediction. Functions of two arrays take outcomes last, but for figures, which take them first."""

    name: str
    unit: str
    """What an outcome is counted in; `money` is the deployment's currency, `{kind}` is filled with the target's kind."""
    loss: str
    """What boosting minimises, by LightGBM's name."""
    calibration: type[Calibration]
    """Fitted to raw scores and outcomes of days that the learner was not fitted on."""
    choose_by: Metric
    """What candidates are compared by on validation days; more is better."""
    level: Callable[[np.ndarray, np.ndarray], float]
    """By how much raw scores lie below what came: in log-odds, or as a logarithm of what they would have to be multiplied by."""
    rarer: Callable[[np.ndarray], int]
    """How many outcomes are of the kind that may be too rare."""
    figures: Figures
    pictures: Mapping[str, Callable[[Axes, Judged], None]]
    """By file name."""
    rule_scale: Scale
    """How the sum of a naive rule counts."""
    rule_worth: Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[float, float]]
    """What a step of that sum is worth in the unit of a raw score, and where it begins; given last how much each row counts."""
    thorough: Thorough | None = None
    """What a backtest shows beyond the figures of the gate. It costs too much for each training."""
    calibrations: tuple[Callable[[np.ndarray, np.ndarray], Calibration], ...] = ()
    """
    Ways to fit a calibration, of which the validation days choose, the first where two are alike; by default the one of
    `calibration`, which must be the last: it is taken where there are too few days to choose, and to compare candidates.
    """
    calibrate_by: Metric | None = None
    """What calibrations are compared by, where what candidates are compared by cannot tell them apart."""
    moves: str = "the score"
    """What a reason raises or lowers, in words."""
    counted_in: str = "the unit of the raw score"
    """What contributions are counted in, in words; `{currency}` is the deployment's."""
    adds_up: bool = False
    """Whether raw scores of several targets add up to one of their sum. A product of any other objective has one target."""

    @property
    def ways_to_calibrate(self) -> tuple[Callable[[np.ndarray, np.ndarray], Calibration], ...]:
        return self.calibrations or (self.calibration.fit,)
