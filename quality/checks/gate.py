"""The gate lets no worse recipe in, few equal ones, and most of those that are better by .03 AUC; on simulated users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.model.calibration import Platt
from ml.objectives import figures as by
from ml.training import gate
from ml.training.evaluation import Judged, evaluate
from ml.training.gate import Challenge, Criterion, Pair, routes
from quality.figures import Figure, lots

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS, DAYS = 3_000, 3
"""Of the test rows: users who are there on several days, so that rows go together."""

WORTH = 0.03
"""By how much AUC noise makes a score worse."""

NOISE = 0.4
"""Of a recipe's score, in the log-odds: what two fits of equal recipes differ by is of this size."""

PAIRS, WORSE, BETTER = 100, 20, 20
AT_MOST, AT_LEAST = 7, 18


class World:
    """Simulated users who come back by a known law, on validation days and on test days."""

    def __init__(self, draw: np.random.Generator) -> None:
        own = draw.normal(-1.5, 1.0, USERS)
        self.draw, self.users = draw, np.tile(np.arange(USERS), DAYS)
        self.odds = {part: np.tile(own, DAYS) + 0.3 * draw.normal(size=USERS * DAYS) for part in ("validation", "test")}
        self.came = {
            part: (draw.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float) for part, odds in self.odds.items()
        }

    def judged(self, noise: float) -> Judged:
        """Score both with so much noise, calibrate by the validation days, judge on the test days."""
        raw = {part: odds + noise * self.draw.normal(size=len(odds)) for part, odds in self.odds.items()}
        platt = Platt.fit(raw["validation"], self.came["validation"])
        return Judged(
            *(self.users, self.came["test"], raw["test"], platt.predict(raw["test"])),
            naive=self.odds["test"] + 3 * self.draw.normal(size=len(self.users)),
            base=float(self.came["validation"].mean()),
        )

    def noise_worth(self, worth: float) -> float:
        """Find the noise that costs a score so much AUC against one with the usual noise, by halving."""
        odds, came = self.odds["test"], self.came["test"]
        dealt = self.draw.normal(size=len(odds))
        wanted, low, high = by.auc(came, odds + NOISE * dealt) - worth, NOISE, 10.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if by.auc(came, odds + middle * dealt) > wanted else (low, middle)
        return low


def figures(size: float = 1.0) -> Iterator[Figure]:
    """
    Send pairs of recipes through the gate, as other recipes and as a refresh of the same.

    What must not come in is judged by the criterion that decides on it alone: the others could only keep more out.
    """
    draw = lots("Rekindle's gate")
    equal = [is_better(_challenge(world, NOISE, NOISE)).passed for world in _worlds(draw, PAIRS, size)]
    yield Figure(f"of {len(equal)} equal recipes let in as better", sum(equal), at_most=AT_MOST * size, digits=0)
    better = [_let_in(_challenge(world, NOISE, world.noise_worth(WORTH))) for world in _worlds(draw, BETTER, size)]
    yield Figure(
        f"of {len(better)} whose champion has noise worth {WORTH} AUC, let in", sum(better), AT_LEAST * size, digits=0
    )
    for ask, told in ((is_better, "as better"), (is_no_worse, "as a refresh")):
        worse = [ask(_challenge(world, world.noise_worth(WORTH), NOISE)).passed for world in _worlds(draw, WORSE, size)]
        yield Figure(f"of {len(worse)} worse by {WORTH} AUC let in {told}", sum(worse), at_most=0, digits=0)


def is_better(challenge: Challenge) -> Criterion:
    """Ask what decides on another recipe."""
    return routes.is_better(challenge, gate.criteria())


def is_no_worse(challenge: Challenge) -> Criterion:
    """Ask what decides on the same recipe, whose level holds."""
    return routes.non_inferior(challenge, gate.criteria(), is_refresh=True, holds=True)


def _challenge(world: World, challenger: float, champion: float) -> Challenge:
    """Let two recipes score the same rows with so much noise each."""
    pair = Pair(world.judged(challenger), world.judged(champion))
    return Challenge("probability", pair, is_same_recipe=False, is_simpler=False)


def _let_in(challenge: Challenge) -> bool:
    return gate.judge_challenger(evaluate("probability", challenge.pair.challenger), challenge).passed


def _worlds(draw: np.random.Generator, count: int, size: float) -> Iterator[World]:
    for _ in range(max(1, round(count * size))):
        yield World(draw)
