"""
What a message changes for whom: the models of an effect and their level, as they are stored with a model and score.

Learnt by ml.uplift from campaigns that were assigned by lot. A user's effect is the mean of models of folds, put through a
straight line: the best linear predictor of the effect by that score. Its interval is the line's own: of the effect of users
with such a score, not of the one user, whom nobody can know. Numbers and LightGBM's text, stored in model.json.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from ml.model.calibration import logistic
from ml.model.encoder import Dense
from ml.model.learners.boosting import Boosting
from ml.model.learners.linear import Linear
from ml.products.declaration import UPLIFT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.encoder import Encoded

    Floats = np.ndarray

REACH = NormalDist().inv_cdf(0.975)
"""Errors to each end of a 95 % interval."""


class Outcome(Protocol):
    """The expected outcome of an arm."""

    def expected(self, x: Floats) -> Floats: ...


@dataclass(frozen=True)
class Model:
    """A model of an outcome in an arm: a predictor as any part has it, and whether it is about a chance."""

    predictor: Linear | Boosting
    is_chance: bool

    def expected(self, x: Floats) -> Floats:
        raw = self.predictor.raw(x)
        return logistic(raw) if self.is_chance else raw


class Effect(Protocol):
    """What a message changes, by features."""

    kind: ClassVar[str]

    def effect(self, x: Floats) -> Floats: ...


@dataclass(frozen=True)
class Constant:
    """The same effect for everybody."""

    kind: ClassVar[str] = "constant"
    value: float

    def effect(self, x: Floats) -> Floats:
        return np.full(len(x), self.value)


@dataclass(frozen=True)
class TwoModels:
    """The difference of the arms' models."""

    kind: ClassVar[str] = "two_models"
    treated: Model
    control: Model

    def effect(self, x: Floats) -> Floats:
        return self.treated.expected(x) - self.control.expected(x)


@dataclass(frozen=True)
class Direct:
    """A weighted sum of columns."""

    kind: ClassVar[str] = "direct"
    linear: Linear

    def effect(self, x: Floats) -> Floats:
        return self.linear.raw(x)


@dataclass(frozen=True)
class Line:
    """Effect by score: level + slope (score - centre), with the covariance of level and slope; scores count within limits."""

    centre: float
    low: float
    high: float
    level: float
    slope: float
    level_variance: float
    slope_variance: float
    covariance: float

    def at(self, score: Floats) -> tuple[Floats, Floats, Floats]:
        """Return effects and the ends of their 95 % intervals."""
        beyond = np.clip(score, self.low, self.high) - self.centre
        variance = self.level_variance + 2 * beyond * self.covariance + beyond * beyond * self.slope_variance
        error = np.sqrt(variance) * REACH
        effect = self.level + self.slope * beyond
        return effect, effect - error, effect + error


@dataclass(frozen=True)
class Uplift:
    """The extra chance of a return that a message causes, by features."""

    encoder: Dense
    effects: tuple[Effect, ...]
    """A model for each fold of what was learnt from."""
    line: Line

    def tell(self, rows: Encoded) -> dict[str, Floats]:
        """Return the columns of `UPLIFT` for some rows; no end of an interval lies beyond what a chance can change by."""
        value, low, high = of_models(self.effects, self.line, rows.by(self.encoder))
        return dict(zip(UPLIFT, (np.clip(one, -1, 1) for one in (value, low, high)), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns into an equal one."""
        effects = [to_json(effect) for effect in self.effects]
        return {"encoder": self.encoder.to_json(), "effects": effects, "line": asdict(self.line)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        effects = tuple(from_json(effect) for effect in plain["effects"])
        return cls(Dense.from_json(plain["encoder"]), effects, Line(**plain["line"]))


def of_models(effects: Sequence[Effect], line: Line, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return effects with the ends of their intervals, for a row of encoded features each."""
    return line.at(np.mean([effect.effect(x) for effect in effects], axis=0))


# Stored as numbers and native text


def to_json(effect: Effect) -> dict[str, Any]:
    """Return plain values from which `from_json` makes an equal effect."""
    match effect:
        case Constant(value):
            return {"kind": effect.kind, "value": value}
        case TwoModels(treated, control):
            return {"kind": effect.kind, "treated": _model_to_json(treated), "control": _model_to_json(control)}
        case Direct(linear):
            return {"kind": effect.kind, "linear": linear.to_json()}
    raise TypeError(effect)


def from_json(plain: Mapping[str, Any]) -> Effect:
    """Make a stored effect again."""
    if plain["kind"] == Constant.kind:
        return Constant(plain["value"])
    if plain["kind"] == Direct.kind:
        return Direct(Linear.from_stored(plain["linear"], None))
    return TwoModels(_model_from_json(plain["treated"]), _model_from_json(plain["control"]))


def _model_to_json(model: Model) -> dict[str, Any]:
    text = model.predictor.to_bytes()
    own = {"text": text.decode()} if text else model.predictor.to_json()
    return {"kind": model.predictor.kind, "is_chance": model.is_chance, **own}


def _model_from_json(plain: Mapping[str, Any]) -> Model:
    of_text = plain["kind"] == Boosting.kind
    predictor = Boosting.from_text(plain["text"]) if of_text else Linear.from_stored(dict(plain), None)
    return Model(predictor, plain["is_chance"])
