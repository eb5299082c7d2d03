"""
What a model says beyond its targets: intervals, the chance of a purchase, and the horizons that no label reaches.

Learnt after the forecasts, from what came of them on days that they had not seen. Numbers only, stored in model.json.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.model.calibration import logistic
from ml.model.encoder import doubles
from ml.model.purchase_process import Histories, PurchaseProcess, Spend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.model.encoder import Rows

LEVELS = (0.1, 0.9)
"""The ends of an interval: an 80 % one."""

READS = {
    "active_days_365d": "int64",
    "recency_days": "int32",
    "gap_mean_days": "double",
    "sale_amount_365d": "decimal128(18, 2)",
    "refund_amount_365d": "decimal128(18, 2)",
}
"""The columns that tell a purchase history, with their types."""


@dataclass(frozen=True)
class Known:
    """Purchase histories of the rows that have one, by what the year's features say: a day with activity is a purchase."""

    there: np.ndarray
    """Which rows have a history."""
    histories: Histories
    mean: np.ndarray
    """Net spending a purchase, never below 0."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Read histories: first and last active day lie as far apart as the gaps between active days add up to."""
        days, recency, gap, sales, refunds = (doubles(rows.column(name)) for name in READS)
        there = (np.nan_to_num(days) > 0) & ~np.isnan(recency)
        repeats = days[there] - 1
        last = np.round(np.nan_to_num(gap[there]) * repeats)
        mean = np.maximum(sales - refunds, 0)[there] / days[there]
        return cls(there, Histories.of(repeats, last, last + recency[there]), mean)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Put values of those with a history at their rows; NaN elsewhere."""
        found = np.full((len(self.there), *values.shape[1:]), np.nan)
        found[self.there] = values
        return found


@dataclass(frozen=True)
class Process:
    """A purchase process with its spending, and what its amounts are multiplied by so that they come true on average."""

    purchases: PurchaseProcess
    spend: Spend
    level: float

    def amount(self, known: Known, until: float) -> np.ndarray:
        """Return the net revenue to expect within so many days of each history."""
        mean = self.spend.expected(known.histories.repeats + 1, known.mean)
        return self.level * mean * self.purchases.expected(known.histories, until)

    def ends(self, known: Known, until: float) -> np.ndarray:
        """Return both ends of the 80 % interval of that revenue itself: a row for each history."""
        drawn = self.purchases.amount_quantiles(self.spend, known.histories, known.mean, until=until, levels=LEVELS)
        return self.level * drawn


@dataclass(frozen=True)
class Band:
    """
    An interval around a predicted amount: split conformal, within bins of the prediction.

    Each end is a quantile, over days that the forecast had not seen, of the outcome's ratio to the prediction (Vovk 2012 on
    conditional validity within bins; the quantiles' ranks are those of n + 1 rows). Between the bins' middles the ratios are
    interpolated, so that no customer's interval jumps.
    """

    offset: float
    """Added to predictions before a ratio is taken: of nothing there is none."""
    middles: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def ends(self, predicted: np.ndarray) -> np.ndarray:
        """Return the lower and the upper end of each prediction's interval."""
        ratios = [np.interp(predicted, self.middles, ends) for ends in (self.lows, self.highs)]
        return np.column_stack(ratios) * (predicted + self.offset)[:, None]


@dataclass(frozen=True)
class Chance:
    """The chance of any purchase: logistic in the logarithms of the predicted amount and of the expected purchases."""

    offset: float
    intercept: float
    by_amount: float
    by_count: float

    def predict(self, amount: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Return probabilities; whoever has no history, NaN in `count`, is told by the amount alone."""
        by_amount, by_count = self.inputs(amount, count, self.offset).T
        return logistic(self.intercept + self.by_amount * by_amount + self.by_count * by_count)

    @staticmethod
    def inputs(amount: np.ndarray, count: np.ndarray, offset: float) -> np.ndarray:
        """Return the two logarithms, a row for each prediction."""
        return np.column_stack([np.log(np.maximum(amount, 0) + offset), np.log(np.nan_to_num(count) + 0.01)])


@dataclass(frozen=True)
class Outlook:
    """What a model says of amounts beyond its targets, whose last one ends `reach` days after the day."""

    kind: str
    """Of the targets: what the names of increments begin with."""
    horizons: tuple[int, ...]
    """Days until which amounts are published, in order; those beyond `reach` are extrapolated."""
    reach: int
    last_days: int
    """How many days the last target is about."""
    bands: Mapping[int, Band]
    """By horizon that is modelled."""
    chance: Chance | None
    process: Process | None
    """None where too few have bought to learn it, or where it did not come true: then the last increment goes on."""

    def tell(self, rows: Rows, by_label: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Say it of some rows, by column; `by_label` holds the predictions of the targets named by `labels`, in order."""
        known, totals = (
            Known.of(rows),
            dict(zip(self.bands, np.cumsum([by_label[n] for n in labels], axis=0), strict=True)),
        )
        told: dict[str, np.ndarray] = {}
        for horizon, band in self.bands.items():
            told |= named_ends(horizon, band.ends(totals[horizon]))
        total, before = totals[self.reach], self.reach
        for horizon in (h for h in self.horizons if h > self.reach):
            increment = self._beyond(known, by_label[labels[-1]], before, horizon)
            total = total + increment
            told[increment_name(self.kind, before, horizon)] = increment
            told |= named_ends(horizon, self._ends(known, totals[self.reach], total, horizon))
            before = horizon
        count = self.expected_purchases(known)
        if self.chance:
            told["purchase_probability"] = self.chance.predict(totals[self.reach], count)
        if self.process:
            told["p_alive"] = known.spread(self.process.purchases.p_alive(known.histories))
        return told

    def expected_purchases(self, known: Known) -> np.ndarray:
        """Return the purchases to expect until `reach`; NaN of whom nothing is known."""
        if not self.process:
            return np.full(len(known.there), np.nan)
        return known.spread(self.process.purchases.expected(known.histories, self.reach))

    def _beyond(self, known: Known, last: np.ndarray, before: int, horizon: int) -> np.ndarray:
        """Return the increment of the days from `before` on: by the process, else as the last increment goes on by day."""
        going_on = last * ((horizon - before) / self.last_days)
        if not self.process:
            return going_on
        amount = self.process.amount(known, horizon) - self.process.amount(known, before)
        return np.where(known.there, known.spread(np.maximum(amount, 0)), going_on)

    def _ends(self, known: Known, modelled: np.ndarray, total: np.ndarray, horizon: int) -> np.ndarray:
        """
        Return the interval of an extrapolated horizon.

        The process says how wide it is for its own expectation; the published one is the sum of increments, and scales it.
        Of whom the process knows nothing, the widths are those of the last horizon that is modelled.
        """
        scale = total / np.maximum(modelled + self.bands[self.reach].offset, 1e-9)
        ends = self.bands[self.reach].ends(modelled) * scale[:, None]
        if self.process:
            told = known.spread(self.process.ends(known, horizon))
            mean = known.spread(self.process.amount(known, horizon))
            by_process = told * (total / np.maximum(mean, 1e-9))[:, None]
            ends = np.where(known.there[:, None], by_process, ends)
        return ends

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns into an equal outlook."""
        plain = {name: getattr(self, name) for name in ("kind", "reach", "last_days")}
        process = self.process
        return {
            **plain,
            "horizons": list(self.horizons),
            "bands": {
                str(horizon): {k: _plain(v) for k, v in vars(band).items()} for horizon, band in self.bands.items()
            },
            "chance": vars(self.chance) if self.chance else None,
            "process": None
            if process is None
            else {"purchases": vars(process.purchases), "spend": vars(process.spend), "level": process.level},
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        process = plain["process"]
        return cls(
            kind=plain["kind"],
            horizons=tuple(plain["horizons"]),
            reach=plain["reach"],
            last_days=plain["last_days"],
            bands={
                int(horizon): Band(**{f.name: _tuples(band[f.name]) for f in fields(Band)})
                for horizon, band in plain["bands"].items()
            },
            chance=Chance(**plain["chance"]) if plain["chance"] else None,
            process=process
            and Process(PurchaseProcess(**process["purchases"]), Spend(**process["spend"]), process["level"]),
        )


def named_ends(horizon: int, ends: np.ndarray) -> dict[str, np.ndarray]:
    """Name both ends of a horizon's intervals."""
    return {f"low_1_{horizon}": ends[:, 0], f"high_1_{horizon}": ends[:, 1]}


def increment_name(kind: str, before: int, horizon: int) -> str:
    """Name the increment from one horizon to the next, as a target with a label is named."""
    return f"{kind}_{before + 1}_{horizon}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
