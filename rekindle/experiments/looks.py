"""
Looking at an experiment while it runs, without being fooled by the look at which chance was largest.

A campaign ends with known users, so its looks *spend* alpha: little at first, the rest at the end, by the spending function
that resembles O'Brien and Fleming's design. Number and times of looks need not be planned; the last interval is hardly wider
than that of a single look, and for who looks but once, when all outcomes are known, it is the same.

The global holdout never ends, so there is nothing to spend towards: its interval is *always valid*, at any number of looks,
and wider (a normal mixture, tightest near a sample size chosen before).

Sources: Lan and DeMets, *Discrete Sequential Boundaries for Clinical Trials* (Biometrika 1983); the recursive integral:
Armitage, McPherson and Rowe, *Repeated Significance Tests on Accumulating Data* (JRSS A 1969); repeated intervals: Jennison
and Turnbull, *Interim Analyses: The Repeated Confidence Interval Approach* (JRSS B 1989); always valid: Robbins,
*Statistical Methods Related to the Law of the Iterated Logarithm* (1970), and Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
*Time-uniform central limit theory and asymptotic confidence sequences* (Annals of Statistics 2024).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special, stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GRID = 401
"""Points of the integral over a look: looks that are a thousandth of the experiment apart are still told apart."""

NEXT_LOOK = 1e-3
"""A look at so little more of an experiment is the one before it."""

FARTHEST = 9.0
"""Standard deviations beyond which nothing is left to be spent."""

TIGHTEST_RATIO = 7.2
"""Of a normal mixture at 95 %: n * rho^2 at which its interval is the shortest multiple of the error."""


def spent(fraction: float, alpha: float) -> float:
    """Alpha that may be spent until this fraction of an experiment is known, one half for each direction."""
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(min(fraction, 1.0))))


def boundaries(fractions: Sequence[float], alpha: float) -> list[float]:
    """
    How many errors from zero each look has to be, so that chance passes any of them with probability `alpha` at most.

    `fractions` grow: which part of the experiment's users had outcomes that were known at each look.
    """
    levels: list[float] = []
    points: NDArray[np.float64] = np.zeros(1)
    mass: NDArray[np.float64] = np.ones(1)
    last, used = 0.0, 0.0
    for fraction in fractions:
        if levels and fraction - last < NEXT_LOOK:
            levels.append(levels[-1])
            continue
        step, budget = math.sqrt(fraction - last), spent(fraction, alpha)
        edge = _edge(points, mass, step, budget - used, FARTHEST * math.sqrt(fraction))
        levels.append(edge / math.sqrt(fraction))
        points, mass = _inside(points, mass, step, edge)
        last, used = fraction, budget
    return levels


def _edge(points: NDArray[np.float64], mass: NDArray[np.float64], step: float, budget: float, farthest: float) -> float:
    """Distance that the path passes with the probability `budget` on this step, having stayed inside until now."""

    def too_much(edge: float) -> float:
        beyond = special.ndtr((points - edge) / step) + special.ndtr((-edge - points) / step)
        return float(mass @ beyond) - budget

    return float(optimize.brentq(too_much, 0.0, farthest, xtol=1e-9)) if too_much(farthest) < 0 else farthest


def _inside(
    points: NDArray[np.float64], mass: NDArray[np.float64], step: float, edge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the paths are that have stayed inside, as masses on a grid."""
    grid = np.linspace(-edge, edge, GRID)
    weights = np.full(GRID, 2.0 * edge / (GRID - 1))
    weights[[0, -1]] /= 2
    density = np.exp(-0.5 * ((grid[:, None] - points[None, :]) / step) ** 2) @ mass / (step * math.sqrt(2 * math.pi))
    return grid, density * weights


def alpha_at(fractions: Sequence[float], alpha: float) -> float:
    """The alpha at which to make the interval of the last of these looks, so that those of all looks hold together."""
    return float(2 * stats.norm.sf(boundaries(fractions, alpha)[-1]))


def always_valid_alpha(users: float, tightest_at: float, alpha: float) -> float:
    """The alpha at which to make an interval that holds at every number of users, and is tightest at a chosen one."""
    ratio = TIGHTEST_RATIO * users / tightest_at
    level = math.sqrt((1 + ratio) / ratio * math.log((1 + ratio) / alpha**2))
    return float(2 * stats.norm.sf(level))
