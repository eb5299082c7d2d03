"""
The level that the year gives a day: how far the days that a prediction is about stood, a year ago, above the year's mean.

A number a day, the same for everybody: who ranks before whom on a day stays as it is. It is of the business' own days, known by
then, and stored with the model until a year after them, so training and scoring look it up in one table and no job reads more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.model.encoder import Rows
    from ml.model.part import Contributions

YEAR_DAYS = 364
"""Whole weeks: a Sunday is foretold by a Sunday, as in the features of last year's weeks."""


@dataclass(frozen=True)
class Season:
    """What is added to the log-odds, or the logarithm, of all predictions of a day."""

    coefficient: float
    """How much of last year's rise is expected again: validation days have taught it, shrunk towards none."""
    first: str
    """The day of the first of `logs`, as in 2017-06-01."""
    logs: tuple[float | None, ...]
    """By day: the logarithm of the coming days' mean a year ago over that of the year that ends on the day. None: not known."""
    multiplies: bool
    """Whether raw scores are amounts, which it multiplies, and no logarithms, to which it adds."""

    @property
    def last(self) -> date:
        """The last day that it says anything of."""
        return date.fromisoformat(self.first) + timedelta(days=len(self.logs) - 1)

    def of(self, rows: Rows) -> np.ndarray:
        """Return what is added for each row: nothing of a day of which no year ago is known."""
        return self.coefficient * np.nan_to_num(self.log_of(rows.column("day").to_numpy(zero_copy_only=False)))

    def log_of(self, days: np.ndarray) -> np.ndarray:
        """Return the logarithm of each day, NaN where it is not known."""
        at = (days.astype("datetime64[D]") - np.datetime64(self.first)) // np.timedelta64(1, "D")
        logs = np.array([*self.logs, None], dtype=np.float64)
        return logs[np.where((at >= 0) & (at < len(self.logs)), at, len(self.logs))]

    def put_on(self, raw: np.ndarray, rows: Rows) -> np.ndarray:
        """Raise raw scores to the level of their days."""
        return raw * np.exp(self.of(rows)) if self.multiplies else raw + self.of(rows)

    def said(self, parts: Sequence[Contributions], rows: Rows) -> list[Contributions]:
        """Raise what some parts say. A day is no reason: it holds of everybody, so a term goes into the baseline."""
        by = self.of(rows)
        if self.multiplies:
            return [part.times(np.exp(by)) for part in parts]
        return [parts[0].above(by), *parts[1:]]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "logs": list(self.logs)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        return cls(**{**plain, "logs": tuple(plain["logs"])})
