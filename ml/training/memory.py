"""
How much of the past a candidate learns from: days before a history begins are forgotten, and the rest may fade.

What the weights do is Koychev 2000, Gradual forgetting for adaptation to concept drift; validation days say whether they are of
use. What a day is worth is never decided by its outcomes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ml.model.encoder import Encoded
from ml.model.learners import Examples

if TYPE_CHECKING:
    from ml.model.scorer import Forecast

HISTORIES = (104, 52, 26)
"""
Weeks of history that the chosen candidate is also fitted on, where there is a quarter more: older days may describe an older
business.

The shorter is taken where it is better beyond chance on the blocks of validation days. A business that repeats itself once a year
keeps its years, one that grows or fades forgets them.
"""

HALF_LIVES = (26, 8)
"""
Weeks after which a row of that history counts half: tried in turn until the newest block of validation days speaks against it,
and taken where it is better beyond chance on all.

A history that is cut off forgets all at once; a business that fades does so day by day, and each row dropped is one less to
learn from. So a shorter history is asked for first, and only then how fast the rest of it fades.
"""


class Memory(NamedTuple):
    """How much of the past a candidate learns from."""

    history_weeks: int | None = None
    """The last weeks of its days; None is all there are."""
    half_life_weeks: int | None = None
    """After so many weeks a row counts half; None where all rows count alike."""

    @classmethod
    def of(cls, forecast: Forecast) -> Memory:
        return cls(forecast.history_weeks, forecast.half_life_weeks)

    def __str__(self) -> str:
        weeks = f"the last {self.history_weeks} weeks" if self.history_weeks else "all weeks"
        return f"{weeks}, half as much every {self.half_life_weeks}" if self.half_life_weeks else weeks

    def kept(self, examples: Examples) -> Examples:
        """Leave out what is forgotten, and let the rest count by its age: a row of the last day as much as it did."""
        rows = latest(examples, self.history_weeks)
        if self.half_life_weeks is None:
            return rows
        faded = 0.5 ** (weeks_before_last(rows) / self.half_life_weeks)
        return replace(rows, weight=faded if rows.weight is None else faded * rows.weight)


ALL = Memory()


def latest(examples: Examples, weeks: int | None) -> Examples:
    """Keep the rows of the last weeks of some days; all of them where no number is given."""
    if weeks is None:
        return examples
    kept = np.flatnonzero(weeks_before_last(examples) < weeks)
    weight = None if examples.weight is None else examples.weight[kept]
    return Examples(Encoded(examples.rows.rows.take(pa.array(kept))), examples.outcome[kept], weight)


def weeks_before_last(examples: Examples) -> np.ndarray:
    """Say of each row how many weeks its day lies before the last one."""
    days = examples.rows.rows["day"].to_numpy().astype("datetime64[D]")
    return (days.max() - days) / np.timedelta64(7, "D")


def weeks_of(examples: Examples) -> int:
    """Count the weeks between the first day and the last."""
    return int(weeks_before_last(examples).max())
