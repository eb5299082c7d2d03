"""
Whether levels follow the year: learnt from days that the forecast had not seen, and taken where they say so beyond chance.

Each day's level is what its predictions would have to be raised by to come true. It is regressed on what the same days of a year
ago were to their year (`ml.model.season`). Outcomes of neighbouring weekly days share most of their days, so these are averaged
until they share none, and each average counts once: a day, and not a user, is what tells anything of a season.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.model.season import YEAR_DAYS, Season

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ml.model.learners import Examples
    from ml.objectives import Objective
    from ml.products import Target
    from ml.training.samples import Sample

DATE = "activity_on"
"""The column of a sample's totals that says of which date they are."""

TOLD_DAYS = 7
"""Of a date counts what was delivered within so many days: dates so long before a day are then known on it as ever after."""

SURE = 0.995
"""So much of Student's t lies below the bound that a slope is taken by: it is asked of each target, at each training anew."""

SPREAD = 1.0
"""How far from none a coefficient is thought to lie before any day is seen: at 1 the year repeats itself."""

BOUND = float(np.log(5))
"""Of a day's logarithm: a total of a few orders says no more, and no calibration corrects more, either."""

DIGITS = 4
"""Of a stored logarithm: a hundredth of a percent."""

ACTIVE_SHARE = 0.5
"""Of the dates of a window at least this share has a total: before a business began there is no year to compare with."""


@dataclass(frozen=True)
class Found:
    """What the days said of a season."""

    season: Season | None = None
    slope: float | None = None
    """Of levels on the year before, before it is shrunk."""
    low: float | None = None
    """The end that it lies above, but for one time in two hundred."""
    windows: int = 0
    """So many averages of days whose labels share none."""
    is_lent: bool = False
    """Whether these are too few to tell, and the coefficient is that of an earlier target."""
    why_not: str = field(default="", kw_only=True)

    @property
    def told(self) -> str:
        """Say what became of it."""
        if not self.season:
            return f"none: {self.why_not}"
        return f"{self.season.coefficient:.2f} of last year's{', as of the target before' if self.is_lent else ''}"

    def to_json(self) -> dict[str, Any]:
        taken = self.season and {"coefficient": self.season.coefficient, "last_day": self.season.last.isoformat()}
        return {**vars(self), "season": taken}


def again(sample: Sample, target: Target, season: Season | None, *, multiplies: bool) -> Season | None:
    """Return a season as it was learnt, over the year that a sample knows; none where this one knows none."""
    return of_totals(sample, target, season.coefficient, multiplies=multiplies) if season else None


def of_totals(sample: Sample, target: Target, coefficient: float, *, multiplies: bool) -> Season | None:
    """
    Compare each day's coming days, a year ago, with the last year that is told of by the day: of totals by date, none later.

    From the first day with such a year to the last whose coming days, a year ago, are told of by now. After the last total the
    year is the one that ends with it.
    """
    if sample.totals is None or not sample.totals.num_rows or target.to_day + TOLD_DAYS > YEAR_DAYS:
        return None
    totals = _by_date(sample.totals, target.label)
    first, mean, last = YEAR_DAYS - 1 + TOLD_DAYS, _Means(totals), len(totals) - 1
    days = np.arange(first, last + YEAR_DAYS - target.to_day + 1)
    ends = np.minimum(days - TOLD_DAYS, last)
    coming = mean.of(days - YEAR_DAYS + target.from_day, days - YEAR_DAYS + target.to_day)
    year = mean.of(ends - YEAR_DAYS + 1, ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.clip(np.log(coming / year), -BOUND, BOUND)
    if not np.isfinite(logs).any():
        return None
    begins = sample.totals[DATE][0].as_py() + timedelta(days=first)
    plain = tuple(round(float(one), DIGITS) if np.isfinite(one) else None for one in logs)
    return Season(coefficient, begins.isoformat(), plain, multiplies)


def _by_date(totals: pa.Table, label: str) -> np.ndarray:
    """Return the total of each date from the first to the last; NaN of one without any."""
    dates = totals[DATE].to_numpy().astype("datetime64[D]")
    values = np.full(int((dates[-1] - dates[0]).astype(int)) + 1, np.nan)
    values[(dates - dates[0]).astype(int)] = totals[label].to_numpy()
    return values


class _Means:
    """Means of totals over windows of dates, told by their first and last."""

    def __init__(self, totals: np.ndarray) -> None:
        self._sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(totals))])
        self._there = np.concatenate([[0], np.cumsum(~np.isnan(totals))])

    def of(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return the means; NaN where a window begins before the totals do, has too few of them, or nothing came of it."""
        dates = last - first + 1
        begun = np.maximum(first, 0)
        there, found = (sums[last + 1] - sums[begun] for sums in (self._there, self._sums))
        return np.where((first >= 0) & (there >= ACTIVE_SHARE * dates) & (found > 0), found, np.nan) / dates


def learnt(
    objective: Objective,
    sample: Sample,
    target: Target,
    blocks: Sequence[tuple[np.ndarray, Examples]],
    lent: float | None = None,
) -> Found:
    """
    Learn how much of last year's rise comes again, from raw scores of blocks of days that they had not seen.

    Each block has a level of its own: its forecast was fitted on other days. The slope is shrunk as by a prior of `SPREAD` around
    none. It is taken where it lies above 0 beyond chance, by Student's t over averages of days that share no outcome. Where there
    are too few of these to tell, the coefficient that an earlier target has shown is lent: it is of the same totals, only further
    ahead.
    """
    plain = of_totals(sample, target, 1.0, multiplies=objective.adds_up)
    if plain is None:
        return Found(why_not="nothing is known of a year ago")
    weeks = ceil((target.to_day - target.from_day + 1) / 7)
    told = [of_block for block in blocks if (of_block := _averages(objective, plain, block, weeks)).size]
    count = sum(len(one) for one in told)
    if (freedom := count - len(told) - 1) < 1 and told and lent is not None:
        return Found(of_totals(sample, target, lent, multiplies=objective.adds_up), windows=count, is_lent=True)
    if freedom < 1:
        return Found(windows=count, why_not="too few days know of a year ago")
    x, y = np.concatenate([one - one.mean(axis=0) for one in told]).T
    spread = float(x @ x)
    if not spread > 0:
        return Found(windows=count, why_not="a year ago all days were alike")
    from scipy.stats import t

    slope = float(x @ y) / spread
    noise = float(((y - slope * x) ** 2).sum()) / freedom
    low = slope - float(t.ppf(SURE, freedom)) * float(np.sqrt(noise / spread))
    if not low > 0:
        return Found(None, slope, low, count, why_not="levels do not follow last year's beyond chance")
    coefficient = slope * spread / (spread + noise / SPREAD**2)
    return Found(of_totals(sample, target, coefficient, multiplies=objective.adds_up), slope, low, count)


def _averages(objective: Objective, season: Season, block: tuple[np.ndarray, Examples], weeks: int) -> np.ndarray:
    """Return last year's logarithm and the level of each so many days of a block, in order, of which a year ago is known."""
    raw, rows = block
    days = rows.rows.rows["day"].to_numpy().astype("datetime64[D]")
    found = []
    for day in np.unique(days):
        log, there = float(season.log_of(np.array([day]))[0]), days == day
        level = objective.level(raw[there], rows.outcome[there])
        if np.isfinite(log) and np.isfinite(level):
            found.append((log, level))
    parts = [np.mean(found[at : at + weeks], axis=0) for at in range(0, len(found), weeks)]
    return np.array(parts).reshape(-1, 2)
