"""
How good a model is: figures on test days, each with an interval, beside the naive rule on the same rows.

Ties: every tied row counts as the mean of its tie group, so no ranking depends on the order of rows. Intervals: users
are drawn with replacement, with all their rows, because the rows of a user are not independent. Differences from the
naive rule are taken within each draw (paired), so luck that both share cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Metric = Callable[[np.ndarray, np.ndarray], float]

RESAMPLES = 100
INTERVAL = (0.025, 0.975)
BINS = 10


# Ranking: the order of a score


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """Chance that a positive row is ranked above a negative one; a tie is half a win."""
    _, groups, sizes = np.unique(score, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    positives = outcome > 0
    n_pos, n_neg = int(positives.sum()), int((~positives).sum())
    if not n_pos or not n_neg:
        return float("nan")
    return float((mean_ranks[groups][positives].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def lift(outcome: np.ndarray, score: np.ndarray, share: float = 0.1) -> float:
    """Rate among the `share` with the highest scores over the rate of all."""
    ranked = _ranked(outcome, score)
    return float(ranked[: _count(share, len(ranked))].mean() / outcome.mean())


def capture(outcome: np.ndarray, score: np.ndarray, share: float = 0.4) -> float:
    """Share of all positives that the `share` with the highest scores holds."""
    ranked = _ranked(outcome, score)
    return float(ranked[: _count(share, len(ranked))].sum() / outcome.sum())


def gini(outcome: np.ndarray, score: np.ndarray) -> float:
    """Area between the gain curve and chance, over that of a perfect ranking: 1 is perfect, 0 is chance."""
    return _area(outcome, score) / _area(outcome, outcome)


# Level: whether a prediction is right on average


def predicted_over_actual(outcome: np.ndarray, prediction: np.ndarray) -> float:
    return float(prediction.sum() / outcome.sum())


def log_loss(outcome: np.ndarray, probability: np.ndarray) -> float:
    sure = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.where(outcome > 0, np.log(sure), np.log1p(-sure)).mean())


def ece(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean gap between predicted and actual rates of ten equal bins. Compare with `ece_floor`: noise alone is not 0."""
    bins = bin_means(outcome, probability)
    return float(np.abs(bins[:, 0] - bins[:, 1]).mean())


def ece_floor(probability: np.ndarray, rounds: int = RESAMPLES) -> float:
    """Return the mean ECE that a perfectly calibrated model has with these scores: outcomes drawn from them."""
    draw = np.random.default_rng(0)
    return float(
        np.mean([ece((draw.random(len(probability)) < probability).astype(float), probability) for _ in range(rounds)])
    )


def decile_mape(outcome: np.ndarray, prediction: np.ndarray) -> float:
    """Mean relative error of the ten bins' means, over bins in which anything was spent."""
    bins = bin_means(outcome, prediction)
    spent = bins[bins[:, 1] > 0]
    return float((np.abs(spent[:, 0] - spent[:, 1]) / spent[:, 1]).mean())


def bin_means(outcome: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return mean prediction and mean outcome of ten bins of equal size, the lowest predictions first."""
    order = np.argsort(prediction, kind="stable")
    return np.array(
        [[prediction[rows].mean(), outcome[rows].mean()] for rows in np.array_split(order, BINS) if len(rows)]
    )


def gain_curve(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of the total held by the best 1, 2, … rows."""
    return np.cumsum(_ranked(outcome, score)) / outcome.sum()


def _ranked(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return outcomes from the highest score to the lowest, each tied row as the mean of its tie group."""
    _, groups, sizes = np.unique(-score, return_inverse=True, return_counts=True)
    means = np.bincount(groups, outcome) / sizes
    return np.repeat(means, sizes)


def _area(outcome: np.ndarray, score: np.ndarray) -> float:
    return float(2 * gain_curve(outcome, score).mean() - 1)


def _count(share: float, n: int) -> int:
    return max(1, round(n * share))


# What is judged by objective


@dataclass(frozen=True)
class Figures:
    """The figures of an objective. The primary one decides; `better` says in which direction."""

    primary: str
    ranking: Mapping[str, Metric]
    """Of the raw score; the naive rule has them too."""
    level: Mapping[str, Metric]
    """Of the prediction."""
    has_level: bool
    """Whether the naive rule is in the unit of the outcome, so that its level can be shown as well."""
    chance: float
    """The primary figure of a ranking by lot."""
    proper: str | None = None
    """The figure of `level` that is compared with the base rate as a forecast for everybody; less is better."""
    noise: Mapping[str, Callable[[np.ndarray], float]] = field(default_factory=dict)
    """Of the prediction alone: what a perfect model would show."""


FIGURES: dict[str, Figures] = {
    "probability": Figures(
        primary="auc",
        ranking={"auc": auc, "lift_10": lift, "capture_40": capture},
        level={"ece": ece, "log_loss": log_loss, "predicted_over_actual": predicted_over_actual},
        has_level=False,
        chance=0.5,
        proper="log_loss",
        noise={"ece_floor": ece_floor},
    ),
    "amount": Figures(
        primary="gini",
        ranking={"gini": gini},
        level={"decile_mape": decile_mape, "predicted_over_actual": predicted_over_actual},
        has_level=True,
        chance=0.0,
    ),
}


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


@dataclass(frozen=True)
class Evaluation:
    """How a model did on test rows."""

    primary: str
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
    """Compute every figure of an objective, with intervals over draws of users."""
    figures = FIGURES[objective]
    # A draw of users may have nobody who returned: its figures are then none, and no part of an interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = [_values(figures, judged.take(rows)) for rows in draws(judged.users)]
    tables = {
        table: {name: _figure(value, [values[table][name] for values in drawn]) for name, value in whole.items()}
        for table, whole in _values(figures, judged).items()
    }
    return Evaluation(
        primary=figures.primary,
        row_count=len(judged.outcome),
        user_count=len(np.unique(judged.users)),
        rate=float(judged.outcome.mean()),
        zero_share=float((judged.outcome <= 0).mean()),
        **tables,
        noise={name: noise(judged.prediction) for name, noise in figures.noise.items()},
    )


def mean_difference(objective: str, blocks: Sequence[Judged]) -> Figure:
    """Average the primary difference over blocks of test rows; a draw of users is the same draw in every block."""
    figures = FIGURES[objective]
    rank = figures.ranking[figures.primary]

    def mean(blocks: Iterable[Judged]) -> float:
        return float(np.mean([rank(b.outcome, b.raw) - rank(b.outcome, b.naive) for b in blocks]))

    edges = np.cumsum([0, *(len(block.outcome) for block in blocks)])
    drawn = [
        mean(
            block.take(rows[(rows >= first) & (rows < after)] - first)
            for block, first, after in zip(blocks, edges[:-1], edges[1:], strict=True)
        )
        for rows in draws(np.concatenate([block.users for block in blocks]))
    ]
    return _figure(mean(blocks), drawn)


def draws(users: np.ndarray, rounds: int = RESAMPLES) -> Iterator[np.ndarray]:
    """Draw as many users as there are, with replacement, and yield the rows of those drawn; seeded."""
    _, codes = np.unique(users, return_inverse=True)
    count = int(codes.max()) + 1
    draw = np.random.default_rng(0)
    for _ in range(rounds):
        times = np.bincount(draw.integers(count, size=count), minlength=count)
        yield np.repeat(np.arange(len(codes)), times[codes])


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


def _figure(value: float, drawn: list[float]) -> Figure:
    found = np.array(drawn)
    low, high = np.nanquantile(np.where(np.isfinite(found), found, np.nan), INTERVAL)
    return Figure(value, float(low), float(high))
