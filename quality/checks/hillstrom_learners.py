"""Hillstrom's e-mail experiment: the mean effects are what they are known to be, and learners differ by less than their error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from quality.figures import Figure
from rekindle.cli import learners
from rekindle.experiments.analysis import analyse
from rekindle.experiments.table import Asked, read
from rekindle.progress import SILENT
from rekindle.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE, ARM = "hillstrom_data.csv", "Womens E-Mail"
FEATURES = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")
HALVES = 10

KNOWN, OFF = 0.0742, 0.008
"""Uplift at 30 % of a logistic T-learner on other halves, and its error."""

MEANS = {"visit": (0.0389, 0.0516), "spend": (0.169, 0.680)}
"""Intervals of the mean effects."""


def figures(size: float = 1.0) -> Iterator[Figure]:
    """Let the learners compete for the visits by the women's message."""
    path = settings().data and settings().data / FILE
    if not path or not path.is_file():
        yield Figure("Hillstrom's data are not here (REKINDLE_DATA): not measured", float("nan"))
        return
    asked = Asked(
        ["visit", "spend"], arm="segment", control="No E-Mail", features=FEATURES, rules=("womens", "recency")
    )
    found = analyse(read(path, asked), asked)
    for of in found.outcomes:
        effect = next(one for one in of.comparisons if one.arm == ARM).effect.value
        yield Figure(f"Hillstrom, women's message: {of.name}, mean effect", effect, *MEANS[of.name])
    visits = read(path, replace(asked, outcomes=["visit"]))
    halves = max(round(HALVES * size), 2)
    contests = {one.arm: one.contests["visit"] for one in learners.compared(visits, found.ratio, halves, SILENT)}
    contest = contests[ARM]
    assert contest is not None, "thousands are enough"  # noqa: S101 - a check may fail
    for entry in contest.entries:
        at_30 = entry.figures["uplift_30"]
        ends = (KNOWN - 2 * OFF, KNOWN + 2 * OFF) if entry.name == "t_logistic" else (None, None)
        yield Figure(f"visits among the highest 30 % by {entry.name} (error {at_30.error:.4f})", at_30.value, *ends)
    best, *others = contest.entries
    same = sum(entry.from_best.is_zero for entry in others)
    yield Figure(
        f"of {len(others)} others, differ from {best.name} by less than their error", np.float64(same), digits=0
    )
