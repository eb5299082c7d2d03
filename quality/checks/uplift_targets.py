"""Targeting by uplift times value, learnt from 50,000 users whose mean effect is .01: of what who knows the truth reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.uplift.learners import linear_model
from ml.uplift.learning import learn
from quality.figures import Figure, lots
from quality.trials import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEEDS, USERS, EFFECT = range(20, 40), 50_000, 0.01
"""Seeds 0 to 19 had been looked at while the simulated trial was made: they judge nothing any more."""

TEXTED = 0.2
"""Share of the users whom each sends a message: others than those of the trial."""

REACHED, WON = 0.75, 19 / 20
"""Of the value that the true effects reach, and of the seeds in which propensity does worse."""


@dataclass(frozen=True)
class Targeted:
    """True value that each choice causes, of what the choice by the true effect does, and what was published."""

    reached: Mapping[str, float]
    status: str


def targeted(seed: int, users: int = USERS, effect: float = EFFECT) -> Targeted:
    """Learn from one trial, choose among as many other users by uplift, propensity and value, and ask the truth."""
    drawn = lots(f"Rekindle's trials to target by {seed}")
    trial, others = (simulated(drawn, users, effect) for _ in ("learnt from", "chosen among"))
    learnt, control = learn(trial.trial, [0.5]), trial.trial.arm(treated=False)
    uplift = learnt.uplift(others.trial.x)[0]
    scores = {
        "uplift": np.nan_to_num(uplift),
        "propensity": linear_model(control, control.design()).expected(others.trial.x),
        "the same effect for all": np.ones(users),
        "the true effect": others.effect,
    }
    caused = {name: _caused(others.effect * others.value, score * others.value) for name, score in scores.items()}
    whole = caused.pop("the true effect")
    return Targeted({name: value / whole for name, value in caused.items()}, learnt.status)


def _caused(worth: np.ndarray, score: np.ndarray) -> float:
    return float(worth[np.argsort(-score, kind="stable")[: round(TEXTED * len(worth))]].sum())


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Target in each seed, and compare."""
    found = [targeted(seed) for seed in SEEDS[: max(round(len(SEEDS) * size), 1)]]
    reached = {name: np.array([one.reached[name] for one in found]) for name in found[0].reached}
    won = (reached["uplift"] > reached["propensity"]).sum()
    yield Figure("uplift x value: of the value that the true effects reach, mean", reached["uplift"].mean(), REACHED)
    yield Figure("seeds in which uplift x value beats propensity x value", won, WON * len(found), digits=0)
    yield Figure("uplift x value: the worst seed", reached["uplift"].min())
    yield Figure("propensity x value: of the value that the true effects reach, mean", reached["propensity"].mean())
    yield Figure("value alone: the same", reached["the same effect for all"].mean())
    modelled = sum(one.status == "modelled" for one in found)
    yield Figure("seeds in which a learner was published, not the mean effect", modelled, digits=0)
    yield Figure("seeds", len(found), digits=0)
