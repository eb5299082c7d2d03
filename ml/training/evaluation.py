"""
How good a model is: figures on test days, each with an interval, beside the naive rule on the same rows.

Intervals: users are drawn with replacement, with all their rows, because the rows of a user are not independent. Differences
from the naive rule are taken within each draw (paired), so luck that both share cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.objectives import Figures
    from ml.objectives.declaration import Metric

RESAMPLES = 100
INTERVAL = (0.025, 0.975)
ONE_ERROR = (0.159, 0.841)
"""One standard error to either side, of what is drawn as from a normal distribution."""


@dataclass(frozen=True)
class Judged:
    """Test rows: what came true, what the model and the naive rule said. All candidates are judged on the same."""

    users: np.ndarray
    outcome: np.ndarray
    raw: np.ndarray
    prediction: np.ndarray
    naive: np.ndarray
    base: float
    """The mean outcome of the validation days: a forecast that is the same for everybody, and known beforehand."""

    def take(self, rows: np.ndarray) -> Judged:
        """Return some of the rows."""
        parts = {name: getattr(self, name)[rows] for name in ("users", "outcome", "raw", "prediction", "naive")}
        return replace(self, **parts)


TABLES = ("model", "naive", "difference", "over_base")
"""The figures of an evaluation that have intervals."""


@dataclass(frozen=True)
class Figure:
    """A value with its interval."""

    value: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0


@dataclass(frozen=True)
class Evaluation:
    """How a model did on test rows."""

    primary: str
    chance: float
    """The primary figure of a ranking by lot."""
    row_count: int
    user_count: int
    rate: float
    """Mean outcome: the share of positives, or the mean amount."""
    zero_share: float
    model: Mapping[str, Figure]
    naive: Mapping[str, Figure]
    difference: Mapping[str, Figure]
    """Model minus naive rule, paired."""
    over_base: Mapping[str, Figure]
    """Model minus the base rate as a forecast for everybody, paired; empty where an objective has none."""
    noise: Mapping[str, float]

    @property
    def beats_naive(self) -> bool:
        return self.difference[self.primary].value > 0

    def to_json(self) -> dict[str, Any]:
        tables = {name: {k: vars(v) for k, v in getattr(self, name).items()} for name in TABLES}
        return {
            "primary": self.primary,
            "verdict": "better than the naive rule" if self.beats_naive else "loses to the naive rule",
            "rows": self.row_count,
            "users": self.user_count,
            "rate": self.rate,
            "zero_share": self.zero_share,
            **tables,
            "noise": dict(self.noise),
        }


def evaluate(objective: str, judged: Judged) -> Evaluation:
    """Compute the figures of an objective that the gate reads, with intervals over draws of users."""
    return evaluate_by(OBJECTIVES[objective].figures, judged)


def evaluate_by(figures: Figures, judged: Judged) -> Evaluation:
    """Compute figures with intervals over draws of users."""
    # A draw of users may have nobody who returned: its figures are then none, and no part of an interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = [_values(figures, judged.take(rows)) for rows in draws(judged.users)]
    tables = {
        table: {name: figure(value, [values[table][name] for values in drawn]) for name, value in whole.items()}
        for table, whole in _values(figures, judged).items()
    }
    return Evaluation(
        primary=figures.primary,
        chance=figures.chance,
        row_count=len(judged.outcome),
        user_count=len(np.unique(judged.users)),
        rate=float(judged.outcome.mean()),
        zero_share=float((judged.outcome <= 0).mean()),
        **tables,
        noise={name: noise(judged.outcome, judged.prediction) for name, noise in figures.noise.items()},
    )


@dataclass(frozen=True)
class Compared:
    """Rows of one block of validation days, and what two contenders predict of them."""

    users: np.ndarray
    outcome: np.ndarray
    this: np.ndarray
    other: np.ndarray


def paired(metric: Metric, blocks: Sequence[Compared], interval: tuple[float, float] = INTERVAL) -> Figure:
    """Average this minus other over blocks, with an interval; a draw of users is the same draw in every block, and for both."""
    edges = np.cumsum([0, *(len(block.outcome) for block in blocks)])

    def mean(rows: np.ndarray) -> float:
        found = []
        for block, first, after in zip(blocks, edges[:-1], edges[1:], strict=True):
            at = rows[(rows >= first) & (rows < after)] - first
            outcome = block.outcome[at]
            found.append(metric(outcome, block.this[at]) - metric(outcome, block.other[at]))
        return float(np.mean(found))

    users = np.concatenate([block.users for block in blocks])
    with np.errstate(divide="ignore", invalid="ignore"):
        return figure(mean(np.arange(len(users))), [mean(rows) for rows in draws(users)], interval)


def draws(users: np.ndarray, rounds: int | None = None) -> Iterator[np.ndarray]:
    """Draw users as `counts` does, and yield the rows of those drawn, as often as they count."""
    for times in counts(users, rounds):
        yield np.repeat(np.arange(len(users)), times)


def counts(users: np.ndarray, rounds: int | None = None) -> Iterator[np.ndarray]:
    """Draw as many users as there are, with replacement, and yield how often each row counts; seeded."""
    _, codes = np.unique(users, return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    draw = np.random.default_rng(0)
    for _ in range(RESAMPLES if rounds is None else rounds):
        yield np.bincount(draw.integers(count, size=count), minlength=count)[codes]


def _values(figures: Figures, judged: Judged) -> dict[str, dict[str, float]]:
    """Return the figures of `TABLES`; differences where a difference has a direction."""
    model = {name: metric(judged.outcome, judged.raw) for name, metric in figures.ranking.items()}
    naive = {name: metric(judged.outcome, judged.naive) for name, metric in figures.ranking.items()}
    difference = {name: model[name] - naive[name] for name in figures.ranking}
    model |= {name: metric(judged.outcome, judged.prediction) for name, metric in figures.level.items()}
    if figures.has_level:
        naive |= {name: metric(judged.outcome, judged.naive) for name, metric in figures.level.items()}
    over_base = {}
    if figures.proper:
        metric, constant = figures.level[figures.proper], np.full(len(judged.outcome), judged.base)
        over_base[figures.proper] = model[figures.proper] - metric(judged.outcome, constant)
    return dict(zip(TABLES, (model, naive, difference, over_base), strict=True))


def figure(value: float, drawn: Sequence[float] | np.ndarray, interval: tuple[float, float] = INTERVAL) -> Figure:
    """Put a value beside the interval of what was drawn; draws without a figure are left out."""
    found = np.array(drawn)
    there = found[np.isfinite(found)]
    low, high = np.quantile(there, interval) if len(there) else (float("nan"), float("nan"))
    return Figure(value, float(low), float(high))
