"""
Whether a recipe that is as good over all is worse for some: by segment, with an interval that allows for how many were asked.

Limits as of Holm (1979), A simple sequentially rejective multiple test procedure, over all segments that have rows enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ml.training.evaluation import Figure
from ml.training.gate import paired
from ml.training.gate.criteria import value_for
from ml.training.gate.verdict import Criterion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.objectives import Figures
    from ml.training.gate.criteria import Criteria
    from ml.training.gate.paired import Difference, Pair

NAME = "segments"

NORMAL = NormalDist()


@dataclass(frozen=True)
class _Segment:
    name: str
    difference: Difference

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference; draws of a mean of many users are about normal, and too few for its far ends."""
        deviation = self.difference.deviation
        if not deviation > 0:
            return 1.0 if not self.difference.value else 0.0
        return 2 * (1 - NORMAL.cdf(abs(self.difference.value) / deviation))

    def figure(self, level: float) -> Figure:
        """Return the difference with its interval at a chance of error."""
        half = NORMAL.inv_cdf(1 - level / 2) * self.difference.deviation
        return Figure(self.difference.value, self.difference.value - half, self.difference.value + half)


def no_worse(figures: Figures, pair: Pair, segments: Mapping[str, np.ndarray], criteria: Criteria) -> Criterion:
    """
    Ask of each segment whether the challenger ranks worse there than the champion's recipe.

    `segments` holds a segment's name for each row, by dimension. One with few positives says nothing, and one that is
    worse by little, or perhaps by chance, stops nothing.
    """
    allowed = -value_for(figures.primary, criteria.segment_loss, "segment_loss")
    found = [] if pair.is_same else list(_asked(figures, pair, segments, criteria))
    if not found:
        why = "says the same of all" if pair.is_same else "no segment has rows enough to tell"
        return Criterion(NAME, passed=True, told=f"segments: {why}", threshold=allowed)
    judged = [(segment, segment.figure(level)) for segment, level in _holm(found, criteria.segment_level)]
    lost = [(segment, figure) for segment, figure in judged if figure.value < allowed and figure.high < 0]
    segment, figure = min(lost or judged, key=lambda one: one[1].value)
    told = (
        f"{figures.primary} is lower by {-figure.value:.3f} for {segment.name} (Holm's interval {figure.low:+.3f} to "
        f"{figure.high:+.3f})"
        if lost
        else f"none of {len(found)} segments is surely worse by more than {-allowed:g} in {figures.primary}"
    )
    return Criterion.of(NAME, told, passed=not lost, figure=figure, threshold=allowed)


def _asked(figures: Figures, pair: Pair, segments: Mapping[str, np.ndarray], criteria: Criteria) -> Iterator[_Segment]:
    """Compare the recipes in each segment that has positives enough, and rows of both kinds."""
    positive = pair.challenger.outcome > 0
    for dimension, names in segments.items():
        for name in dict.fromkeys(names.tolist()):
            rows = np.flatnonzero(names == name)
            if criteria.segment_positives <= positive[rows].sum() < len(rows):
                difference = paired.ranking(figures, pair.take(rows), criteria.resamples)
                yield _Segment(f"{dimension} {name}", difference)


def _holm(segments: Sequence[_Segment], level: float) -> Iterator[tuple[_Segment, float]]:
    """Give each segment its chance of error: the surest the smallest, and none after one that was not sure."""
    ordered = sorted(segments, key=lambda segment: segment.p_value)
    is_sure, allowed = True, level / max(1, len(ordered))
    for at, segment in enumerate(ordered):
        if is_sure:
            allowed = level / (len(ordered) - at)
            is_sure = segment.p_value <= allowed
        yield segment, allowed
