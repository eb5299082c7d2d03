"""
Learn an effect from a trial, measure it on users that it was not learnt from, and say what may be published.

The trial is cut into folds, by lot of clusters. For each fold all is done without it: learners are compared by their Qini on
halves of the others, the best is fitted to them, and its scores of the fold are what is judged; the constant effect, whose
Qini is 0, is left where no learner is above it. So every user is judged once, by what has not seen them. From all of them
follow Qini and uplift at the shares with their intervals, of outcomes less what features say of them anyway; and the level:
a straight line of the scores through the users' pseudo-outcomes (the best linear predictor of the effect). A score that says
too much is drawn in by it, and the line's own error is each user's interval. What is published is the mean of the folds'
models: they were judged, and nothing is fitted again.

The mean effect (ATE) is that of all users, by intention to treat, with what was known before taken out where there is a
score of before (CUPED).

Source of folds and line: Chernozhukov, Demirer, Duflo and Fernández-Val, *Fisher-Schultz Lecture: Generic Machine Learning
Inference on Heterogeneous Treatment Effects in Randomized Experiments* (Econometrica 2025).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from ml.model import uplift
from ml.model.uplift import Constant, Line
from ml.uplift import curves
from ml.uplift.checks import Checks, checked
from ml.uplift.curves import Worth, worth
from ml.uplift.learners import LEARNERS, adjusted, arms_of, learner_named, pseudo_outcome
from rekindle.experiments import ALPHA, Estimate, compare, sums_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.uplift import Effect
    from ml.uplift.trial import Trial

    Floats = np.ndarray

Status = Literal["no_experiment", "not_believed", "not_shown", "average", "modelled"]
"""
Where an uplift comes from, or why there is none: nobody was assigned by lot; the arms are not what lots make; no effect can
be told from zero; the mean effect of all; the effect of users like this one.
"""

MIN_USERS, MIN_CAME = 1_000, 50
"""In each arm of what is learnt from: users, and of yes and no the rarer. With fewer no learner can be told from the constant."""

FOLDS = 5
"""The more, the more each is learnt from; with more than these hardly more."""

INNER_RESAMPLES = 20

NO_QINI = 1e-12
"""What rounding leaves of a Qini of 0."""

TAIL = 0.01
"""Scores beyond these quantiles of the trial count as the quantile: there the line rests on nobody."""


@dataclass(frozen=True)
class Average:
    """The mean effect with what was known before taken out, and without."""

    adjusted: Estimate | None
    """None where nothing was known before."""
    plain: Estimate

    @property
    def effect(self) -> Estimate:
        return self.plain if self.adjusted is None else self.adjusted

    @property
    def interval(self) -> tuple[float, float]:
        return self.effect.interval(ALPHA)

    @property
    def is_shown(self) -> bool:
        """Whether it can be told from zero."""
        low, high = self.interval
        return low > 0 or high < 0

    def to_json(self) -> dict[str, Any]:
        told = {"plain": self.plain, "adjusted": self.adjusted}
        return {
            name: one and {"effect": one.value, "interval": _finite(one.interval(ALPHA))} for name, one in told.items()
        }


@dataclass(frozen=True)
class Judged:
    """A learner's models of the folds, judged on them."""

    effects: tuple[Effect, ...]
    """A model for each fold, learnt from the others."""
    line: Line
    worth: Worth


@dataclass(frozen=True)
class Learnt:
    """What a trial has taught."""

    users: Mapping[str, int]
    checks: Checks
    average: Average
    chosen: tuple[str, ...]
    """The learner of each fold; none where there are too few users to learn from, or nothing tells them apart."""
    inner: Mapping[str, float]
    """Mean Qini of each learner on the halves that it was chosen by."""
    judged: Judged | None
    """None where the constant effect was chosen everywhere, or nothing learnt."""

    @property
    def status(self) -> Status:
        if not self.checks.is_believed:
            return "not_believed"
        if self.judged is not None and self.judged.worth.qini.is_above_zero:
            return "modelled"
        return "average" if self.average.is_shown else "not_shown"

    def uplift(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return for users of these features the uplift with the ends of its interval; NaN where none may be published."""
        return published(self.to_json(), x)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: what is told, and what `published` needs."""
        judged = self.judged
        model = judged and {
            "effects": [uplift.to_json(effect) for effect in judged.effects],
            "line": asdict(judged.line),
        }
        return {
            "status": self.status,
            "users": dict(self.users),
            "checks": self.checks.to_json(),
            "average": self.average.to_json(),
            "chosen": list(self.chosen),
            "inner_qini": dict(self.inner),
            "worth": judged and judged.worth.to_json(),
            "model": model,
        }


def learn(trial: Trial, planned: Sequence[float | None] = (), seed: int = 0) -> Learnt:
    """Learn from a trial; `planned` are the shares of the treated by campaign."""
    checks, mean = checked(trial, planned), average(trial)
    part = trial.parts(FOLDS, seed)
    others = [trial.take(part != fold) for fold in range(FOLDS)]
    if not checks.is_believed or not all(map(is_enough, others)):
        return Learnt(trial.sizes, checks, mean, (), {}, None)
    inner = [compared(other, seed + 1) for other in others]
    chosen = tuple(found.chosen for found in inner)
    effects = [learner_named(name).fit(other) for name, other in zip(chosen, others, strict=True)]
    is_constant = all(isinstance(effect, Constant) for effect in effects)
    judged = None if is_constant else judge(trial, part, effects, others)
    means = {name: float(np.mean([found.qini[name] for found in inner])) for name in inner[0].qini}
    return Learnt(trial.sizes, checks, mean, chosen, means, judged)


def is_enough(trial: Trial) -> bool:
    """Whether there are users enough in each arm of a half to learn from, and anything that tells them apart."""
    arms = [trial.outcome[chosen] for chosen in (trial.is_treated, ~trial.is_treated)]
    # Of amounts, what is rare is to have any.
    rarer = [min((arm > 0).sum(), (arm <= 0).sum()) if trial.is_binary else (arm != 0).sum() for arm in arms]
    return bool(trial.features) and min(map(len, arms)) >= MIN_USERS and min(rarer) >= MIN_CAME


@dataclass(frozen=True)
class Inner:
    """Learners on two halves of what is learnt from, each learnt from one and measured on the other."""

    qini: Mapping[str, float]
    """Mean of the two halves, the constant's 0 first."""
    error: Mapping[str, float]
    """Of the difference to the best, by draws of clusters."""

    @property
    def chosen(self) -> str:
        """
        The simplest of those above 0 that are within one error of the best; the constant where none is above 0.

        Between learners that cannot be told from each other the choice would be a coin's (Breiman et al. 1984).
        """
        best = max(self.qini.values())
        near = [name for name, value in self.qini.items() if value > 0 and value >= best - self.error[name]]
        return near[0] if near and best > NO_QINI else next(iter(self.qini))


def compared(trial: Trial, seed: int) -> Inner:
    """Compare the learners within a trial."""
    one, other = trial.halves(seed)
    drawn = np.mean([_drawn(a, b) for a, b in ((one, other), (other, one))], axis=0)
    names, whole = [learner.name for learner in LEARNERS], drawn[:, 0]
    errors = (drawn[whole.argmax(), 1:] - drawn[:, 1:]).std(axis=1)
    return Inner(dict(zip(names, whole.tolist(), strict=True)), dict(zip(names, errors.tolist(), strict=True)))


def _drawn(learnt: Trial, left_out: Trial) -> Floats:
    """Qini of each learner, a row each: as it is, and in draws."""
    times, outcome = curves.draws(left_out, INNER_RESAMPLES), adjusted(left_out, arms_of(learnt))
    ranked = [curves.Ranked(outcome, learner.fit(learnt).effect(left_out.x)) for learner in LEARNERS]
    return np.array([[one.qini(), *map(one.qini, times)] for one in ranked])


def judge(trial: Trial, part: np.ndarray, effects: Sequence[Effect], others: Sequence[Trial]) -> Judged:
    """Judge models of folds (`part` names the fold of each row) on what they have not seen; `others` are what they have."""
    score, place, pseudo, outcome = np.zeros((4, len(trial)))
    for fold, (effect, other) in enumerate(zip(effects, others, strict=True)):
        inside = part == fold
        score[inside] = effect.effect(trial.x[inside])
        # Scores of different models are compared by their ranks.
        place[inside] = stats.rankdata(score[inside]) / inside.sum()
        rows, arms = trial.take(inside), arms_of(other)
        pseudo[inside], outcome[inside] = pseudo_outcome(rows, arms), adjusted(rows, arms).outcome
    return Judged(tuple(effects), line(score, pseudo, trial.cluster), worth(replace(trial, outcome=outcome), place))


def line(score: Floats, pseudo: Floats, cluster: np.ndarray) -> Line:
    """Fit effects to scores by least squares of pseudo-outcomes, its covariance robust and by cluster (Liang and Zeger 1986)."""
    low, high = np.quantile(score, (TAIL, 1 - TAIL))
    within = np.clip(score, low, high)
    centre = float(within.mean())
    design = np.column_stack([np.ones(len(score)), within - centre])
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T @ pseudo
    codes = np.unique(cluster, return_inverse=True)[1]
    left = design * (pseudo - design @ weights)[:, None]
    totals = np.column_stack([np.bincount(codes, column) for column in left.T])
    covariance = inverse @ (totals.T @ totals) @ inverse
    return Line(
        centre, float(low), float(high), float(weights[0]), float(weights[1]),
        float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1]),
    )  # fmt: skip


def average(trial: Trial) -> Average:
    """Return the mean effect: that of each campaign, weighted by its users, because shares of arms may differ between them."""
    found = [_of_campaign(trial.take(trial.campaign == campaign)) for campaign in np.unique(trial.campaign)]
    sizes = [size for size, _, _ in found]
    return Average(
        _combined(sizes, [adjusted for _, _, adjusted in found]) if trial.has_covariate else None,
        _combined(sizes, [plain for _, plain, _ in found]),
    )


def _of_campaign(trial: Trial) -> tuple[int, Estimate, Estimate]:
    arms = {
        name: sums_of(trial.outcome[chosen], trial.covariate[chosen], trial.cluster[chosen])
        for name, chosen in (("treated", trial.is_treated), ("control", ~trial.is_treated))
    }
    (found,) = compare(arms, "control", has_covariate=True)
    return len(trial), found.plain, found.effect


def _combined(sizes: list[int], parts: list[Estimate]) -> Estimate:
    """Add up estimates of disjoint users; of a campaign without an error, nothing is known of the error of all."""
    shares = np.array(sizes) / sum(sizes)
    variances = np.array([part.variance for part in parts]) * shares**2
    value = float(np.sum(shares * [part.value for part in parts]))
    if not (variances > 0).all():
        return Estimate(value, 0.0, 0.0)
    whole = float(variances.sum())
    freedom = whole**2 / float(np.sum(variances**2 / [part.freedom for part in parts]))
    return Estimate(value, whole, freedom)


def published(told: Mapping[str, Any], x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return uplift with the ends of its interval from what `Learnt.to_json` told; NaN where none may be published."""
    if told["status"] == "modelled":
        effects = [uplift.from_json(plain) for plain in told["model"]["effects"]]
        return uplift.of_models(effects, Line(**told["model"]["line"]), x)
    nothing = (np.nan, np.nan, np.nan)
    mean = told["average"]["adjusted"] or told["average"]["plain"]
    value, low, high = (mean["effect"], *mean["interval"]) if told["status"] == "average" else nothing
    return np.full(len(x), value), np.full(len(x), low), np.full(len(x), high)


def _finite(interval: tuple[float, float]) -> list[float | None]:
    return [end if np.isfinite(end) else None for end in interval]
